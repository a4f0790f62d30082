//! What holds for every policy: nothing panics, the compiled form says what the policy says, and the
//! views of a ceiling agree.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use common::{render, source, system};
use ed25519_dalek::SigningKey;
use portcullis_policy::diff::diff;
use portcullis_policy::model::{Modes, Policy};
use portcullis_policy::why::{Verdict, why};
use portcullis_policy::{Ceiling, Checked, Described, Source, compile, load, sign};
use portcullis_policy_format as format;
use portcullis_policy_format::When;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Components of the generated policies beside the manager; each runs above the one before it, so
/// that calls to a later one are no cycle and no inversion.
const COMPONENTS: usize = 6;
const METHODS: usize = 4;

#[derive(Clone, Debug)]
struct Rule {
    subject: usize,
    object: usize,
    methods: BTreeSet<usize>,
    mode: &'static str,
    boot: bool,
    delegate: Option<usize>,
    lease: Option<u32>,
}

fn rule() -> impl Strategy<Value = Rule> {
    let mode = select(vec!["call", "send", "notify"]);
    let methods = proptest::collection::btree_set(0..METHODS, 1..=METHODS);
    (
        0..COMPONENTS - 2,
        1..COMPONENTS,
        methods,
        mode,
        any::<bool>(),
    )
        .prop_flat_map(|(subject, above, methods, mode, boot)| {
            let object = (subject + above).min(COMPONENTS - 1);
            let delegate = proptest::option::of(0..object);
            let lease = proptest::option::of(1..u32::MAX);
            (
                Just((subject, object, methods, mode, boot)),
                delegate,
                lease,
            )
        })
        .prop_map(
            |((subject, object, methods, mode, boot), delegate, lease)| Rule {
                subject,
                object,
                methods,
                mode,
                boot,
                delegate: delegate.filter(|it| *it != subject && !boot),
                lease,
            },
        )
}

/// Rules of which no two are for one object, interface and mode.
fn rules() -> impl Strategy<Value = Vec<Rule>> {
    vec(rule(), 0..24).prop_map(|rules| {
        let mut seen = BTreeSet::new();
        let mut fresh = |rule: &Rule| seen.insert((rule.subject, rule.object, rule.mode));
        rules.into_iter().filter(|rule| fresh(rule)).collect()
    })
}

fn policy_text(rules: &[Rule]) -> String {
    let mut text =
        String::from("name = \"generated\"\nversion = 3\n[domains]\none = {}\n[interfaces.i]\n");
    for method in 0..METHODS {
        writeln!(text, "m{method} = {}", method * 7).unwrap();
    }
    for component in ["manager", "clock"] {
        writeln!(text, "[components.{component}]\ndomain = \"one\"").unwrap();
    }
    for component in 0..COMPONENTS {
        write!(
            text,
            "[components.c{component}]\ndomain = \"one\"\noffers = [\"i\"]\n"
        )
        .unwrap();
    }
    for rule in rules {
        let methods: Vec<String> = rule.methods.iter().map(|it| format!("\"m{it}\"")).collect();
        let when = if rule.boot { "boot" } else { "request" };
        let Rule {
            subject,
            object,
            mode,
            ..
        } = rule;
        write!(
            text,
            "[[grants]]\nsubject = \"c{subject}\"\nobject = \"c{object}\"\ninterface = \"i\"\n\
             methods = [{}]\nmode = \"{mode}\"\nwhen = \"{when}\"\n",
            methods.join(", ")
        )
        .unwrap();
        if let Some(delegate) = rule.delegate {
            writeln!(text, "delegate = [\"c{delegate}\"]").unwrap();
        }
        if let Some(lease) = rule.lease {
            writeln!(text, "lease = \"{lease}ms\"").unwrap();
        }
    }
    // The manager logs.
    write!(
        text,
        "[[grants]]\nsubject = \"manager\"\nobject = \"c{}\"\ninterface = \"i\"\n\
         methods = [\"m0\"]\nmode = \"stream\"\nregion = \"ring\"\nwhen = \"boot\"\n",
        COMPONENTS - 1
    )
    .unwrap();
    let log = format!("c{}", COMPONENTS - 1);
    for (component, region, perms) in [
        ("manager", "policy", "r"),
        ("manager", "keys", "r"),
        ("manager", "ack", "r"),
        (log.as_str(), "ack", "rw"),
        ("manager", "deadline", "rw"),
        ("clock", "deadline", "r"),
    ] {
        write!(
            text,
            "[[static]]\ncomponent = \"{component}\"\nregion = \"{region}\"\nperms = \"{perms}\"\n"
        )
        .unwrap();
    }
    for (component, channel) in [("manager", "clock"), ("clock", "manager")] {
        write!(
            text,
            "[[static]]\ncomponent = \"{component}\"\nchannel = \"{channel}\"\nmode = \"notify\"\n"
        )
        .unwrap();
    }
    text
}

fn system_text() -> String {
    let pd = |name: &str, priority: usize, map: &str| {
        format!(
            "<protection_domain name=\"{name}\" priority=\"{priority}\">\
             <program_image path=\"{name}.elf\" />{map}</protection_domain>\n"
        )
    };
    let map = |region: &str, vaddr: &str, perms: &str, symbol: &str| {
        format!(
            "<map mr=\"{region}\" vaddr=\"{vaddr}\" perms=\"{perms}\" setvar_vaddr=\"{symbol}\" \
             setvar_size=\"{symbol}_size\" />"
        )
    };
    let log = |ring, ack| {
        map("ring", "0x10000000", ring, "grant_log")
            + &map("ack", "0x10010000", ack, "grant_log_ack")
    };
    let mut text = "<system>\n<memory_region name=\"ring\" size=\"0x8000\" />\n".to_owned();
    for page in ["ack", "deadline"] {
        writeln!(text, "<memory_region name=\"{page}\" size=\"0x1000\" />").unwrap();
    }
    for region in ["policy", "keys"] {
        let file = format!("prefill_path=\"{region}.bin\"");
        writeln!(
            text,
            "<memory_region name=\"{region}\" size=\"0x1000\" {file} />"
        )
        .unwrap();
    }
    let policy = map("policy", "0x10020000", "r", "policy");
    let keys = map("keys", "0x10030000", "r", "policy_keys");
    let deadline = |perms| map("deadline", "0x10040000", perms, "lease_deadline");
    let managers = log("rw", "r") + &policy + &keys + &deadline("rw");
    text += &pd("manager", 253, &managers);
    let clock = pd("clock", 254, &deadline("r"));
    text += &clock.replacen("priority", "budget=\"100\" period=\"500\" priority", 1);
    for component in 0..COMPONENTS {
        let map = match component + 1 {
            COMPONENTS => log("r", "rw"),
            _ => String::new(),
        };
        text += &pd(&format!("c{component}"), 10 + component, &map);
    }
    for component in 0..COMPONENTS {
        writeln!(
            text,
            "<channel><end pd=\"c{component}\" id=\"0\" pp=\"true\" notify=\"false\" />\
             <end pd=\"manager\" id=\"{}\" notify=\"false\" /></channel>",
            component + 1
        )
        .unwrap();
    }
    text += "<channel><end pd=\"clock\" id=\"0\" /><end pd=\"manager\" id=\"61\" /></channel>\n";
    text + "</system>\n"
}

fn read(text: &str) -> Policy {
    match load(Arc::new(Source::new("generated", text)), None) {
        Ok(policy) => policy,
        Err(problems) => panic!("{}\n{text}", render(&problems)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        if let Err(problems) = load(Arc::new(Source::new("x", text)), None) {
            prop_assert!(!render(&problems).is_empty());
        }
    }

    /// Damage to a policy that makes sense reaches further than noise does.
    #[test]
    fn no_damage_makes_the_checks_panic(
        cuts in vec((any::<prop::sample::Index>(), 0_usize..40, "[a-z\"=\\[\\]{} \n0-9]{0,6}"), 1..4),
    ) {
        let mut text = source("policy/appliance.toml").text().to_owned();
        for (at, length, with) in &cuts {
            // The reference policy is ASCII, and so is what is put into it.
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, with);
        }
        let description = source("system.xml");
        let system = system(&description);
        let described = Described::new(&system, &description);
        if let Err(problems) = load(Arc::new(Source::new("x", text)), Some(described)) {
            for problem in problems.iter() {
                prop_assert!(!problem.to_string().is_empty());
                prop_assert!(!problem.code_name().is_empty());
                prop_assert!(!problem.remedy().is_empty());
            }
            prop_assert!(!render(&problems).is_empty());
        }
    }

    #[test]
    fn the_compiled_form_says_what_the_policy_says(rules in rules()) {
        let text = Arc::new(Source::new("policy.toml", policy_text(&rules)));
        let description = Arc::new(Source::new("system.xml", system_text()));
        let checked = Checked::new(text, system(&description), description).unwrap();
        let (compiled, policy) = (compile(&checked), checked.policy());
        let key = SigningKey::from_bytes(&[3; 32]);
        let signed = sign(&compiled, &key).unwrap();
        let read = format::Policy::verify(&signed, &[key.verifying_key()], 2).unwrap();
        let ceiling = Ceiling::of(policy);
        prop_assert_eq!(read.version(), 3);
        prop_assert_eq!(read.grants().count(), ceiling.count());
        let mut bits: BTreeMap<u16, u64> = BTreeMap::new();
        for (written, held) in read.grants().zip(ceiling.grants()) {
            let grant = written.grant;
            prop_assert_eq!(grant.subject, held.subject.0);
            prop_assert_eq!(u32::from(grant.slot), held.slot);
            prop_assert_eq!(grant.object, held.object.0);
            prop_assert_eq!(grant.methods, held.methods);
            prop_assert_eq!(grant.mode, held.mode);
            prop_assert_eq!(written.when, held.when);
            prop_assert_eq!(written.lease_ms, held.lease_ms);
            prop_assert_eq!(written.line, policy.grants[held.rule].line());
            if let Some(bit) = written.notification {
                let used = bits.entry(grant.object).or_default();
                prop_assert_eq!(*used & 1 << bit, 0, "no bit twice");
                prop_assert!(bit > 0, "bit 0 is the channel to the manager");
                *used |= 1 << bit;
            }
        }
    }

    #[test]
    fn why_agrees_with_the_rules(rules in rules()) {
        let policy = read(&policy_text(&rules));
        for subject in 0..COMPONENTS {
            for object in 0..COMPONENTS {
                for method in 0..METHODS {
                    let [s, o, m] = [format!("c{subject}"), format!("c{object}"), format!("m{method}")];
                    let verdict = why(&policy, None, &s, &o, &m).unwrap();
                    let to_object: Vec<&Rule> = rules
                        .iter()
                        .filter(|rule| rule.object == object && rule.methods.contains(&method))
                        .collect();
                    let own = |issued| to_object.iter().any(|it| it.subject == subject && it.boot == issued);
                    let delegated = to_object.iter().any(|it| it.delegate == Some(subject));
                    match verdict {
                        Verdict::Allowed(held) => {
                            prop_assert!(own(true));
                            prop_assert_eq!(held.when, When::Boot);
                        }
                        Verdict::Unavailable(_) => prop_assert!(!own(true) && (own(false) || delegated)),
                        Verdict::Forbidden { .. } => prop_assert!(false, "there is no never rule"),
                        Verdict::Channel(_) => prop_assert!(false, "there is no channel"),
                        Verdict::NotPermitted { .. } => prop_assert!(!own(true) && !own(false) && !delegated),
                    }
                }
            }
        }
    }

    #[test]
    fn a_difference_is_empty_exactly_for_the_same(one in rules(), other in rules()) {
        let [first, second] = [&one, &other].map(|rules| read(&policy_text(rules)));
        prop_assert!(diff(&first, &first).is_empty());
        let mut turned = one.clone();
        turned.reverse();
        prop_assert!(diff(&first, &read(&policy_text(&turned))).is_empty(), "order says nothing");
        let there = diff(&first, &second);
        let back = diff(&second, &first);
        prop_assert_eq!(there.added.len(), back.taken.len());
        prop_assert_eq!(there.taken.len(), back.added.len());
    }
}

#[test]
fn modes_are_compiled_in_the_order_of_their_bits() {
    for (bit, mode) in Modes::ALL.into_iter().enumerate() {
        assert_eq!(Modes::default().with(mode).bits(), 1 << bit);
    }
}
