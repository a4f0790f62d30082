//! The ceiling as a graph in Graphviz's DOT.
//!
//! Domains are clusters. A call has an arrowhead at each end, since its reply flows back; what is one
//! way has one, open, and a colour of its own. What is not there from boot on is dotted. What
//! `system.xml` gives is dashed: memory from who may write it to who maps it, channels, and power over
//! another, which sees what it does. What the manager tells of others is not drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use portcullis_kernel::{MethodSet, Mode};
use portcullis_policy_format::When;

use crate::ceiling::Ceiling;
use crate::model::{ComponentId, DomainId, InterfaceId, Policy, Subject};
use crate::relation::{Object, Relation};

/// What one arrow stands for.
type Arrow = (ComponentId, ComponentId, InterfaceId, u8, bool);

/// The ceiling of `policy`, in DOT.
pub fn graph(policy: &Policy) -> String {
    let mut dot = String::new();
    write(policy, &mut dot).expect("a string takes everything");
    dot
}

fn write(policy: &Policy, dot: &mut String) -> std::fmt::Result {
    writeln!(dot, "digraph {} {{", quoted(&policy.name))?;
    writeln!(
        dot,
        "    compound=true; rankdir=LR; fontname=\"sans-serif\";"
    )?;
    writeln!(
        dot,
        "    node [shape=box, style=rounded, fontname=\"sans-serif\"];"
    )?;
    writeln!(dot, "    edge [fontname=\"sans-serif\", fontsize=10];")?;
    for (number, domain) in (0..).zip(&policy.domains) {
        let members = policy.subjects();
        let members = members.filter(|(_, domain)| *domain == DomainId(number));
        let members: Vec<Subject<'_>> = members.map(|(subject, _)| subject).collect();
        if members.is_empty() {
            continue;
        }
        writeln!(dot, "    subgraph cluster_{number} {{")?;
        writeln!(dot, "        label={};", quoted(&domain.name))?;
        for member in members {
            let label = match member {
                Subject::Component(name) => name.to_owned(),
                other => format!("{} {}", other.field(), other.name()),
            };
            let node = node(policy, member);
            writeln!(dot, "        {node} [label={}];", quoted(&label))?;
        }
        writeln!(dot, "    }}")?;
    }
    grants(policy, dot)?;
    let relation = Relation::declared(policy);
    direct(policy, &relation, dot)?;
    regions(policy, &relation, dot)?;
    writeln!(dot, "}}")
}

fn grants(policy: &Policy, dot: &mut String) -> std::fmt::Result {
    let mut arrows: BTreeMap<Arrow, MethodSet> = BTreeMap::new();
    for held in Ceiling::of(policy).grants() {
        let from_boot = held.when == When::Boot;
        let arrow = (
            held.subject,
            held.object,
            held.interface,
            held.mode as u8,
            from_boot,
        );
        arrows.entry(arrow).or_default().0 |= held.methods.0;
    }
    for ((subject, object, interface, mode, from_boot), methods) in arrows {
        let mode = crate::model::Modes::ALL[usize::from(mode)];
        let interface = policy.interface(interface);
        let label = format!("{}: {}", interface.name, interface.names(methods));
        let (look, line) = (look(mode), if from_boot { "solid" } else { "dotted" });
        writeln!(
            dot,
            "    c{} -> c{} [label={}, {look}, style={line}];",
            subject.0,
            object.0,
            quoted(&label)
        )?;
    }
    Ok(())
}

/// How the arrow of a mode looks.
const fn look(mode: Mode) -> &'static str {
    match mode {
        Mode::Call => "dir=both, arrowhead=normal, arrowtail=normal, color=black",
        Mode::Send => "dir=forward, arrowhead=vee, color=blue",
        Mode::Notify => "dir=forward, arrowhead=empty, color=blue",
        Mode::Stream => "dir=forward, arrowhead=vee, color=blue, penwidth=2",
    }
}

/// Channels, and power over another: what one subject does to another beside grants.
fn direct(policy: &Policy, relation: &Relation<'_>, dot: &mut String) -> std::fmt::Result {
    for fact in relation.beside_grants() {
        let known = |owner: &Subject<'_>| relation.domain_of(*owner).is_some();
        let Some(owner) = fact.object.owner().filter(known) else {
            continue;
        };
        let label = match fact.object {
            Object::Component(_) => String::from("channel"),
            object => object.describe(),
        };
        let look = match fact.learns() {
            true => "dir=both, arrowhead=normal, arrowtail=normal",
            false => "dir=forward, arrowhead=empty",
        };
        writeln!(
            dot,
            "    {} -> {} [label={}, {look}, style=dashed, color=gray40];",
            node(policy, fact.subject),
            node(policy, owner),
            quoted(&label)
        )?;
    }
    Ok(())
}

fn regions(policy: &Policy, relation: &Relation<'_>, dot: &mut String) -> std::fmt::Result {
    let mut mappings: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for fact in relation.facts() {
        if let Object::Region(name) = fact.object {
            mappings.entry(name).or_default().push(fact);
        }
    }
    for (name, mappings) in mappings {
        let mut drawn = BTreeSet::new();
        for writer in mappings.iter().filter(|fact| fact.tells()) {
            for reader in mappings.iter().filter(|fact| fact.learns()) {
                let ends = (writer.subject, reader.subject);
                // A stream's own region is its grant's arrow.
                let itself = ends.0 == ends.1 || writer.cause.is_same_grant(reader.cause);
                if itself || !drawn.insert(ends) {
                    continue;
                }
                writeln!(
                    dot,
                    "    {} -> {} [label={}, style=dashed, color=gray40, arrowhead=vee];",
                    node(policy, ends.0),
                    node(policy, ends.1),
                    quoted(name)
                )?;
            }
        }
    }
    Ok(())
}

/// The name of a subject's node: `c` and its number for a component, `g` for a guest, `d` for a device.
fn node(policy: &Policy, subject: Subject<'_>) -> String {
    let (letter, all) = match subject {
        Subject::Component(_) => ('c', 0),
        Subject::Guest(_) => ('g', policy.components.len()),
        Subject::Device(_) => ('d', policy.components.len() + policy.guests.len()),
    };
    let mut subjects = policy.subjects().map(|(subject, _)| subject);
    let place = subjects.position(|other| other == subject);
    format!("{letter}{}", place.unwrap_or(all) - all)
}

/// A DOT string: quotes and backslashes escaped, so that a name cannot end it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
