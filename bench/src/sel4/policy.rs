//! The policy of the counting image: 62 grants at boot, and 31 on request.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use portcullis_policy::{Checked, Source};
use portcullis_policy_format::Policy;
use portcullis_sdf::Target;
use tempfile::TempDir;

use super::GRANTS;

/// Methods of `server` that the client is granted.
const SERVED: usize = 31;
/// Grants on request.
const REQUESTED: usize = 31;

/// A directory with what the image is filled from: the signed policy, and the key that signed it.
pub(super) fn prepared(description: &Path) -> Result<TempDir, Box<dyn Error>> {
    let description = Arc::new(Source::read(description)?);
    let system = portcullis_sdf::parse(description.text(), &Target::ANY)?;
    let source = Arc::new(Source::new("counts.toml", policy()));
    let compiled = portcullis_policy::compile(&Checked::new(source, system, description)?);
    let key = SigningKey::from_bytes(&[7; 32]);
    let compiled = portcullis_policy::sign(&compiled, &key)?;
    assert_eq!(
        Policy::inspect(&compiled)?.counts().grants as usize,
        GRANTS + REQUESTED
    );
    let prepared = tempfile::tempdir()?;
    fs::write(prepared.path().join("appliance.policy"), compiled)?;
    fs::write(
        prepared.path().join("policy.pub"),
        key.verifying_key().as_bytes(),
    )?;
    Ok(prepared)
}

/// At boot the manager holds its stream of records, and the client a call for each method of `server`
/// and all but one of `stock`; on request `server` may call each method of `stock`. No component has more
/// methods than a badge has bits, and nobody waits in a circle.
fn policy() -> String {
    let interface = |prefix: &str, methods: std::ops::Range<usize>| -> (String, String) {
        let offered: Vec<String> = methods
            .clone()
            .map(|n| format!("\"{prefix}{n}\""))
            .collect();
        let declared = methods.map(|n| format!("[interfaces.{prefix}{n}]\necho = {n}\n"));
        (offered.join(", "), declared.collect())
    };
    let (server, servers) = interface("echo", 1..SERVED + 1);
    let (stock, stocks) = interface("stock", 0..REQUESTED);
    let mut text = format!(
        "name = \"counts\"\nversion = 1\n\
         [domains]\nall = {{}}\n\
         [components.manager]\ndomain = \"all\"\n\
         [components.client]\ndomain = \"all\"\n\
         [components.stock]\ndomain = \"all\"\noffers = [{stock}]\n\
         [components.server]\ndomain = \"all\"\noffers = [\"worm\", {server}]\n\
         [interfaces.worm]\nappend = 0\n{servers}{stocks}"
    );
    let mut grant = |ends: [&str; 2], interface: &str, method: &str, mode: &str, when: &str| {
        let [subject, object] = ends;
        text += &format!(
            "[[grants]]\nsubject = \"{subject}\"\nobject = \"{object}\"\n\
             interface = \"{interface}\"\nmethods = [\"{method}\"]\nmode = {mode}\n\
             when = \"{when}\"\n"
        );
    };
    let stream = "\"stream\"\nregion = \"grant_log\"";
    grant(["manager", "server"], "worm", "append", stream, "boot");
    for n in 1..SERVED + 1 {
        let ends = ["client", "server"];
        grant(ends, &format!("echo{n}"), "echo", "\"call\"", "boot");
    }
    for n in 0..GRANTS - 1 - SERVED {
        let ends = ["client", "stock"];
        grant(ends, &format!("stock{n}"), "echo", "\"call\"", "boot");
    }
    for n in 0..REQUESTED {
        let ends = ["server", "stock"];
        grant(ends, &format!("stock{n}"), "echo", "\"call\"", "request");
    }
    for (component, region, perms) in [
        ("manager", "policy", "r"),
        ("manager", "policy_keys", "r"),
        ("manager", "grant_log_ack", "r"),
        ("server", "grant_log_ack", "rw"),
    ] {
        text += &format!(
            "[[static]]\ncomponent = \"{component}\"\nregion = \"{region}\"\nperms = \"{perms}\"\n"
        );
    }
    text + "[[static]]\ncomponent = \"client\"\nregion = \"uart\"\nperms = \"rw\"\ndma = \"none\"\n\
            [[static]]\ncomponent = \"client\"\nchannel = \"stock\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule of the checker that came later is met before somebody measures.
    #[test]
    fn the_policy_of_the_counting_image_holds() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images");
        prepared(&images.join("tests/counts/system.xml")).unwrap();
    }
}
