//! The reference policy holds, and compiles to what the manager reads.

mod common;

use std::sync::Arc;

use common::{source, system};
use ed25519_dalek::SigningKey;
use portcullis_policy::why::{Verdict, why};
use portcullis_policy::{Checked, Described, Source, compile, load, sign};
use portcullis_policy_format as format;

#[test]
fn the_reference_policy_holds() {
    let text = source("system.xml");
    let system = system(&text);
    let described = Described::new(&system, &text);
    if let Err(problems) = load(source("policy/appliance.toml"), Some(described)) {
        panic!("{}", common::render(&problems));
    }
}

#[test]
fn nobody_can_ever_list_or_remove_what_the_vault_keeps() {
    let policy = load(source("policy/appliance.toml"), None).unwrap();
    for method in ["list", "delete"] {
        for component in &policy.components {
            let verdict = why(&policy, None, &component.name, "vault", method).unwrap();
            let refused = ["forbidden", "not permitted"].contains(&verdict.word());
            assert!(refused, "{} may {method}: {verdict:?}", component.name);
        }
    }
}

/// There is no method that changes a record or writes over a block of a log, and what appends to the
/// logs' regions can be held by the ledger alone: at boot, on request, or by delegation.
#[test]
fn nobody_can_ever_change_what_a_log_holds() {
    let policy = load(source("policy/appliance.toml"), None).unwrap();
    let methods = |name: &str| -> Vec<&str> {
        let interface = policy.interfaces.iter().find(|it| it.name == name);
        let methods = &interface.unwrap().methods;
        methods.iter().map(|it| it.name.as_str()).collect()
    };
    assert_eq!(methods("worm"), ["append", "read", "prove"]);
    let disk = "info vault_read vault_write grants_read grants_append worm_read worm_append flush";
    assert_eq!(methods("disk").join(" "), disk);
    let who_may = |object: &str, method: &str| -> Vec<&str> {
        let components = policy.components.iter().map(|it| it.name.as_str());
        let may = |subject: &&str| {
            let verdict = why(&policy, None, subject, object, method).unwrap();
            matches!(verdict, Verdict::Allowed(_) | Verdict::Unavailable(_))
        };
        components.filter(may).collect()
    };
    for append in ["grants_append", "worm_append"] {
        assert_eq!(who_may("blk", append), ["ledger"]);
    }
    assert_eq!(who_may("blk", "vault_write"), ["vault"]);
    assert_eq!(who_may("ledger", "append"), ["manager", "ingest"]);
}

#[test]
fn the_manager_reads_what_was_compiled() {
    let description = source("system.xml");
    let policy = source("policy/appliance.toml");
    let policy = Checked::new(policy, system(&description), description).unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let signed = sign(&compile(&policy), &key).unwrap();
    let read = format::Policy::verify(&signed, &[key.verifying_key()], 0).unwrap();
    assert_eq!(read.name(), "reference-appliance");
    assert_eq!(read.counts().components, 10);
    let (ingest, component) = read.component("ingest").unwrap();
    assert_eq!(component.channel, Some(7));
    let slots: Vec<u16> = read
        .grants()
        .map(|it| it.grant)
        .filter(|grant| grant.subject == ingest)
        .map(|grant| grant.slot)
        .collect();
    assert_eq!(slots, [1, 2, 3, 4]);
    // Bit 0 of the ledger's notification is its channel to the manager.
    let (ledger, _) = read.component("ledger").unwrap();
    let stream = read
        .grants()
        .find(|it| it.grant.object == ledger && it.notification.is_some());
    assert_eq!(stream.unwrap().notification, Some(1));
}

/// A call tells its server something, and what these two write stands in every record: whoever must never tell
/// the ledger anything may call neither.
#[test]
fn entropy_and_clock_serve_whom_a_policy_grants_them_and_are_no_way_around_a_never() {
    let description = source("system.xml");
    let held = |domains: &[(&str, &str)]| {
        let mut text = source("policy/appliance.toml").text().to_owned();
        for (domain, subject) in domains {
            for (object, method) in [("entropy", "random"), ("clock", "now")] {
                text += &format!(
                    "\n[[flows]]\nfrom = \"{domain}\"\nto = \"{object}\"\nmodes = [\"call\"]\n\
                     [[grants]]\nsubject = \"{subject}\"\nobject = \"{object}\"\n\
                     interface = \"{object}\"\nmethods = [\"{method}\"]\nmode = \"call\"\n\
                     when = \"boot\"\n"
                );
            }
        }
        let policy = Arc::new(Source::new("appliance.toml", text));
        let system = system(&description);
        Checked::new(policy, system, Arc::clone(&description)).map(drop)
    };
    let (vault, edge) = (("vault", "vault"), ("edge", "edge"));
    assert!(held(&[vault]).is_ok());
    for domains in [&[edge][..], &[vault, edge]] {
        let problems = held(domains).unwrap_err();
        let codes: Vec<String> = problems.iter().map(|it| it.code_name()).collect();
        // The ledger, and the vault, which calls it.
        assert_eq!(codes, ["policy::never_broken"; 2]);
    }
}

/// Without the word, the denials of the edge would tell the ledger something, and are left out of the log.
#[test]
fn who_must_never_tell_the_log_anything_is_redacted_unless_its_records_are_opaque() {
    let text = source("system.xml");
    let redacted = |policy: &str| -> Vec<String> {
        let policy = Arc::new(Source::new("appliance.toml", policy));
        let checked = Checked::new(policy, system(&text), Arc::clone(&text)).unwrap();
        let compiled = compile(&checked);
        let compiled = format::Policy::inspect(&compiled).unwrap();
        let components = (0..).zip(compiled.components());
        let redacted = components.filter(|(number, _)| compiled.is_redacted(*number));
        redacted.map(|(_, it)| it.name.to_owned()).collect()
    };
    let opaque = source("policy/appliance.toml").text().to_owned();
    assert_eq!(redacted(&opaque), [""; 0]);
    let line = opaque.lines().find(|line| line.starts_with("records = "));
    let read = opaque.replace(line.unwrap(), "");
    let never = "\n[[never]]\nfrom = \"console\"\nto = \"ledger\"\n";
    assert_eq!(redacted(&(read + never)), ["edge", "console"]);
}
