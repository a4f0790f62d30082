//! The policy of the counting image: 62 grants at boot, and 62 on request.

use std::error::Error;
use std::fs;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use portcullis_boards::root;
use portcullis_policy::{Described, Source};
use portcullis_policy_format::Policy;
use portcullis_sdf::Target;
use tempfile::TempDir;

use super::GRANTS;

/// A directory with what the image is filled from: the signed policy, and the key that signed it.
pub(super) fn prepared() -> Result<TempDir, Box<dyn Error>> {
    let text = fs::read_to_string(root().join("images/counts/system.xml"))?;
    let description = Arc::new(Source::new("images/counts/system.xml", text));
    let system = portcullis_sdf::parse(description.text(), &Target::AARCH64)?;
    let described = Described {
        system: &system,
        source: &description,
    };
    let source = Arc::new(Source::new("counts.toml", policy()));
    let policy = portcullis_policy::load(source, Some(described))?;
    let compiled = portcullis_policy::compile(&policy, &system)?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let compiled = portcullis_policy::sign(&compiled, &key)?;
    assert_eq!(
        Policy::inspect(&compiled)?.counts().grants as usize,
        2 * GRANTS
    );
    let prepared = tempfile::tempdir()?;
    fs::write(prepared.path().join("appliance.policy"), compiled)?;
    fs::write(
        prepared.path().join("policy.pub"),
        key.verifying_key().as_bytes(),
    )?;
    Ok(prepared)
}

/// At boot the client holds a method of each interface of the server, and the manager its stream of
/// records; on request the client gets the other method of each, and one more.
fn policy() -> String {
    let interfaces: Vec<String> = (1..GRANTS).map(|n| format!("echo{n}")).collect();
    let offered: String = interfaces.iter().map(|it| format!(", \"{it}\"")).collect();
    let mut text = format!(
        "name = \"counts\"\nversion = 1\n\
         [domains]\nall = {{}}\n\
         [components.manager]\ndomain = \"all\"\n\
         [components.client]\ndomain = \"all\"\n\
         [components.stock]\ndomain = \"all\"\n\
         [components.server]\ndomain = \"all\"\noffers = [\"worm\"{offered}]\n\
         [interfaces.worm]\nappend = 0\n"
    );
    for interface in &interfaces {
        text += &format!("[interfaces.{interface}]\necho = 0\nmore = 1\n");
    }
    let mut grant = |subject: &str, interface: &str, method: &str, mode: &str, when: &str| {
        text += &format!(
            "[[grants]]\nsubject = \"{subject}\"\nobject = \"server\"\n\
             interface = \"{interface}\"\nmethods = [\"{method}\"]\nmode = {mode}\n\
             when = \"{when}\"\n"
        );
    };
    let stream = "\"stream\"\nregion = \"grant_log\"";
    grant("manager", "worm", "append", stream, "boot");
    for interface in &interfaces {
        grant("client", interface, "echo", "\"call\"", "boot");
        grant("client", interface, "more", "\"call\"", "request");
    }
    grant("client", "worm", "append", "\"call\"", "request");
    for (component, region, perms) in [
        ("manager", "policy", "r"),
        ("manager", "policy_keys", "r"),
        ("manager", "grant_log_ack", "r"),
        ("server", "grant_log_ack", "rw"),
        ("client", "uart", "rw"),
    ] {
        text += &format!(
            "[[static]]\ncomponent = \"{component}\"\nregion = \"{region}\"\nperms = \"{perms}\"\n"
        );
    }
    text + "[[static]]\ncomponent = \"client\"\nchannel = \"stock\"\n"
}
