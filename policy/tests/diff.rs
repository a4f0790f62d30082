//! What a change of the policy adds and takes, of `never` rules too, and what it renumbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_policy::diff::{Difference, diff};
use portcullis_policy::{Policy, Source, load};
use proptest::prelude::*;

fn read(text: &str) -> Policy {
    load(Arc::new(Source::new("policy.toml", text)), None).unwrap_or_else(|it| panic!("{it}"))
}

/// A policy whose components are each in a domain, with rules between domains.
fn policy(components: &[(&str, &str)], nevers: &[(&str, &str)]) -> Policy {
    let mut text =
        String::from("name = \"x\"\nversion = 1\n[domains]\nnet = {}\nsafe = {}\nout = {}\n");
    for (name, domain) in components {
        text += &format!("[components.{name}]\ndomain = \"{domain}\"\n");
    }
    for (from, to) in nevers {
        text += &format!("[[never]]\nfrom = \"{from}\"\nto = \"{to}\"\nreason = \"r\"\n");
    }
    read(&text)
}

/// The differences of `never` rules, as "sign, from, to".
fn nevers(difference: &Difference) -> Vec<String> {
    let signs = [("+", &difference.added), ("-", &difference.taken)];
    let changes = signs
        .into_iter()
        .flat_map(|(sign, all)| all.iter().map(move |change| (sign, change)));
    let words = changes.map(|(sign, change)| {
        assert_eq!(change.kind, "never");
        let object = change.object.as_deref().unwrap();
        format!("{sign}{} {object}", change.subject)
    });
    words.collect()
}

#[test]
fn a_never_rule_counts_by_whom_it_keeps_apart() {
    let rule = [("net", "safe")];
    let old = policy(&[("nic", "net"), ("keys", "safe")], &rule);
    let differences = |components: &[(&str, &str)], rules: &[(&str, &str)]| {
        nevers(&diff(&old, &policy(components, rules)))
    };
    let moved = [("nic", "out"), ("keys", "safe")];
    assert_eq!(differences(&moved, &rule), ["+nic keys"]);
    assert_eq!(
        differences(&[("nic", "net"), ("keys", "out")], &rule),
        ["+nic keys"]
    );
    // The rule moved with the component: nothing is lost.
    assert!(differences(&moved, &[("out", "safe")]).is_empty());
    assert_eq!(
        differences(&[("nic", "net"), ("keys", "safe")], &[]),
        ["+net safe"]
    );
    // Who is gone can do nothing; who is new is guarded by no less than before.
    assert!(differences(&[("keys", "safe")], &rule).is_empty());
    let more = [("nic", "net"), ("keys", "safe"), ("new", "out")];
    assert!(differences(&more, &rule).is_empty());
    // The other way round, it is less.
    let back = diff(&policy(&moved, &rule), &old);
    assert_eq!(nevers(&back), ["-nic keys"]);
    // A rule that kept nothing apart is told where it goes, and where it comes.
    let idle = policy(&moved, &rule);
    assert_eq!(nevers(&diff(&idle, &policy(&moved, &[]))), ["+net safe"]);
}

/// A policy of components `a`, `b` and the manager, a guest and a device, with these rules.
fn ruled(rules: &str) -> Policy {
    read(&format!(
        "name = \"x\"\nversion = 1\n[domains]\nin = {{}}\n[interfaces.inspect]\nwhy = 0\n\
         [interfaces.log]\nput = 0\n[components.a]\ndomain = \"in\"\n[components.b]\ndomain = \"in\"\n\
         offers = [\"log\"]\n[components.manager]\ndomain = \"in\"\noffers = [\"inspect\"]\n\
         [guests.g]\ndomain = \"in\"\n[devices.d]\ndomain = \"in\"\nregisters = [\"regs\"]\n{rules}"
    ))
}

fn rule(holder: &str, authority: &str) -> String {
    format!("[[static]]\n{holder}\n{authority}\nreason = \"r\"\n")
}

fn grant(subject: &str, object: &str, interface: &str, method: &str, rest: &str) -> String {
    format!(
        "[[grants]]\nsubject = \"{subject}\"\nobject = \"{object}\"\ninterface = \"{interface}\"\n\
         methods = [\"{method}\"]\nwhen = \"boot\"\nreason = \"r\"\n{rest}\n"
    )
}

/// What is added and taken, as "sign, kind, subject, what".
fn told(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (ruled(old), ruled(new));
    let difference = diff(&old, &new);
    let back = diff(&new, &old);
    assert_eq!(
        (&difference.added, &difference.taken),
        (&back.taken, &back.added)
    );
    let signs = [("+", difference.added), ("-", difference.taken)];
    let changes = signs.into_iter().flat_map(|(sign, all)| {
        all.into_iter().map(move |change| {
            assert!(change.line.is_some(), "{change:?}");
            format!("{sign}{} {}: {}", change.kind, change.subject, change.what)
        })
    });
    changes.collect()
}

#[test]
fn grants_that_outlast_a_fault_are_more() {
    let policy = |word| {
        read(&format!(
            "name = \"x\"\nversion = 1\n[domains]\nin = {{}}\n[components.a]\ndomain = \"in\"\n\
             on_fault = \"{word}\"\n"
        ))
    };
    let (stop, restart) = (policy("stop"), policy("restart"));
    let more = diff(&stop, &restart);
    let [change] = more.added.as_slice() else {
        panic!("{more:?}");
    };
    let told = (change.kind, change.subject.as_str(), change.line);
    assert_eq!((told, more.taken.len()), (("on_fault", "a", Some(5)), 0));
    assert_eq!(diff(&restart, &stop).taken, more.added);
    assert!(diff(&restart, &restart).is_empty());
}

#[test]
fn what_became_narrower_is_not_more() {
    let a = "component = \"a\"";
    let map = |perms| rule(a, &format!("region = \"m\"\nperms = \"{perms}\""));
    assert_eq!(
        told(&map("rw"), &map("r")),
        ["-map a: memory region `m`, w"]
    );
    assert_eq!(
        told(&map("r"), &map("rx")),
        ["+map a: memory region `m`, x"]
    );
    let channel = |mode| rule(a, &format!("channel = \"b\"\nmode = \"{mode}\""));
    let call = "channel a: a channel to `b`, call";
    assert_eq!(
        told(&channel("call"), &channel("notify")),
        [format!("-{call}")]
    );
    assert_eq!(
        told(&channel("notify"), &channel("call")),
        [format!("+{call}")]
    );
    let ports = |base: u64, size: u64| rule(a, &format!("ioport = {base}\nsize = {size}"));
    let around = ports(0x100, 8);
    assert_eq!(
        told(&around, &ports(0x102, 2)),
        [
            "-ioport a: 2 I/O ports from 0x100",
            "-ioport a: 4 I/O ports from 0x104"
        ]
    );
    let halves = ports(0x100, 4) + &ports(0x104, 4);
    assert_eq!(told(&around, &halves), [""; 0], "two lines for one");
    assert_eq!(
        told(&around, &ports(0x104, 8)),
        [
            "+ioport a: 4 I/O ports from 0x108",
            "-ioport a: 4 I/O ports from 0x100"
        ]
    );
}

#[test]
fn memory_is_compared_by_who_maps_it_and_not_by_the_rule() {
    let stream = |region: &str| {
        let rest = format!("mode = \"stream\"\nregion = \"{region}\"");
        grant("a", "b", "log", "put", &rest)
    };
    assert_eq!(
        told(&stream("m"), &stream("n")),
        [
            "+stream a: memory region `n`, rw",
            "+stream b: memory region `n`, r",
            "-stream a: memory region `m`, rw",
            "-stream b: memory region `m`, r",
        ]
    );
    let map = |who, perms| {
        let map = format!("region = \"m\"\nperms = \"{perms}\"");
        rule(&format!("component = \"{who}\""), &map)
    };
    let maps = map("a", "rw") + &map("b", "r");
    assert_eq!(told(&maps, &stream("m")), ["+grant a: log: put"]);
}

#[test]
fn every_kind_of_authority_counts() {
    for (holder, authority, told_as) in [
        ("component", "irq = 7", "irq a: interrupt 7"),
        ("component", "smc = true", "smc a: secure monitor calls"),
        ("component", "child = \"b\"", "child a: child `b`"),
        ("component", "vm = \"g\"", "vm a: virtual machine `g`"),
        ("component", "cap = \"sc of b\"", "cap a: the sc of `b`"),
        (
            "guest",
            "region = \"m\"\nperms = \"r\"",
            "guest_map guest `g`: memory region `m`, r",
        ),
        (
            "device",
            "region = \"m\"\nperms = \"rw\"",
            "device_map device `d`: memory region `m`, rw",
        ),
    ] {
        let name = &holder[..1].replace('c', "a");
        let rule = rule(&format!("{holder} = \"{name}\""), authority);
        assert_eq!(told("", &rule), [format!("+{told_as}")]);
    }
    let device = |region, word: &str| {
        let fields = format!("region = \"{region}\"\nperms = \"rw\"{word}");
        rule("component = \"a\"", &fields)
    };
    let [none, unbounded] =
        ["none", "unbounded"].map(|it| device("m", &format!("\ndma = \"{it}\"")));
    assert_eq!(
        told(&none, &unbounded),
        ["+dma a: all physical memory, through region `m`"]
    );
    assert_eq!(
        told("", &device("regs", "")),
        [
            "+driver a: control of device `d`",
            "+map a: memory region `regs`, rw"
        ]
    );
}

#[test]
fn what_is_learned_through_the_manager_counts() {
    let inspect = grant("a", "manager", "inspect", "why", "mode = \"call\"");
    assert_eq!(
        told("", &inspect),
        [
            "+grant a: inspect: why",
            "+inspect a: denials and faults of `b`"
        ]
    );
    let log = grant(
        "manager",
        "b",
        "log",
        "put",
        "mode = \"stream\"\nregion = \"m\"",
    );
    let reader = rule("component = \"a\"", "region = \"m\"\nperms = \"r\"");
    assert_eq!(
        told(&log, &(log.clone() + &reader)),
        [
            "+grant_log a: denials and faults of `b`",
            "+map a: memory region `m`, r"
        ]
    );
    // The manager writes down no denial of a domain that must tell the log's keeper nothing.
    let text = |never: &str| {
        read(&format!(
            "name = \"x\"\nversion = 1\n[domains]\nin = {{}}\nout = {{}}\n[interfaces.log]\nput = 0\n\
             [components.manager]\ndomain = \"in\"\n[components.web]\ndomain = \"out\"\n\
             [components.b]\ndomain = \"in\"\noffers = [\"log\"]\n{log}{never}"
        ))
    };
    let silent = text("[[never]]\nfrom = \"out\"\nto = \"in\"\nreason = \"r\"\n");
    let added = diff(&silent, &text("")).added;
    let kinds: Vec<_> = added.iter().map(|it| (it.kind, it.what.as_str())).collect();
    assert_eq!(
        kinds,
        [
            ("grant_log", "denials and faults of `web`"),
            ("never", "what the rule forbids")
        ]
    );
}

#[test]
fn an_honesty_that_is_assumed_is_told() {
    let device = "region = \"m\"\nperms = \"rw\"\ndma = \"unbounded\"";
    let dma = rule("component = \"a\"", device);
    let (without, with) = (ruled(""), ruled(&dma));
    let difference = diff(&without, &with);
    assert_eq!(difference.assumed, ["`a`"]);
    assert!(difference.assumed_no_longer.is_empty());
    let back = diff(&with, &without);
    assert_eq!(
        (back.assumed.len(), back.assumed_no_longer),
        (0, vec!["`a`".to_owned()])
    );
    let log = |rest: &str| {
        let rest = format!("mode = \"stream\"\nregion = \"m\"{rest}");
        ruled(&grant("manager", "b", "log", "put", &rest))
    };
    let opaque = diff(&log(""), &log("\nrecords = \"opaque\""));
    assert_eq!(opaque.assumed, ["`b`"]);
    assert!(!opaque.is_empty());
}

#[test]
fn a_method_with_another_number_is_the_same_method() {
    let text = |numbers: &str| {
        let rest = "[components.store]\ndomain = \"in\"\noffers = [\"records\"]\n\
                    [components.web]\ndomain = \"in\"\n[[grants]]\nsubject = \"web\"\nobject = \"store\"\n\
                    interface = \"records\"\nmethods = [\"get\"]\nmode = \"call\"\nwhen = \"boot\"\n\
                    reason = \"r\"\n";
        read(&format!(
            "name = \"x\"\nversion = 1\n[domains]\nin = {{}}\n[interfaces.records]\n{numbers}\n{rest}"
        ))
    };
    let old = text("get = 0\nwipe = 1");
    let difference = diff(&old, &text("get = 1\nwipe = 0"));
    assert!(difference.added.is_empty() && difference.taken.is_empty());
    let told: Vec<_> = difference
        .renumbered
        .iter()
        .map(|it| (it.interface.as_str(), it.method.as_str(), it.old, it.new))
        .collect();
    assert_eq!(told, [("records", "get", 0, 1), ("records", "wipe", 1, 0)]);
    // Another method in its place is a change, and no renumbering.
    let other = diff(&old, &text("get = 0\nerase = 1"));
    assert!(other.is_empty(), "no grant carries it: {other:?}");
}

const DOMAINS: [&str; 3] = ["net", "safe", "out"];
const COMPONENTS: [&str; 4] = ["a", "b", "c", "d"];

/// Which domain each component is in, if it is there, and the rules.
type Shape = (Vec<Option<usize>>, BTreeSet<(usize, usize)>);

fn shape() -> impl Strategy<Value = Shape> {
    let homes = prop::collection::vec(prop::option::weighted(0.8, 0..3_usize), 4);
    let rules = prop::collection::btree_set((0..3_usize, 0..3_usize), 0..5);
    (homes, rules).prop_map(|(homes, rules)| {
        (
            homes,
            rules.into_iter().filter(|(from, to)| from != to).collect(),
        )
    })
}

fn of(shape: &Shape) -> Policy {
    let (homes, rules) = shape;
    let components: Vec<_> = COMPONENTS
        .iter()
        .zip(homes)
        .filter_map(|(name, home)| Some((*name, DOMAINS[(*home)?])))
        .collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|(a, b)| (DOMAINS[*a], DOMAINS[*b]))
        .collect();
    policy(&components, &rules)
}

/// Whether the rules keep two components apart; `None`: one is not there.
fn apart(shape: &Shape, from: usize, to: usize) -> Option<bool> {
    let pair = (shape.0[from]?, shape.0[to]?);
    Some(shape.1.contains(&pair))
}

proptest! {
    /// Something of `never` is added exactly where two components that both policies have are kept
    /// apart by the old one alone, or a rule that kept nothing apart is gone.
    #[test]
    fn nothing_that_was_kept_apart_is_lost_in_silence(old in shape(), new in shape()) {
        let difference = diff(&of(&old), &of(&new));
        let mut pairs = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
        let lost = pairs.any(|(a, b)| {
            apart(&old, a, b) == Some(true) && apart(&new, a, b) == Some(false)
        });
        let is_empty = |domain: usize| !old.0.contains(&Some(domain));
        let mut rules = old.1.iter().filter(|rule| !new.1.contains(rule));
        let idle = rules.any(|(from, to)| is_empty(*from) || is_empty(*to));
        prop_assert_eq!(!difference.added.is_empty(), lost || idle);
    }
}

/// The changes, as "sign kind, subject".
fn changes(old: &str, new: &str) -> Vec<String> {
    let difference = diff(&read(old), &read(new));
    let signs = [("+", &difference.added), ("-", &difference.taken)];
    let all = signs.into_iter().flat_map(|(sign, all)| {
        all.iter()
            .map(move |it| format!("{sign}{} {}", it.kind, it.subject))
    });
    all.collect()
}

#[test]
fn a_rule_that_stays_no_longer_for_good_is_told() {
    let text = "[domains]\nnet = {}\nsafe = {}\n[components.a]\ndomain = \"net\"\n\
                [[never]]\nfrom = \"net\"\nto = \"safe\"\n";
    let permanent = format!("{text}permanent = true\n");
    assert_eq!(changes(&permanent, text), ["+permanent net"]);
    assert_eq!(changes(text, &permanent), ["-permanent net"]);
    assert!(changes(&permanent, &permanent).is_empty());
}

#[test]
fn who_may_sign_the_next_policy_is_told() {
    // The public keys of tests 1 and 2 of RFC 8032.
    let keys = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ];
    let with = |keys: &[&str]| format!("successor_keys = {keys:?}");
    let [first, second] = keys.map(|key| format!("successor_key {key}"));
    assert_eq!(
        changes("", &with(&keys[..1])),
        [
            format!("+{first}"),
            "-successor_key who signed this one".to_owned()
        ]
    );
    assert_eq!(
        changes(&with(&keys[..1]), &with(&keys)),
        [format!("+{second}")]
    );
    assert_eq!(
        changes(&with(&keys), &with(&keys[..1])),
        [format!("-{second}")]
    );
    assert!(changes(&with(&keys), &with(&[keys[1], keys[0]])).is_empty());
}
