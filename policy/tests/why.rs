//! `why`: what is forbidden is what no line could allow, and channels are seen.

use std::fmt::Write;
use std::sync::Arc;

use portcullis_policy::why::{Verdict, why};
use portcullis_policy::{Policy, Source, check, read};
use proptest::collection::vec;
use proptest::prelude::*;

const COMPONENTS: usize = 4;
const MANAGER: usize = 4;

fn name(component: usize) -> String {
    match component {
        MANAGER => String::from("manager"),
        other => format!("c{other}"),
    }
}

fn policy(text: &str) -> Policy {
    let reading = read::read(Arc::new(Source::new("policy.toml", text)));
    assert!(
        reading.problems.is_empty(),
        "{:?}\n{text}",
        reading.problems
    );
    reading.policy
}

/// Whether a `never` rule is broken.
fn is_broken(text: &str) -> bool {
    let problems = check::alone(&policy(text));
    problems
        .iter()
        .any(|it| it.code_name() == "policy::never_broken")
}

fn grant(subject: usize, object: usize, mode: &str) -> String {
    let interface = if object == MANAGER { "inspect" } else { "i" };
    format!(
        "[[grants]]\nsubject = \"{}\"\nobject = \"{}\"\ninterface = \"{interface}\"\n\
         methods = [\"m\"]\nmode = \"{mode}\"\nwhen = \"request\"\nreason = \"r\"\n",
        name(subject),
        name(object)
    )
}

/// Components, each in a domain of its own, that grants, channels and memory join.
fn joined() -> impl Strategy<Value = String> {
    let pair = || (0..=COMPONENTS, 0..=COMPONENTS);
    let line = prop_oneof![
        (pair(), any::<bool>())
            .prop_map(|((from, to), call)| { grant(from, to, if call { "call" } else { "send" }) }),
        (0..COMPONENTS, 0..COMPONENTS, any::<bool>()).prop_map(|(from, to, call)| {
            let mode = if call { "call" } else { "notify" };
            let (from, to) = (name(from), name(to));
            format!("[[static]]\ncomponent = \"{from}\"\nchannel = \"{to}\"\nmode = \"{mode}\"\n")
        }),
        (0..=COMPONENTS, 0..2, any::<bool>()).prop_map(|(who, region, write)| {
            let perms = if write { "rw" } else { "r" };
            let who = name(who);
            format!(
                "[[static]]\ncomponent = \"{who}\"\nregion = \"r{region}\"\nperms = \"{perms}\"\n"
            )
        }),
    ];
    vec(line, 0..5).prop_map(|lines| {
        let mut text =
            String::from("[interfaces.i]\nm = 0\n[interfaces.inspect]\nm = 0\n[domains]\n");
        for component in 0..=COMPONENTS {
            writeln!(text, "d{component} = {{}}").unwrap();
        }
        for component in 0..=COMPONENTS {
            let offers = if component == MANAGER { "inspect" } else { "i" };
            writeln!(
                text,
                "[components.{}]\ndomain = \"d{component}\"\noffers = [\"{offers}\"]",
                name(component)
            )
            .unwrap();
        }
        text + &lines.concat()
    })
}

/// The same with those of some `never` rules that hold.
fn guarded() -> impl Strategy<Value = String> {
    let rules = vec((0..=COMPONENTS, 0..=COMPONENTS), 0..6);
    (joined(), rules).prop_map(|(mut text, rules)| {
        for (from, to) in rules.into_iter().filter(|(from, to)| from != to) {
            let rule = format!("[[never]]\nfrom = \"d{from}\"\nto = \"d{to}\"\n");
            let wider = text.clone() + &rule;
            if !is_broken(&wider) {
                text = wider;
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What no line allows is forbidden exactly where adding a line that is one way breaks a rule, and
    /// a call is forbidden exactly where adding one does.
    #[test]
    fn forbidden_is_what_no_line_could_allow(text in guarded()) {
        let policy = policy(&text);
        for subject in 0..=COMPONENTS {
            for object in (0..=COMPONENTS).filter(|object| *object != subject) {
                let with = |mode| is_broken(&(text.clone() + &grant(subject, object, mode)));
                let (from, to) = (name(subject), name(object));
                let calls = format!("\"{from}\"\nchannel = \"{to}\"\nmode = \"call\"\n");
                match why(&policy, None, &name(subject), &name(object), "m").unwrap() {
                    Verdict::Forbidden { path, .. } => {
                        prop_assert!(with("send"));
                        let own = format!("`{}`", name(subject));
                        prop_assert!(path.contains(&own), "{:?}", path);
                    }
                    Verdict::NotPermitted { no_call, .. } => {
                        prop_assert!(!with("send") && !text.contains(&calls));
                        prop_assert_eq!(no_call.is_some(), with("call"));
                    }
                    _ => prop_assert!(!is_broken(&text)),
                }
            }
        }
    }
}

/// `edge` sends to `console`; nothing may flow from the edge to the vault.
const SHOP: &str = "[domains]\nedge = {}\nvault = {}\nother = {}\n[interfaces.i]\nm = 0\n\
    [components.edge]\ndomain = \"edge\"\noffers = [\"i\"]\n[components.vault]\ndomain = \"vault\"\n\
    offers = [\"i\"]\n[components.console]\ndomain = \"other\"\noffers = [\"i\"]\n\
    [[flows]]\nfrom = \"edge\"\nto = \"other\"\nmodes = [\"send\"]\n\
    [[grants]]\nsubject = \"edge\"\nobject = \"console\"\ninterface = \"i\"\nmethods = [\"m\"]\n\
    mode = \"send\"\nwhen = \"boot\"\n[[never]]\nfrom = \"edge\"\nto = \"vault\"\n";

#[test]
fn a_rule_forbids_what_would_complete_a_path() {
    let policy = policy(SHOP);
    let forbidden = |subject, object| match why(&policy, None, subject, object, "m").unwrap() {
        Verdict::Forbidden { path, .. } => path.join(" "),
        other => other.word().to_owned(),
    };
    assert_eq!(forbidden("edge", "vault"), "`edge` `vault`");
    assert_eq!(forbidden("console", "vault"), "`edge` `console` `vault`");
    assert_eq!(forbidden("console", "edge"), "not permitted");
    // Only a call's reply would flow there.
    let no_call = |subject, object| match why(&policy, None, subject, object, "m").unwrap() {
        Verdict::NotPermitted { no_call, .. } => no_call.is_some(),
        other => panic!("{other:?}"),
    };
    assert!(no_call("vault", "edge"));
    assert!(no_call("vault", "console"));
    assert!(!no_call("console", "edge"));
}

/// `vault` and `web` call `hub`, or notify it; nothing may flow from the vault to the edge.
const HUB: &str = "[domains]\nedge = {}\nvault = {}\nweb = {}\nhub = {}\n[interfaces.i]\nm = 0\n\
    [components.edge]\ndomain = \"edge\"\noffers = [\"i\"]\n[components.vault]\ndomain = \"vault\"\n\
    [components.web]\ndomain = \"web\"\n[components.hub]\ndomain = \"hub\"\n\
    [[static]]\ncomponent = \"vault\"\nchannel = \"hub\"\nmode = \"MODE\"\n\
    [[static]]\ncomponent = \"web\"\nchannel = \"hub\"\nmode = \"MODE\"\n\
    [[never]]\nfrom = \"vault\"\nto = \"edge\"\n";

/// Microkit's own tool makes the channels of a system without a manager.
#[test]
fn who_may_call_one_receives_what_others_send_to_it() {
    let answer = |mode, more: &str| {
        let policy = policy(&(HUB.replace("MODE", mode) + more));
        match why(&policy, None, "web", "edge", "m").unwrap() {
            Verdict::Forbidden { path, .. } => path.join(" "),
            other => other.word().to_owned(),
        }
    };
    assert_eq!(answer("call", ""), "`vault` `web` `edge`");
    assert_eq!(answer("notify", ""), "not permitted");
    let manager = "[domains.manager]\n[components.manager]\ndomain = \"manager\"\n";
    assert_eq!(answer("call", manager), "`vault` `hub` `web` `edge`");
}

#[test]
fn a_channel_that_only_notifies_carries_no_method() {
    let channel = "[[static]]\ncomponent = \"console\"\nchannel = \"edge\"\nmode = \"notify\"\n\
                   reason = \"r\"\n";
    let policy = policy(&(SHOP.to_owned() + channel));
    for method in ["m", "anything"] {
        match why(&policy, None, "console", "edge", method).unwrap() {
            Verdict::NotPermitted { notifies, .. } => {
                assert_eq!(notifies.unwrap().reason.as_deref(), Some("r"));
            }
            other => panic!("{other:?}"),
        }
    }
    // Not the other way.
    assert!(why(&policy, None, "edge", "vault", "anything").is_err());
}
