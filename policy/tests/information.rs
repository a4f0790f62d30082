//! `never` rules against a model of information flow that shares nothing with the checker: a matrix of
//! distances, closed by Floyd and Warshall's rule.

use std::fmt::Write;
use std::sync::Arc;

use portcullis_policy::{Source, check, read};
use proptest::collection::vec;
use proptest::prelude::*;

/// Components `c0` to `c5`, each in a domain of its own; the last one is the manager, or `c6` where there is
/// none.
const COMPONENTS: usize = 7;
const MANAGER: usize = COMPONENTS - 1;
const REGIONS: usize = 3;
const FAR: usize = 1_000;

#[derive(Clone, Debug)]
enum Rule {
    /// Subject, object, and whether a reply flows back.
    Grant(usize, usize, bool, Option<usize>),
    /// Component, region, and whether it may write.
    Map(usize, usize, bool),
    /// Component, its peer, and whether it may call.
    Channel(usize, usize, bool),
    /// Parent and child.
    Child(usize, usize),
}

fn rule() -> impl Strategy<Value = Rule> {
    let component = || 0..COMPONENTS;
    let delegate = proptest::option::weighted(0.2, component());
    prop_oneof![
        4 => (component(), component(), any::<bool>(), delegate)
            .prop_map(|(subject, object, call, delegate)| {
                Rule::Grant(subject, object, call, delegate)
            }),
        3 => (component(), 0..REGIONS, any::<bool>())
            .prop_map(|(component, region, write)| Rule::Map(component, region, write)),
        1 => (component(), component(), any::<bool>())
            .prop_map(|(component, peer, calls)| Rule::Channel(component, peer, calls)),
        1 => (component(), component()).prop_map(|(parent, child)| Rule::Child(parent, child)),
    ]
}

fn name(component: usize) -> String {
    match component {
        MANAGER => String::from("manager"),
        other => format!("c{other}"),
    }
}

/// The policy, with a `never` rule from each domain to each other.
fn policy_text(rules: &[Rule], has_manager: bool) -> String {
    let mut text = String::from("[interfaces.i]\nm = 0\n[domains]\n");
    for component in 0..COMPONENTS {
        writeln!(text, "d{component} = {{}}").unwrap();
    }
    for component in 0..COMPONENTS {
        let name = name(component);
        writeln!(
            text,
            "[components.{name}]\ndomain = \"d{component}\"\noffers = [\"i\"]"
        )
        .unwrap();
    }
    for rule in rules {
        write_rule(&mut text, rule).unwrap();
    }
    for from in 0..COMPONENTS {
        for to in (0..COMPONENTS).filter(|to| *to != from) {
            writeln!(text, "[[never]]\nfrom = \"d{from}\"\nto = \"d{to}\"").unwrap();
        }
    }
    match has_manager {
        true => text,
        false => text.replace("manager", "c6"),
    }
}

fn write_rule(text: &mut String, rule: &Rule) -> std::fmt::Result {
    match *rule {
        Rule::Grant(subject, object, call, delegate) => {
            let mode = if call { "call" } else { "send" };
            let (subject, object) = (name(subject), name(object));
            writeln!(
                text,
                "[[grants]]\nsubject = \"{subject}\"\nobject = \"{object}\"\ninterface = \"i\"\n\
                 methods = [\"m\"]\nmode = \"{mode}\"\nwhen = \"request\""
            )?;
            match delegate {
                Some(delegate) => writeln!(text, "delegate = [\"{}\"]", name(delegate)),
                None => Ok(()),
            }
        }
        Rule::Map(component, region, write) => {
            let (component, perms) = (name(component), if write { "rw" } else { "r" });
            writeln!(
                text,
                "[[static]]\ncomponent = \"{component}\"\nregion = \"r{region}\"\nperms = \"{perms}\""
            )
        }
        Rule::Channel(component, peer, calls) => {
            let mode = if calls { "call" } else { "notify" };
            let (component, peer) = (name(component), name(peer));
            writeln!(
                text,
                "[[static]]\ncomponent = \"{component}\"\nchannel = \"{peer}\"\nmode = \"{mode}\""
            )
        }
        Rule::Child(parent, child) => {
            let (parent, child) = (name(parent), name(child));
            writeln!(
                text,
                "[[static]]\ncomponent = \"{parent}\"\nchild = \"{child}\""
            )
        }
    }
}

/// How many steps something takes from one component to another at least; [`FAR`]: it never gets there.
fn distances(rules: &[Rule], has_manager: bool) -> [[usize; COMPONENTS]; COMPONENTS] {
    let mut steps = [[FAR; COMPONENTS]; COMPONENTS];
    for rule in rules {
        match *rule {
            Rule::Grant(subject, object, call, delegate) => {
                for holder in [Some(subject), delegate].into_iter().flatten() {
                    steps[holder][object] = 1;
                    if call {
                        steps[object][holder] = 1;
                    }
                }
                if let Some(delegate) = delegate {
                    steps[subject][delegate] = 1;
                }
            }
            Rule::Map(writer, region, true) => {
                for rule in rules {
                    if let Rule::Map(other, same, _) = *rule
                        && same == region
                    {
                        steps[writer][other] = 1;
                    }
                }
            }
            Rule::Map(_, _, false) => {}
            Rule::Channel(component, peer, calls) => {
                steps[component][peer] = 1;
                if calls {
                    steps[peer][component] = 1;
                }
            }
            Rule::Child(parent, child) => {
                steps[parent][child] = 1;
                steps[child][parent] = 1;
            }
        }
    }
    // Microkit's own tool lets all who may call one, and its children, receive there.
    let taker = |rule: &Rule| match *rule {
        Rule::Channel(component, peer, true) => Some((component, peer)),
        Rule::Child(parent, child) => Some((child, parent)),
        _ => None,
    };
    for (one, input) in rules.iter().filter_map(taker).filter(|_| !has_manager) {
        for (other, _) in rules.iter().filter_map(taker).filter(|it| it.1 == input) {
            steps[one][other] = 1;
        }
    }
    // No path leads through the manager.
    for through in (0..COMPONENTS).filter(|through| *through != MANAGER || !has_manager) {
        for from in 0..COMPONENTS {
            for to in 0..COMPONENTS {
                let way = steps[from][through] + steps[through][to];
                steps[from][to] = steps[from][to].min(way);
            }
        }
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_never_rule_is_broken_exactly_by_a_shortest_path(
        rules in vec(rule(), 0..14),
        has_manager: bool,
    ) {
        let source = Arc::new(Source::new("generated", policy_text(&rules, has_manager)));
        let reading = read::read(source);
        prop_assert!(reading.problems.is_empty(), "{:?}", reading.problems);
        let broken: Vec<String> = check::alone(&reading.policy)
            .iter()
            .filter(|problem| problem.code_name() == "policy::never_broken")
            .map(ToString::to_string)
            .collect();
        let steps = distances(&rules, has_manager);
        for (from, steps) in steps.iter().enumerate() {
            for to in (0..COMPONENTS).filter(|to| *to != from) {
                let start = format!("something can flow from `d{from}` to `d{to}`, ");
                let found: Vec<&String> = broken.iter().filter(|it| it.starts_with(&start)).collect();
                if steps[to] >= FAR {
                    prop_assert!(found.is_empty(), "{found:?}");
                    continue;
                }
                prop_assert_eq!(found.len(), 1, "from {} to {}", from, to);
                prop_assert_eq!(found[0].matches(" -> ").count(), steps[to], "{}", found[0]);
                let start = if has_manager { name(from) } else { format!("c{from}") };
                let ends = format!("`{start}` -> ");
                prop_assert!(found[0].contains(&ends), "{}", found[0]);
            }
        }
    }
}
