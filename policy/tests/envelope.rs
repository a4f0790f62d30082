//! What of a policy needs another image, and what does not.

mod common;

use std::sync::Arc;

use common::{render, source, system};
use portcullis_policy::{Checked, Source, compile};
use portcullis_policy_format::Policy;
use sha2::{Digest as _, Sha256};

const POLICY: &str = "policy/appliance.toml";
const SYSTEM: &str = "system.xml";

/// What a compiled policy says of itself: system, envelope, successors' keys.
fn said(policy: &str, description: &str) -> ([u8; 32], [u8; 32], Vec<[u8; 32]>) {
    let description = Arc::new(Source::new(SYSTEM, description));
    let policy = Arc::new(Source::new(POLICY, policy));
    let checked = Checked::new(policy, system(&description), description);
    let checked = checked.unwrap_or_else(|problems| panic!("{}", render(&problems)));
    let compiled = compile(&checked);
    let policy = Policy::inspect(&compiled).unwrap();
    let tail = policy.tail().unwrap();
    (tail.system, tail.envelope, tail.successor_keys().to_vec())
}

fn texts() -> (String, String) {
    (
        source(POLICY).text().to_owned(),
        source(SYSTEM).text().to_owned(),
    )
}

/// Replaces what must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn a_policy_names_the_description_that_it_was_compiled_for() {
    let (policy, description) = texts();
    let (system, envelope, _) = said(&policy, &description);
    assert_eq!(system, <[u8; 32]>::from(Sha256::digest(&description)));
    // A comment makes it another text, and no other image.
    let commented = said(&policy, &format!("{description}<!-- the same -->"));
    assert_ne!(commented.0, system);
    assert_eq!(commented.1, envelope);
}

#[test]
fn what_an_image_has_room_for_stays_in_the_envelope() {
    let (policy, description) = texts();
    let (_, envelope, _) = said(&policy, &description);
    let later = with(&policy, "version = 1", "version = 2");
    assert_eq!(said(&later, &description).1, envelope);
    let less = with(&policy, "\"stat\", ", "");
    assert_eq!(said(&less, &description).1, envelope, "one method less");
}

#[test]
fn what_needs_another_image_leaves_the_envelope() {
    let (policy, description) = texts();
    let (_, envelope, _) = said(&policy, &description);
    let kept_apart = with(&policy, "[[never]]\n", "[[never]]\npermanent = true\n");
    assert_ne!(said(&kept_apart, &description).1, envelope);
    // Which side is empty counts, and so does that there is such a rule.
    let empty = with(&policy, "[domains]\n", "[domains]\nnobody = {}\n");
    let rule = |from: &str, to: &str| {
        format!("{empty}\n[[never]]\npermanent = true\nfrom = \"{from}\"\nto = \"{to}\"\n")
    };
    let rules = [rule("nobody", "edge"), rule("edge", "nobody")];
    let [one, other] = rules.map(|policy| said(&policy, &description).1);
    assert!(one != envelope && other != envelope && one != other);
    // A bit of the console's notification is another channel's.
    let renumbered = with(
        &description,
        "<irq irq=\"33\" id=\"1\"",
        "<irq irq=\"33\" id=\"2\"",
    );
    assert_ne!(said(&policy, &renumbered).1, envelope);
}

#[test]
fn a_policy_names_who_may_sign_the_next() {
    let (policy, description) = texts();
    assert_eq!(said(&policy, &description).2, [[0; 32]; 0]);
    // The public key of test 1 of RFC 8032.
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let keys = format!("version = 1\nsuccessor_keys = [\"{key}\"]");
    let rotated = with(&policy, "version = 1", &keys);
    let (_, _, successors) = said(&rotated, &description);
    assert_eq!(successors.len(), 1);
    assert_eq!(portcullis_policy::keys::hexadecimal(&successors[0]), key);
}

/// A guest, which is kept apart as a component is.
#[test]
fn a_guest_is_kept_apart_for_good() {
    let description = "<system><memory_region name=\"ram\" size=\"0x1000\" />\
        <protection_domain name=\"vmm\" priority=\"9\"><program_image path=\"p.elf\" />\
        <virtual_machine name=\"linux\"><vcpu id=\"0\" />\
        <map mr=\"ram\" vaddr=\"0x10000000\" perms=\"rw\" /></virtual_machine></protection_domain></system>";
    let policy = |domain: &str| {
        format!(
            "[domains]\nin = {{}}\nout = {{}}\nsafe = {{}}\n[components.vmm]\ndomain = \"in\"\n\
             [guests.linux]\ndomain = \"{domain}\"\n\
             [[flows]]\nfrom = \"in\"\nto = \"out\"\nmodes = [\"call\"]\nreason = \"its monitor\"\n\
             [[static]]\ncomponent = \"vmm\"\nvm = \"linux\"\nreason = \"its monitor\"\n\
             [[static]]\nguest = \"linux\"\nregion = \"ram\"\nperms = \"rw\"\nreason = \"its memory\"\n\
             [[never]]\npermanent = true\nfrom = \"out\"\nto = \"safe\"\n"
        )
    };
    let inside = policy("in").replace(
        "[[flows]]\nfrom = \"in\"\nto = \"out\"\nmodes = [\"call\"]\nreason = \"its monitor\"\n",
        "",
    );
    assert_ne!(
        said(&policy("out"), description).1,
        said(&inside, description).1
    );
}
