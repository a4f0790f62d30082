//! Finished images, judged by what the builder emits: one that is as stated, and changes to it.

use std::sync::Arc;

use portcullis_oracle::case::{self, CapKind, Case, MANAGER, What, Who};
use portcullis_oracle::finding::{Finding, Kind};
use portcullis_oracle::random::Random;
use portcullis_oracle::{findings, image, read};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::{Checked, Source, compile};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, Target};
use serde_json::{Value, json};

use crate::Disagreement;

const TEXTS: [&str; 2] = [
    include_str!("../../../../system.xml"),
    include_str!("../../../appliance.toml"),
];

/// The distribution of the reference appliance's image.
fn appliance() -> Value {
    let [system_text, policy_text] = TEXTS;
    let source = Arc::new(Source::new("system.xml", system_text));
    let system = portcullis_sdf::parse(system_text, &Target::ANY).unwrap();
    let policy = Arc::new(Source::new("appliance.toml", policy_text));
    emitted(&Checked::new(policy, system, source).unwrap()).unwrap()
}

/// The distribution of an image of a policy that holds, as the builder would write it; `None`: the
/// builder does not make one.
pub(crate) fn emitted(checked: &Checked) -> Option<Value> {
    let (compiled, system) = (compile(checked), checked.system());
    let compiled = Policy::inspect(&compiled).unwrap();
    let configuration = Configuration {
        architecture: Architecture::Aarch64,
        benchmark: false,
    };
    let distribution = Distribution::new(&compiled, system, &configuration).ok()?;
    let image = portcullis_policy::image::testing::finished(&distribution, &compiled, system);
    Some(serde_json::to_value(&image).unwrap())
}

/// What a capability distribution tells of a system without guests and devices: who holds and maps what.
const TOLD: [Kind; 3] = [Kind::Undeclared, Kind::Crossing, Kind::Never];

/// Where an image lets somebody break a promise of the policy that it was made for; and where the oracle
/// finds other attacks in the image than in the case, once the policy says less.
pub(crate) fn disagreements(case: &Case, image: &Value) -> Vec<(Disagreement, String)> {
    let text = image.to_string();
    let found = image::findings(&text, &case.policy).unwrap();
    let found = found.iter();
    let mut all: Vec<_> = found
        .map(|it| (Disagreement::Image(it.kind), it.to_string()))
        .collect();
    let is_outside = |who: &Who| !matches!(who, Who::Pd(_));
    if case.policy.subjects.iter().any(|(who, _)| is_outside(who)) {
        return all;
    }
    // An image does not tell who knows which address.
    let mut system = case.system.clone();
    system.pds.iter_mut().for_each(|pd| pd.paddrs.clear());
    let is_stock = case.policy.component(MANAGER).is_none();
    for policy in less(case) {
        let in_image = image::findings(&text, &policy).unwrap();
        let system = system.clone();
        let in_case = findings(&Case { policy, system });
        for kind in TOLD {
            let of_kind = |all: &[Finding]| all.iter().find(|it| it.kind == kind).cloned();
            match (of_kind(&in_image), of_kind(&in_case)) {
                (Some(it), None) => all.push((Disagreement::Image(kind), it.to_string())),
                // The builder's image hands out less than Microkit's own tool.
                (None, Some(_)) if is_stock && kind == Kind::Never => {}
                (None, Some(it)) => all.push((Disagreement::NotInImage(kind), it.to_string())),
                _ => {}
            }
        }
    }
    all
}

/// The policy with a line less, with a flow less, and with a `never` rule more.
fn less(case: &Case) -> Vec<case::Policy> {
    let policy = &case.policy;
    let mut random = Random::new(policy.statics.len() as u64);
    let mut all = Vec::new();
    let mut change = |change: &mut dyn FnMut(&mut case::Policy)| {
        let mut policy = policy.clone();
        change(&mut policy);
        all.push(policy);
    };
    // A parent has its child's TCB by either line.
    let is_either = |line: &&case::Static| {
        let of = match &line.what {
            What::Cap(CapKind::Tcb, of) | What::Child(of) => of,
            _ => return false,
        };
        let both = [What::Cap(CapKind::Tcb, of.clone()), What::Child(of.clone())];
        let has = |what: &What| {
            let mut all = policy.statics.iter();
            all.any(|it| it.who == line.who && it.what == *what)
        };
        both.iter().all(has)
    };
    let lines: Vec<_> = policy.statics.iter().filter(|it| !is_either(it)).collect();
    if let Some(line) = random.pick(&lines) {
        change(&mut |less| less.statics.retain(|it| it != *line));
    }
    if let Some(flow) = random.pick(&policy.flows) {
        change(&mut |less| less.flows.retain(|it| it != flow));
    }
    let ends = [random.pick(&policy.domains), random.pick(&policy.domains)];
    if let [Some(from), Some(to)] = ends
        && from != to
    {
        change(&mut |less| less.nevers.push((from.clone(), to.clone())));
    }
    all
}

fn attacks(image: &Value) -> Vec<(Kind, String)> {
    let policy = read::policy(TEXTS[1]).unwrap();
    let found = image::findings(&image.to_string(), &policy).unwrap();
    found.iter().map(|it| (it.kind, it.to_string())).collect()
}

fn pd<'i>(image: &'i mut Value, name: &str) -> &'i mut Value {
    let mut all = image["protection_domains"]
        .as_array_mut()
        .unwrap()
        .iter_mut();
    all.find(|pd| pd["name"] == name).unwrap()
}

/// Puts a capability into an empty slot of a CNode.
fn give(image: &mut Value, name: &str, kind: &str, object: Value, rights: &str, badge: &str) {
    let rights = json!({
        "read": rights.contains('r'), "write": rights.contains('w'),
        "grant": rights.contains('g'), "grant_reply": rights.contains('p'),
    });
    let cap = json!({"object": object, "rights": rights, "badge": badge, "guard": "0x0", "guard_bits": 0});
    let cnodes = pd(image, name)["cspace"].as_array_mut().unwrap();
    let cnode = cnodes.iter_mut().find(|it| it["kind"] == kind).unwrap();
    cnode["slots"]
        .as_object_mut()
        .unwrap()
        .insert("63".to_owned(), cap);
}

/// Lets one protection domain see what another maps.
fn share(image: &mut Value, from: &str, region: &str, to: &str, write: bool) {
    let of = json!({"region": region});
    let mappings = pd(image, from)["vspace"]["mappings"].as_array().unwrap();
    let mut mapping = mappings.iter().find(|it| it["of"] == of).unwrap().clone();
    mapping["write"] = json!(write);
    mapping["vaddr"] = json!("0x70000000");
    pd(image, to)["vspace"]["mappings"]
        .as_array_mut()
        .unwrap()
        .push(mapping);
}

#[test]
fn the_image_of_the_appliance_allows_no_attack() {
    assert_eq!(attacks(&appliance()), []);
}

#[test]
fn an_image_that_hands_out_more_is_found() {
    type Change = fn(&mut Value);
    let changes: [(&str, Kind, Change); 18] = [
        ("another's thread", Kind::Undeclared, |it| {
            give(it, "edge", "root", json!({"tcb": "vault"}), "rwgp", "0x0")
        }),
        ("its own thread", Kind::OwnThread, |it| {
            give(it, "edge", "root", json!({"tcb": "edge"}), "rwgp", "0x0")
        }),
        ("the manager's memory", Kind::ManagerHeld, |it| {
            give(
                it,
                "edge",
                "root",
                json!({"vspace": "manager"}),
                "rwgp",
                "0x0",
            )
        }),
        ("a way to the vault", Kind::Never, |it| {
            give(
                it,
                "edge",
                "microkit",
                json!({"endpoint": "vault"}),
                "wp",
                "0x8000000000000002",
            )
        }),
        ("others' calls", Kind::Undeclared, |it| {
            give(
                it,
                "edge",
                "microkit",
                json!({"endpoint": "vault"}),
                "r",
                "0x0",
            )
        }),
        ("a bit of the ledger's", Kind::Undeclared, |it| {
            give(
                it,
                "edge",
                "microkit",
                json!({"notification": "ledger"}),
                "w",
                "0x4",
            )
        }),
        ("a grant before its record", Kind::Undeclared, |it| {
            give(
                it,
                "edge",
                "grants",
                json!({"endpoint": "console"}),
                "w",
                "0x8000000000000001",
            )
        }),
        ("memory to make things of", Kind::Undeclared, |it| {
            give(
                it,
                "edge",
                "root",
                json!({"other": {"kind": "untyped", "name": "untyped 7"}}),
                "rwgp",
                "0x0",
            );
        }),
        ("a frame for the manager", Kind::Undeclared, |it| {
            give(
                it,
                "manager",
                "authority",
                json!({"frame": {"of": {"region": "vault_key"}, "page": 0}}),
                "rw",
                "0x0",
            );
        }),
        ("the vault's key", Kind::Undeclared, |it| {
            share(it, "vault", "vault_key", "edge", false)
        }),
        ("the policy", Kind::ManagerWritten, |it| {
            share(it, "manager", "policy", "edge", true)
        }),
        ("a page against the stream", Kind::Never, |it| {
            let mappings = pd(it, "edge")["vspace"]["mappings"].as_array_mut().unwrap();
            let stream = mappings
                .iter_mut()
                .find(|it| it["of"]["region"] == "publish_edge")
                .unwrap();
            stream["write"] = json!(true);
        }),
        ("another's memory as its own", Kind::Undeclared, |it| {
            pd(it, "edge")["tcb"]["vspace"]["object"] = json!({"vspace": "vault"});
        }),
        ("faults that nobody is told of", Kind::OwnThread, |it| {
            pd(it, "edge")["tcb"]["fault_endpoint"]["object"] = json!({"endpoint": "console"});
        }),
        ("a channel that is not there", Kind::Patched, |it| {
            pd(it, "manager")["symbols"]["microkit_pps"] = json!("0x4");
        }),
        ("time of its own", Kind::Patched, |it| {
            pd(it, "vault")["symbols"]["microkit_passive"] = json!("0x0");
        }),
        ("another value for the manager", Kind::Patched, |it| {
            pd(it, "manager")["symbols"]["generation"] = json!("0x4");
        }),
        ("another's badge", Kind::Impersonates, |it| {
            let badge = pd(it, "ingest")["tcb"]["fault_endpoint"]["badge"].clone();
            pd(it, "edge")["tcb"]["fault_endpoint"]["badge"] = badge;
        }),
    ];
    for (what, kind, change) in changes {
        let mut image = appliance();
        change(&mut image);
        let found = attacks(&image);
        assert!(found.iter().any(|it| it.0 == kind), "{what}: {found:#?}");
    }
}
