//! Ways to change an image.

use portcullis_policy::distribution::{CNode, CNodeKind, Capability, Memory, Object};
use portcullis_policy::image::{Binding, Frames, Image, Irq, Mapping, ProtectionDomain};

pub(crate) fn pd<'i>(image: &'i mut Image, name: &str) -> &'i mut ProtectionDomain {
    let mut all = image.protection_domains.iter_mut();
    all.find(|pd| pd.name == name).unwrap()
}

pub(crate) fn cnode<'i>(image: &'i mut Image, name: &str, kind: CNodeKind) -> &'i mut CNode {
    let mut all = pd(image, name).cspace.iter_mut();
    all.find(|cnode| cnode.kind == kind).unwrap()
}

pub(crate) fn slot<'i>(
    image: &'i mut Image,
    name: &str,
    kind: CNodeKind,
    slot: u32,
) -> &'i mut Capability {
    cnode(image, name, kind).slots.get_mut(&slot).unwrap()
}

/// Puts a capability into an empty slot of the CNode that Microkit fills.
pub(crate) fn give(image: &mut Image, name: &str, slot: u32, object: Object) {
    let slots = &mut cnode(image, name, CNodeKind::Microkit).slots;
    assert!(slots.insert(slot, Capability::whole(object)).is_none());
}

pub(crate) fn tcb<'i>(image: &'i mut Image, name: &str, binding: Binding) -> &'i mut Capability {
    pd(image, name).tcb.get_mut(&binding).unwrap()
}

/// The mapping of a region, or of another memory.
pub(crate) fn mapping<'i>(image: &'i mut Image, name: &str, of: &Memory) -> &'i mut Mapping {
    let mut all = pd(image, name).vspace.mappings.iter_mut();
    all.find(|mapping| mapping.of == *of).unwrap()
}

/// Lets another protection domain see what one maps, at an address of its own.
pub(crate) fn share(image: &mut Image, from: &str, of: &Memory, to: &str) {
    let vaddr = 0x4000_0000;
    let own = mapping(image, from, of).clone();
    pd(image, to).vspace.mappings.push(Mapping { vaddr, ..own });
}

pub(crate) fn frames<'i>(image: &'i mut Image, of: &Memory) -> &'i mut Frames {
    image.memory.iter_mut().find(|it| it.of == *of).unwrap()
}

pub(crate) fn irq(image: &mut Image, number: u64) -> &mut Irq {
    image
        .irqs
        .iter_mut()
        .find(|irq| irq.number == number)
        .unwrap()
}

/// Sets a symbol of a program.
pub(crate) fn set(image: &mut Image, name: &str, symbol: &str, value: u64) {
    let pd = match name {
        "monitor" => &mut image.monitor,
        name => pd(image, name),
    };
    pd.symbols.insert(symbol.to_owned(), value);
}

pub(crate) fn region(name: &str) -> Memory {
    Memory::Region(name.to_owned())
}

pub(crate) fn name(name: &str) -> String {
    name.to_owned()
}
