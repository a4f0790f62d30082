//! `<irq>` and `<ioport>`.

use roxmltree::Node;

use super::pci_address;
use crate::element::{Context, Element, Text};
use crate::{Architecture, Fault, IoPorts, Irq, IrqSource, Polarity, Trigger};

/// Highest vector of a user interrupt on x86-64 (`irq_user_max - irq_user_min` of the kernel).
const MAX_VECTOR: u64 = 107;
/// Ports that x86 has.
const PORTS: u64 = 0x1_0000;

const CONVENTIONAL: &[&str] = &["irq", "id", "setvar_id", "trigger"];
const IO_APIC: &[&str] = &[
    "id",
    "setvar_id",
    "ioapic",
    "pin",
    "trigger",
    "polarity",
    "vector",
];
const MSI: &[&str] = &["id", "setvar_id", "pcidev", "handle", "vector"];

/// Reads an interrupt; `None` where something required is missing.
pub(super) fn irq(node: Node<'_, '_>, context: &Context<'_>) -> Option<Irq> {
    // One of three attributes decides which others there are, in the stock tool's order.
    let kinds = [("irq", CONVENTIONAL), ("pin", IO_APIC), ("pcidev", MSI)];
    let known = kinds.iter().find(|(name, _)| node.has_attribute(*name));
    let Some((kind, attributes)) = known else {
        let element = Element::leaf(node, "irq", &["id", "setvar_id", "trigger"], context);
        element.note(Fault::MissingIrqSource {
            allowed: kinds_on(context.target.architecture),
        });
        return None;
    };
    let element = Element::leaf(node, "irq", attributes, context);
    let id = element.required("id", Text::id);
    let setvar_id = element.optional("setvar_id", Text::name);
    let source = match *kind {
        "irq" => conventional(element),
        "pin" => io_apic(element),
        _ => msi(element),
    };
    Some(Irq {
        span: element.span(),
        id: id?,
        source: source?,
        setvar_id,
    })
}

const fn kinds_on(architecture: Option<Architecture>) -> &'static str {
    match architecture {
        Some(Architecture::X86_64) => "'pin' or 'pcidev'",
        Some(_) => "'irq'",
        None => "'irq', 'pin' or 'pcidev'",
    }
}

fn conventional(element: Element<'_, '_>) -> Option<IrqSource> {
    if element.context.target.architecture == Some(Architecture::X86_64) {
        element.note(Fault::NotOnTarget {
            what: "an interrupt controller's input ('irq')",
            architecture: Some(Architecture::X86_64),
        });
    }
    let trigger = trigger(element);
    Some(IrqSource::Conventional {
        irq: element.required("irq", |text| {
            let (first, last) = element.context.target.interrupts();
            text.decimal_in(first, last)
        })?,
        trigger,
    })
}

fn io_apic(element: Element<'_, '_>) -> Option<IrqSource> {
    only_on_x86(element, "an I/O APIC's pin");
    let words: &[&str] = &["low", "high"];
    let polarity = element.or("polarity", Polarity::High, |text| {
        text.word(words, &[Polarity::Low, Polarity::High])
    });
    let pin = element.required("pin", word);
    let vector = vector(element);
    Some(IrqSource::IoApic {
        ioapic: element.or("ioapic", 0, word),
        trigger: trigger(element),
        polarity,
        pin: pin?,
        vector: vector?,
    })
}

fn msi(element: Element<'_, '_>) -> Option<IrqSource> {
    only_on_x86(element, "an MSI");
    let device = element.required("pcidev", pci_address);
    let handle = element.required("handle", word);
    let vector = vector(element);
    Some(IrqSource::Msi {
        device: device?,
        handle: handle?,
        vector: vector?,
    })
}

/// Reads a range of I/O ports; `None` where something required is missing.
pub(super) fn ioport(node: Node<'_, '_>, context: &Context<'_>) -> Option<IoPorts> {
    let attributes = &["id", "setvar_id", "setvar_addr", "addr", "size"];
    let element = Element::leaf(node, "ioport", attributes, context);
    only_on_x86(element, "an I/O port");
    let id = element.required("id", Text::id);
    let addr = element.required("addr", |text| text.number_in(0, PORTS - 1));
    let room = PORTS - addr.as_ref().map_or(0, |addr| addr.value);
    let size = element.required("size", |text| text.decimal_in(1, room));
    Some(IoPorts {
        span: element.span(),
        setvar_id: element.optional("setvar_id", Text::name),
        setvar_addr: element.optional("setvar_addr", Text::name),
        id: id?,
        addr: addr?,
        size: size?,
    })
}

fn trigger(element: Element<'_, '_>) -> crate::Spanned<Trigger> {
    element.or("trigger", Trigger::Level, |text| {
        text.word(&["level", "edge"], &[Trigger::Level, Trigger::Edge])
    })
}

fn vector(element: Element<'_, '_>) -> Option<crate::Spanned<u64>> {
    element.required("vector", |text| text.decimal_in(0, MAX_VECTOR))
}

/// Pins and handles are 32-bit everywhere.
fn word(text: Text<'_>) -> Result<u64, Fault> {
    text.decimal_in(0, u32::MAX.into())
}

fn only_on_x86(element: Element<'_, '_>, what: &'static str) {
    let target = element.context.target;
    if !target.may_be(Architecture::X86_64) {
        element.note(Fault::NotOnTarget {
            what,
            architecture: target.architecture,
        });
    }
}
