//! `<virtual_machine>`.

use roxmltree::Node;

use super::memory;
use super::protection_domain::{Scheduling, cpu};
use crate::element::{Context, Element, Text};
use crate::names::Names;
use crate::{Architecture, Fault, Vcpu, VirtualMachine};

/// Reads a virtual machine; `None` where it has no name.
pub(super) fn read(
    node: Node<'_, '_>,
    names: &Names<'_>,
    context: &Context<'_>,
) -> Option<VirtualMachine> {
    // On x86-64 the guest runs on its owner's time.
    let attributes: &[&str] = match context.target.may_be(Architecture::Aarch64) {
        true => &["name", "budget", "period", "priority"],
        false => &["name"],
    };
    let element = Element::new(node, "virtual_machine", attributes, context);
    if !context.target.hypervisor {
        element.note(Fault::NotOnTarget {
            what: "a virtual machine",
            architecture: context.target.architecture,
        });
    }
    let name = element.required("name", Text::name);
    let mut vcpus = Vec::new();
    let mut maps = Vec::new();
    let mut found = 0;
    for (child, node) in element.children(&["vcpu", "map"]) {
        if child == "vcpu" {
            found += 1;
            vcpus.extend(vcpu(node, context));
        } else {
            maps.extend(memory::guest_map(node, names, context));
        }
    }
    if found == 0 {
        element.note(Fault::MissingElement {
            element: "vcpu",
            parent: "virtual_machine",
            name: name
                .as_ref()
                .map_or_else(String::new, |name| name.value.clone()),
        });
    }
    let scheduling = Scheduling::read(element);
    Some(VirtualMachine {
        span: element.span(),
        name: name?,
        priority: scheduling.priority,
        budget: scheduling.budget,
        period: scheduling.period,
        vcpus,
        maps,
    })
}

fn vcpu(node: Node<'_, '_>, context: &Context<'_>) -> Option<Vcpu> {
    let element = Element::leaf(node, "vcpu", &["id", "setvar_id", "cpu"], context);
    Some(Vcpu {
        span: element.span(),
        id: element.required("id", Text::id)?,
        cpu: element.optional("cpu", |text| cpu(text, context.target)),
        setvar_id: element.optional("setvar_id", Text::name),
    })
}
