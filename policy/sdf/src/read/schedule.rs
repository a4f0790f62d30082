//! `<domains>`: seL4's scheduling domains.

use std::collections::HashMap;

use roxmltree::Node;

use crate::element::{Context, Element, Text, start_tag};
use crate::names::resolve;
use crate::{Domain, DomainSchedule, Duration, Fault, Spanned, Target, Unit, parse_number};

/// The `<domains>` of a system, while the rest of it is read.
pub(super) struct Domains<'x> {
    names: Option<HashMap<&'x str, usize>>,
    read: Option<DomainSchedule>,
}

impl<'x> Domains<'x> {
    /// The domains' names with their places; `None` where the system has no `<domains>`.
    pub(super) fn names(&self) -> Option<HashMap<&'x str, usize>> {
        self.names.clone()
    }

    /// What was read.
    pub(super) fn finish(self) -> Option<DomainSchedule> {
        self.read
    }
}

/// Reads the `<domains>` among the children of `<system>`.
pub(super) fn domains<'x>(
    children: &[(&'static str, Node<'x, 'x>)],
    context: &Context<'_>,
) -> Domains<'x> {
    let mut found = children.iter().filter(|(name, _)| *name == "domains");
    let Some((_, node)) = found.next() else {
        return Domains {
            names: None,
            read: None,
        };
    };
    for (_, second) in found {
        let fault = Fault::RepeatedElement {
            element: "domains",
            parent: "system",
        };
        context.note(start_tag(*second), fault);
    }
    let mut names = HashMap::new();
    for (place, domain) in node
        .children()
        .filter(|n| n.has_tag_name("domain"))
        .enumerate()
    {
        if let Some(name) = domain.attribute("name") {
            names.entry(name).or_insert(place);
        }
    }
    let element = Element::new(*node, "domains", &[], context);
    Domains {
        read: schedule(element, &names),
        names: Some(names),
    }
}

fn schedule(element: Element<'_, '_>, names: &HashMap<&str, usize>) -> Option<DomainSchedule> {
    let context = element.context;
    if context.target.architecture.is_some() && context.target.cores != 1 {
        element.note(Fault::ScheduleOnManyCores {
            cores: context.target.cores,
        });
    }
    let mut domains = Vec::new();
    let mut schedules = Vec::new();
    for (name, node) in element.children(&["domain", "domain_schedule"]) {
        match name {
            "domain" => domains.extend(domain(node, context)),
            _ => schedules.push(node),
        }
    }
    for second in schedules.iter().skip(1) {
        let fault = Fault::RepeatedElement {
            element: "domain_schedule",
            parent: "domains",
        };
        context.note(start_tag(*second), fault);
    }
    let Some(node) = schedules.first() else {
        element.note(Fault::MissingElement {
            element: "domain_schedule",
            parent: "domains",
            name: String::new(),
        });
        return None;
    };
    let domains = number(domains, element);
    let attributes = &["index_shift", "start_index"];
    let schedule = Element::new(*node, "domain_schedule", attributes, context);
    Some(DomainSchedule {
        span: element.span(),
        domains,
        start_index: schedule.or("start_index", 0, Text::number),
        index_shift: schedule.optional("index_shift", Text::number),
        schedule: schedule
            .children(&["schedule_entry", "schedule_end_marker"])
            .filter_map(|(name, node)| entry(name, node, names, context))
            .collect(),
    })
}

/// A domain as it was read: it may have no id yet.
type Unnumbered = (crate::Span, Spanned<String>, Option<Spanned<u8>>);

fn domain(node: Node<'_, '_>, context: &Context<'_>) -> Option<Unnumbered> {
    let element = Element::leaf(node, "domain", &["name", "id"], context);
    let id = element.optional("id", |text| domain_id(text, context.target));
    Some((element.span(), element.required("name", Text::name)?, id))
}

fn domain_id(text: Text<'_>, target: &Target) -> Result<u8, Fault> {
    let last = u64::from(target.domains).saturating_sub(1).min(255);
    Ok(text.number_in(0, last)? as u8)
}

/// Gives each domain without an id the smallest that is left.
fn number(domains: Vec<Unnumbered>, element: Element<'_, '_>) -> Vec<Domain> {
    let limit = element.context.target.domains.min(256);
    let mut left: Vec<u8> = (0..limit)
        .map(|id| id as u8)
        .filter(|id| {
            !domains
                .iter()
                .any(|(_, _, own)| own.as_ref().is_some_and(|own| own.value == *id))
        })
        .rev()
        .collect();
    if domains.len() > usize::from(limit) {
        element.note(Fault::TooManyDomains { limit });
    }
    let mut numbered = Vec::new();
    for (span, name, id) in domains {
        let id = id.or_else(|| left.pop().map(|id| Spanned::new(id, span.clone())));
        numbered.extend(id.map(|id| Domain { span, name, id }));
    }
    numbered
}

/// Reads an entry of the schedule: `Some(None)` is the end marker.
fn entry(
    name: &'static str,
    node: Node<'_, '_>,
    names: &HashMap<&str, usize>,
    context: &Context<'_>,
) -> Option<Option<Duration>> {
    if name == "schedule_end_marker" {
        Element::leaf(node, name, &[], context);
        return Some(None);
    }
    let element = Element::leaf(node, name, &["domain", "duration"], context);
    let domain = element.required("domain", |text| resolve(names, "scheduling domain", text));
    let time = element.required("duration", duration)?;
    let (length, unit) = time.value;
    Some(Some(Duration {
        span: element.span(),
        domain: domain?,
        length: Spanned::new(length, time.span),
        unit,
    }))
}

/// `1000 us` or `1000 ticks`.
fn duration(text: Text<'_>) -> Result<(u64, Unit), Fault> {
    let read = || {
        let (number, unit) = text.value.split_once(' ')?;
        let unit = match unit {
            "us" => Unit::Microseconds,
            "ticks" => Unit::Ticks,
            _ => return None,
        };
        let length = parse_number(number).filter(|length| *length > 0)?;
        Some((length, unit))
    };
    read().ok_or_else(|| Fault::BadDuration {
        text: text.value.to_owned(),
    })
}
