//! `<protection_domain>` and what stands in it.

use std::collections::HashMap;

use roxmltree::Node;

use super::{device, memory, virtual_machine};
use crate::element::{Context, Element, Text, start_tag};
use crate::names::{Names, resolve};
use crate::{
    Architecture, ExtraCap, ExtraCapKind, Fault, IoPorts, Irq, MAX_ID, MAX_PRIORITY, Map,
    PAGE_SIZES, Parent, PdId, Program, ProtectionDomain, SetVar, Spanned, Target, VirtualMachine,
};

/// Budget where none is given, in microseconds (`BUDGET_DEFAULT` of the stock tool).
const DEFAULT_BUDGET: u64 = 1000;
/// Stack where none is given, in bytes (`PD_DEFAULT_STACK_SIZE`).
const DEFAULT_STACK: u64 = 0x2000;
/// Smallest and largest stack, in bytes (`PD_MIN_STACK_SIZE`, `PD_MAX_STACK_SIZE`).
const STACK_SIZES: (u64, u64) = (0x1000, 16 << 20);
/// Slots of the root CNode (`PD_ROOT_CAP_SIZE`). The stock tool's parser takes slots up to 127, but
/// makes this CNode.
const ROOT_SLOTS: u64 = 64;

const ATTRIBUTES: &[&str] = &[
    "name",
    "priority",
    "budget",
    "period",
    "passive",
    "stack_size",
    "smc",
    "cpu",
    "domain",
    "fpu",
];
const CHILD_ATTRIBUTES: &[&str] = &[
    "name",
    "priority",
    "budget",
    "period",
    "passive",
    "stack_size",
    "smc",
    "cpu",
    "domain",
    "fpu",
    "id",
    "setvar_id",
];
const CHILDREN: &[&str] = &[
    "program_image",
    "map",
    "irq",
    "ioport",
    "setvar",
    "protection_domain",
    "virtual_machine",
    "cspace",
];

/// Reads protection domains and numbers them in the order of their start tags.
pub(super) struct Reader<'n> {
    names: &'n Names<'n>,
    /// The scheduling domains, where there are any.
    domains: Option<HashMap<&'n str, usize>>,
    /// A number is taken when the start tag is read, and filled at the end tag.
    read: Vec<Option<ProtectionDomain>>,
}

/// Budget, period and priority.
pub(super) struct Scheduling {
    pub(super) priority: Spanned<u8>,
    pub(super) budget: Spanned<u64>,
    pub(super) period: Spanned<u64>,
}

impl<'n> Reader<'n> {
    pub(super) fn new(names: &'n Names<'n>, domains: Option<HashMap<&'n str, usize>>) -> Self {
        Self {
            names,
            domains,
            read: Vec::new(),
        }
    }

    /// The protection domains that could be read.
    pub(super) fn finish(self) -> Vec<ProtectionDomain> {
        self.read.into_iter().flatten().collect()
    }

    /// Reads one, and its children.
    pub(super) fn read<'x>(
        &mut self,
        node: Node<'x, 'x>,
        parent: Option<PdId>,
        context: &Context<'_>,
    ) {
        let attributes = match parent {
            None => ATTRIBUTES,
            Some(_) => CHILD_ATTRIBUTES,
        };
        let element = Element::new(node, "protection_domain", attributes, context);
        let id = PdId(self.read.len());
        self.read.push(None);
        let parts = self.parts(element, id);
        self.read[id.0] = self.assemble(element, parent, parts);
    }

    /// Reads the children of the element.
    fn parts(&mut self, element: Element<'_, '_>, id: PdId) -> Parts {
        let context = element.context;
        let mut parts = Parts::default();
        let mut cspaces = 0;
        for (name, node) in element.children(CHILDREN) {
            match name {
                "program_image" => {
                    parts.programs += 1;
                    once(node, "program_image", parts.programs, context);
                    parts.program = program(node, context);
                }
                "map" => parts.maps.extend(memory::map(node, self.names, context)),
                "irq" => parts.irqs.extend(device::irq(node, context)),
                "ioport" => parts.ioports.extend(device::ioport(node, context)),
                "setvar" => parts.setvars.extend(self.setvar(node, context)),
                "protection_domain" => self.read(node, Some(id), context),
                "virtual_machine" => {
                    parts.virtual_machines += 1;
                    once(node, "virtual_machine", parts.virtual_machines, context);
                    parts.virtual_machine = virtual_machine::read(node, self.names, context);
                }
                _ => {
                    cspaces += 1;
                    once(node, "cspace", cspaces, context);
                    parts.caps.extend(self.cspace(node, context));
                }
            }
        }
        parts
    }

    /// Reads the attributes, and puts all together; `None` where something required is missing.
    fn assemble(
        &self,
        element: Element<'_, '_>,
        parent: Option<PdId>,
        parts: Parts,
    ) -> Option<ProtectionDomain> {
        let name = element.required("name", Text::name);
        if parts.programs == 0 {
            element.note(Fault::MissingElement {
                element: "program_image",
                parent: "protection_domain",
                name: name
                    .as_ref()
                    .map_or_else(String::new, |name| name.value.clone()),
            });
        }
        let scheduling = Scheduling::read(element);
        let parent = match parent {
            None => None,
            Some(pd) => Some(Parent {
                pd,
                id: element.required("id", child_id)?,
                setvar_id: element.optional("setvar_id", Text::name),
            }),
        };
        Some(ProtectionDomain {
            span: element.span(),
            parent,
            priority: scheduling.priority,
            budget: scheduling.budget,
            period: scheduling.period,
            passive: element.or("passive", false, Text::boolean),
            stack_size: element.or("stack_size", DEFAULT_STACK, stack_size),
            cpu: element.or("cpu", 0, |text| cpu(text, element.context.target)),
            smc: smc(element),
            fpu: element.or("fpu", true, Text::boolean),
            domain: self.domain(element),
            name: name?,
            program: parts.program?,
            maps: parts.maps,
            irqs: parts.irqs,
            ioports: parts.ioports,
            setvars: parts.setvars,
            caps: parts.caps,
            virtual_machine: parts.virtual_machine,
        })
    }

    /// The scheduling domain: named exactly where the system has a schedule of domains.
    fn domain(&self, element: Element<'_, '_>) -> Option<Spanned<usize>> {
        match &self.domains {
            Some(domains) => {
                element.required("domain", |text| resolve(domains, "scheduling domain", text))
            }
            None => element.optional("domain", |text| {
                Err(Fault::DomainWithoutSchedule {
                    domain: text.value.to_owned(),
                })
            }),
        }
    }

    fn setvar(&self, node: Node<'_, '_>, context: &Context<'_>) -> Option<SetVar> {
        let element = Element::leaf(node, "setvar", &["symbol", "region_paddr"], context);
        let symbol = element.required("symbol", Text::name);
        let region = element.required("region_paddr", |text| self.names.region(text));
        Some(SetVar {
            span: element.span(),
            symbol: symbol?,
            region: region?,
        })
    }

    fn cspace(&self, node: Node<'_, '_>, context: &Context<'_>) -> Vec<ExtraCap> {
        let element = Element::new(node, "cspace", &[], context);
        element
            .children(&["cap_tcb", "cap_sc", "cap_vspace"])
            .filter_map(|(name, node)| {
                let kind = match name {
                    "cap_tcb" => ExtraCapKind::Tcb,
                    "cap_sc" => ExtraCapKind::SchedContext,
                    _ => ExtraCapKind::VSpace,
                };
                let element = Element::leaf(node, name, &["slot", "pd"], context);
                let pd = element.required("pd", |text| self.names.pd(text));
                let slot = element.required("slot", slot);
                Some(ExtraCap {
                    span: element.span(),
                    kind,
                    pd: pd?,
                    slot: slot?,
                })
            })
            .collect()
    }
}

/// What stands in a protection domain.
#[derive(Default)]
struct Parts {
    program: Option<Program>,
    programs: usize,
    maps: Vec<Map>,
    irqs: Vec<Irq>,
    ioports: Vec<IoPorts>,
    setvars: Vec<SetVar>,
    caps: Vec<ExtraCap>,
    virtual_machine: Option<VirtualMachine>,
    virtual_machines: usize,
}

impl Scheduling {
    /// Reads the attributes `priority`, `budget` and `period`.
    pub(super) fn read(element: Element<'_, '_>) -> Self {
        let priority = |text: Text<'_>| Ok(text.number_in(0, MAX_PRIORITY.into())? as u8);
        let budget = element.or("budget", DEFAULT_BUDGET, Text::number);
        let period = element.or("period", budget.value, Text::number);
        if budget.value > period.value {
            let fault = Fault::BudgetAbovePeriod {
                budget: budget.value,
                period: period.value,
            };
            element.context.note(budget.span.clone(), fault);
        }
        Self {
            priority: element.or("priority", 0, priority),
            budget,
            period,
        }
    }
}

/// Notes an element that stands for the second time, or more.
fn once<'x>(node: Node<'x, 'x>, element: &'static str, count: usize, context: &Context<'_>) {
    if count > 1 {
        let fault = Fault::RepeatedElement {
            element,
            parent: "protection_domain",
        };
        context.note(start_tag(node), fault);
    }
}

fn program(node: Node<'_, '_>, context: &Context<'_>) -> Option<Program> {
    let element = Element::leaf(
        node,
        "program_image",
        &["path", "path_for_symbols"],
        context,
    );
    Some(Program {
        span: element.span(),
        path: element.required("path", Text::name)?,
        path_for_symbols: element.optional("path_for_symbols", Text::name),
    })
}

fn stack_size(text: Text<'_>) -> Result<u64, Fault> {
    let (low, high) = STACK_SIZES;
    memory::aligned(text, text.number_in(low, high)?, PAGE_SIZES[0])
}

/// A core that the kernel configuration has.
pub(super) fn cpu(text: Text<'_>, target: &Target) -> Result<u8, Fault> {
    let last = u64::from(target.cores).saturating_sub(1).min(255);
    Ok(text.number_in(0, last)? as u8)
}

fn smc(element: Element<'_, '_>) -> Spanned<bool> {
    let target = element.context.target;
    let smc = element.or("smc", false, Text::boolean);
    if smc.value && !(target.smc && target.may_be(Architecture::Aarch64)) {
        let fault = Fault::NotOnTarget {
            what: "smc=\"true\"",
            architecture: target.architecture,
        };
        element.context.note(smc.span.clone(), fault);
    }
    smc
}

/// Unlike a channel's, a child's id may be hexadecimal.
fn child_id(text: Text<'_>) -> Result<u8, Fault> {
    Ok(text.number_in(0, MAX_ID.into())? as u8)
}

fn slot(text: Text<'_>) -> Result<u8, Fault> {
    if text.number()? == 0 {
        let slot = text.value.to_owned();
        return Err(Fault::ReservedSlot { slot });
    }
    Ok(text.number_in(1, ROOT_SLOTS - 1)? as u8)
}
