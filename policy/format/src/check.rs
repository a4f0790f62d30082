//! What every item of a body must be.

use portcullis_kernel::{Method, MethodSet, Mode, cspace};
use serde::Deserialize;

use crate::body::{
    AllowedGrant, Component, Counts, Domain, Flow, Interface, InterfaceMethod, Items, Never,
    Sections, When,
};
use crate::{MAX_COMPONENTS, MAX_GRANTS, MAX_GRANTS_PER_COMPONENT, MAX_NAME, Part, PolicyError};

/// Bits of [`Flow::modes`] that stand for a mode.
const MODES: u8 = 1 << Mode::Call as u8
    | 1 << Mode::Send as u8
    | 1 << Mode::Notify as u8
    | 1 << Mode::Stream as u8;

/// Checks a body's name, counts and items; gives where the items of each kind start, and what follows
/// them.
pub(crate) fn check<'a>(
    name: &str,
    counts: &Counts,
    items: &'a [u8],
) -> Result<(Sections<'a>, &'a [u8]), PolicyError> {
    if !name_is_sound(name) {
        return Err(PolicyError::Body(Part::Name));
    }
    limit(
        Part::Component,
        counts.components.into(),
        MAX_COMPONENTS.into(),
    )?;
    limit(Part::Grant, counts.grants, MAX_GRANTS)?;
    let (sections, rest) = walk(counts, items)?;
    components_are_distinct(&sections, counts)?;
    Ok((sections, rest))
}

fn limit(part: Part, found: u32, limit: u32) -> Result<(), PolicyError> {
    if found > limit {
        return Err(PolicyError::TooMany { part, found, limit });
    }
    Ok(())
}

fn walk<'a>(counts: &Counts, domains: &'a [u8]) -> Result<(Sections<'a>, &'a [u8]), PolicyError> {
    let interfaces = each(
        domains,
        counts.domains,
        Part::Domain,
        |domain: Domain<'_>| name_is_sound(domain.name),
    )?;
    let methods = each(
        interfaces,
        counts.interfaces,
        Part::Interface,
        |it: Interface<'_>| name_is_sound(it.name),
    )?;
    let components = each(
        methods,
        counts.methods,
        Part::Method,
        method_is_sound(counts),
    )?;
    let flows = each(components, counts.components, Part::Component, |it| {
        component_is_sound(counts, &it)
    })?;
    let nevers = each(flows, counts.flows, Part::Flow, |flow: Flow| {
        let modes = flow.modes != 0 && flow.modes & !MODES == 0;
        modes && flow.from < counts.domains && flow.to < counts.domains
    })?;
    let grants = each(nevers, counts.nevers, Part::Never, |never: Never| {
        never.from < counts.domains && never.to < counts.domains
    })?;
    let mut previous = None;
    let rest = each(
        grants,
        counts.grants,
        Part::Grant,
        |allowed: AllowedGrant| {
            let before = previous.replace((allowed.grant.subject, allowed.grant.slot));
            before < previous && grant_is_sound(counts, &allowed)
        },
    )?;
    let sections = Sections {
        domains,
        interfaces,
        methods,
        components,
        flows,
        nevers,
        grants,
    };
    Ok((sections, rest))
}

/// Walks `count` items; they decode and are `sound`, or the policy is refused. Gives what follows.
fn each<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    count: impl Into<u32>,
    part: Part,
    mut sound: impl FnMut(T) -> bool,
) -> Result<&'a [u8], PolicyError> {
    let mut items = Items::new(bytes, count.into());
    for item in items.by_ref() {
        if !sound(item) {
            return Err(PolicyError::Body(part));
        }
    }
    if items.left() > 0 {
        return Err(PolicyError::Body(part));
    }
    Ok(items.bytes())
}

fn name_is_sound(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.contains(portcullis_text::misleads)
}

/// Methods come by interface, and no number twice in one.
fn method_is_sound(counts: &Counts) -> impl FnMut(InterfaceMethod<'_>) -> bool {
    let interfaces = counts.interfaces;
    let (mut current, mut seen) = (0, MethodSet::EMPTY);
    move |InterfaceMethod {
              interface,
              method,
              name,
          }| {
        if interface > current {
            (current, seen) = (interface, MethodSet::EMPTY);
        }
        let fresh = interface == current && !seen.contains(method);
        seen = seen.with(method);
        fresh && interface < interfaces && name_is_sound(name)
    }
}

fn component_is_sound(counts: &Counts, component: &Component<'_>) -> bool {
    let channel = |id| id < cspace::MAX_CHANNELS;
    name_is_sound(component.name)
        && component.domain < counts.domains
        && component.channel.is_none_or(channel)
}

/// The manager tells components apart by their channels, and everybody else by their names.
fn components_are_distinct(sections: &Sections<'_>, counts: &Counts) -> Result<(), PolicyError> {
    let mut rest = Items::<Component<'_>>::new(sections.components, counts.components.into());
    while let Some(component) = rest.next() {
        let alike = |other: Component<'_>| {
            let channel = other.channel.is_some() && other.channel == component.channel;
            other.name == component.name || channel
        };
        if rest.clone().any(alike) {
            return Err(PolicyError::Body(Part::Component));
        }
    }
    Ok(())
}

fn grant_is_sound(counts: &Counts, allowed: &AllowedGrant) -> bool {
    let AllowedGrant {
        grant,
        notification,
        when,
        lease_ms,
        ..
    } = allowed;
    let subject = grant.subject;
    let bit = |bit| bit < cspace::MAX_CHANNELS;
    let delegator = match *when {
        When::Boot | When::Request => true,
        When::Delegated(from) => from < counts.components && from != subject,
    };
    subject < counts.components
        && grant.object < counts.components
        && grant.interface < counts.interfaces
        && !grant.methods.is_empty()
        && (1..MAX_GRANTS_PER_COMPONENT).contains(&grant.slot.into())
        && grant.mode.signals() == notification.is_some()
        && notification.is_none_or(bit)
        && *lease_ms != Some(0)
        && delegator
}

const _: () = assert!(
    Method::COUNT as u32 == u32::BITS,
    "a method set has a bit for each method"
);
