//! `portcullis check --image`, as a user meets it. That each rule is broken and found is tested in
//! `policy/tests/image/`, and that real images hold in `qemu/tests/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::Command;
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::image::{Image, testing};
use portcullis_policy::{Checked, Source, compile};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, Target};
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = "policy/appliance.toml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What the builder would write for the reference appliance.
fn image() -> Image {
    let system = portcullis_sdf::parse(&text("system.xml"), &Target::ANY).unwrap();
    let description = Arc::new(Source::new("system.xml", text("system.xml")));
    let policy = Arc::new(Source::new(POLICY, text(POLICY)));
    let checked = Checked::new(policy, system, description).unwrap();
    let (compiled, system) = (compile(&checked), checked.system());
    let policy = Policy::inspect(&compiled).unwrap();
    let configuration = Configuration {
        architecture: Architecture::Aarch64,
        benchmark: false,
    };
    let distribution = Distribution::new(&policy, system, &configuration).unwrap();
    testing::finished(&distribution, &policy, system)
}

/// An image in a file of its own.
fn written(image: &Image) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("distribution.json");
    fs::write(&path, serde_json::to_vec_pretty(image).unwrap()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let output = command
        .current_dir(root())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn an_image_that_holds_is_said_to_hold() {
    let (_folder, path) = written(&image());
    let (code, out, error) = run(&["check", POLICY, "--image", &path]);
    assert_eq!((code, error.as_str()), (0, ""));
    let last = out.lines().last().unwrap();
    let start = format!("{path} (qemu_virt_aarch64, release) holds: ");
    assert!(last.starts_with(&start), "{out}");
    assert!(
        out.starts_with("reference-appliance, version 1, holds"),
        "{out}"
    );
}

#[test]
fn each_finding_is_a_line() {
    let mut broken = image();
    let edge = broken
        .protection_domains
        .iter_mut()
        .find(|pd| pd.name == "edge");
    edge.unwrap().priority = 254;
    broken.sdk = "2.2.0".into();
    let (_folder, path) = written(&broken);
    let (code, out, error) = run(&["check", POLICY, "--system", "system.xml", "--image", &path]);
    assert_eq!((code, error.as_str()), (1, ""));
    let lines: Vec<&str> = out.lines().skip(2).collect();
    let [verdict, sdk, priority] = lines.as_slice() else {
        panic!("{out}");
    };
    assert_eq!(
        *verdict,
        format!("{path} (qemu_virt_aarch64, release) does not hold: 2 findings")
    );
    assert!(sdk.starts_with("image::sdk: image, SDK: 2.2.0; expected 2.3.0. Remedy: "));
    assert_eq!(
        *priority,
        "image::priority: edge, priority: 254; expected 120. Remedy: build the image again from \
         this policy and this system description"
    );

    let (code, out, error) = run(&["check", POLICY, "--image", &path, "--json"]);
    assert_eq!((code, error.as_str()), (1, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["holds"], false);
    assert_eq!(report["problems"], Value::Array(Vec::new()));
    let image = &report["image"];
    assert_eq!(
        (&image["board"], &image["sdk"]),
        (&"qemu_virt_aarch64".into(), &"2.2.0".into())
    );
    let finding = &image["findings"][1];
    for (field, value) in [
        ("rule", "image::priority"),
        ("component", "edge"),
        ("place", "priority"),
        ("found", "254"),
        ("expected", "120"),
    ] {
        assert_eq!(finding[field], value, "{field}");
    }
    assert!(!finding["help"].as_str().unwrap().is_empty());
}

#[test]
fn without_an_image_there_is_none_in_the_report() {
    let (code, out, _) = run(&["check", POLICY, "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["image"]), (0, &Value::Null));
}

#[test]
fn what_cannot_be_read_has_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (code, _, error) = run(&["check", POLICY, "--image", &path("missing.json")]);
    assert_eq!(code, 3, "{error}");

    fs::write(path("not.json"), "{").unwrap();
    let (code, _, error) = run(&["check", POLICY, "--image", &path("not.json")]);
    assert_eq!(code, 2, "{error}");
    assert!(
        error.contains("not.json is not the distribution of an image"),
        "{error}"
    );

    let (_folder, image) = written(&image());
    assert_eq!(run(&["check", POLICY, "--alone", "--image", &image]).0, 2);

    // A policy without a system description beside it.
    fs::write(path("policy.toml"), "name = \"alone\"\nversion = 1\n").unwrap();
    let (code, _, error) = run(&["check", &path("policy.toml"), "--image", &image]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("--system"), "{error}");
}

#[test]
fn an_image_of_another_policy_does_not_hold() {
    let folder = TempDir::new().unwrap();
    let policy = folder.path().join("policy.toml");
    let newer = text(POLICY).replacen("version = 1", "version = 2", 1);
    fs::write(&policy, newer).unwrap();
    let (_folder, path) = written(&image());
    let policy = policy.to_str().unwrap();
    let (code, out, error) = run(&["check", policy, "--system", "system.xml", "--image", &path]);
    assert_eq!((code, error.as_str()), (1, ""));
    assert!(
        out.contains("does not hold: 1 finding\nimage::policy: manager"),
        "{out}"
    );
}
