//! The verbs about policies, as a user meets them: output, exit codes, files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = "policy/appliance.toml";
const SYSTEM: &str = "system.xml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The command, run in the project's root.
fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    command.current_dir(root()).args(arguments);
    command
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = portcullis(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// The same with `--json`: the code and the value.
fn json(arguments: &[&str]) -> (i32, Value) {
    let arguments = [arguments, &["--json"]].concat();
    let (code, out, error) = run(&arguments);
    // How a system description was found is no part of the value.
    let mut notes = error.lines();
    assert!(notes.all(|it| it.starts_with("note: ")), "{error}");
    (code, serde_json::from_str(&out).unwrap())
}

/// The same where the verb fails, which standard error says too.
fn json_failure(arguments: &[&str]) -> (i32, Value) {
    let (code, out, error) = run(&[arguments, &["--json"]].concat());
    assert_ne!(error, "", "{arguments:?}");
    (code, serde_json::from_str(&out).unwrap())
}

/// A folder with a copy of the reference policy, changed.
fn changed(from: &str, to: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let text = std::fs::read_to_string(root().join(POLICY)).unwrap();
    assert!(text.contains(from), "the reference policy has `{from}`");
    let path = folder.path().join("policy.toml");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn check_finds_the_system_description_and_holds() {
    let (code, out, error) = run(&["check", POLICY]);
    assert_eq!((code, error.as_str()), (0, ""));
    let verdict =
        "holds, assuming `blk`, `entropy` and `ledger` are honest (held against system.xml)";
    assert!(out.contains(verdict), "{out}");
    assert_eq!(run(&["check", POLICY, "--strict"]).0, 1);
    let (code, report) = json(&["check", POLICY]);
    assert_eq!(code, 0);
    assert_eq!(
        report["assuming"],
        serde_json::json!(["blk", "entropy", "ledger"])
    );
    assert_eq!(report["holds"], true);
    assert_eq!(report["system"], SYSTEM);
    assert_eq!(report["policy"]["grants"], 16);
    assert_eq!(report["problems"], Value::Array(Vec::new()));
}

#[test]
fn check_says_that_nothing_is_restarted_yet() {
    let from = "[components.ingest]\ndomain = \"vault\"\non_fault = \"stop\"";
    let (_folder, policy) = changed(from, &from.replace("stop", "restart"));
    let (code, out, error) = run(&["check", &policy, "--system", SYSTEM]);
    assert_eq!((code, error.as_str()), (0, ""), "it holds");
    let text = std::fs::read_to_string(&policy).unwrap();
    let mut lines = text.lines();
    let line = 1 + lines
        .position(|line| line == "[components.ingest]")
        .unwrap();
    let note = format!(
        "note: {policy}:{line}: on_fault = \"restart\": nothing starts `ingest` again yet; it stays \
         stopped, and who calls it then waits. Write \"stop\"\n"
    );
    assert!(out.ends_with(&note), "{out}");
    let (_, report) = json(&["check", &policy, "--system", SYSTEM]);
    assert_eq!(report["notes"].as_array().unwrap().len(), 1);
    let (_, report) = json(&["check", POLICY, "--system", SYSTEM]);
    assert_eq!(report["notes"], Value::Array(vec![]));
}

#[test]
fn check_notes_no_grant_that_the_manager_serves() {
    let from = "methods = [\"write\", \"progress\"]\nmode = \"send\"\nwhen = \"boot\"";
    for to in [
        "when = \"boot\"\nlease = \"10m\"",
        "when = \"request\"\nlease = \"10m\"",
        "when = \"request\"",
        "when = \"boot\"\ndelegate = [\"vault\"]",
    ] {
        let (_folder, policy) = changed(from, &from.replace("when = \"boot\"", to));
        let (code, report) = json(&["check", &policy, "--system", SYSTEM]);
        assert_eq!((code, &report["notes"]), (0, &Value::Array(vec![])), "{to}");
    }
}

/// A folder whose files hold a policy of one component, and descriptions of it.
fn discoverable(descriptions: &[&str]) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let policy = "name = \"x\"\nversion = 1\n[domains]\na = {}\nb = {}\n[components.a]\ndomain = \"a\"\n\
                  [[never]]\nfrom = \"b\"\nto = \"a\"\nreason = \"r\"\n";
    write("below/policy.toml", policy);
    for name in descriptions {
        let program = "<program_image path=\"a.elf\" /></protection_domain></system>";
        write(
            name,
            &format!("<system><protection_domain name=\"a\">{program}"),
        );
    }
    let policy = path(&folder, "below/policy.toml");
    (folder, policy)
}

#[test]
fn a_description_is_found_and_none_is_taken_in_silence() {
    let found = |descriptions: &[&str]| {
        let (folder, policy) = discoverable(descriptions);
        let (_, report) = json(&["check", &policy]);
        let root = format!("{}/", folder.path().display());
        let cut = |value: &Value| value.as_str().unwrap_or("none").replace(&root, "");
        let notes = report["notes"].as_array().unwrap();
        // The last note is of the rule of an empty domain.
        let notes = notes
            .iter()
            .map(cut)
            .filter(|note| !note.contains("never: "));
        (cut(&report["system"]), notes.collect::<Vec<_>>())
    };
    for beside in ["below/shop.system", "below/system.xml"] {
        let (system, notes) = found(&[beside, "other.system", "system.xml"]);
        assert_eq!((system.as_str(), notes.len()), (beside, 0));
    }
    let (system, notes) = found(&["shop.system", "below/notes.xml"]);
    assert_eq!(system, "shop.system");
    assert!(
        notes[0].contains("shop.system, of the folder above, was taken"),
        "{notes:?}"
    );
    for (there, said) in [
        (vec![], "--system"),
        (vec!["a.system", "b.system"], "a.system, b.system"),
    ] {
        let (system, notes) = found(&there);
        assert_eq!(system, "none");
        assert!(
            notes[0].contains("the policy was checked alone"),
            "{notes:?}"
        );
        assert!(notes[0].contains(said), "{notes:?}");
    }
    let (_folder, policy) = discoverable(&["below/a.system", "below/system.xml"]);
    let (code, _, error) = run(&["check", &policy]);
    assert_eq!(code, 2);
    assert!(error.contains("several system descriptions"), "{error}");
    // Where the policy does not hold, the note is said too.
    let (folder, policy) = discoverable(&["shop.system"]);
    std::fs::write(&policy, "name = \"x\"\nversion = 1\n").unwrap();
    let (code, _, error) = run(&["check", &policy]);
    assert_eq!(code, 1);
    assert!(
        error.starts_with("note: no system description lies beside"),
        "{error}"
    );
    drop(folder);
}

#[test]
fn check_notes_a_never_rule_of_an_empty_domain() {
    let (_folder, policy) = discoverable(&["below/a.system"]);
    let (code, out, _) = run(&["check", &policy]);
    assert_eq!(code, 0);
    let note = format!(
        "note: {policy}:8: never: nothing is in domain `b`, so this rule forbids nothing\n"
    );
    assert!(out.ends_with(&note), "{out}");
}

/// An x86-64 board of an SDK, as far as it is read.
fn write_sdk(folder: &Path) {
    let config = folder.join("board/pc/release");
    std::fs::create_dir_all(config.join("include/kernel")).unwrap();
    let kernel = r#"{"SEL4_ARCH": "x86_64", "ENABLE_SMP_SUPPORT": false, "MAX_NUM_NODES": "1",
                     "NUM_DOMAINS": "16", "NUM_DOMAIN_SCHEDULES": "100"}"#;
    std::fs::write(config.join("include/kernel/gen_config.json"), kernel).unwrap();
    let space = r#"{"vspace_user_top": 140737488351231}"#;
    std::fs::write(config.join("address_space_constants.json"), space).unwrap();
}

#[test]
fn check_holds_a_description_to_its_board() {
    let (folder, policy) = discoverable(&["below/a.system"]);
    let sdk = path(&folder, "sdk");
    write_sdk(Path::new(&sdk));
    let on_pc = ["check", &policy, "--sdk", &sdk, "--board", "pc"];
    let (code, report) = json(&on_pc);
    assert_eq!((code, &report["board"]), (0, &"pc, release".into()));
    let description = path(&folder, "below/a.system");
    let text = std::fs::read_to_string(&description).unwrap();
    let core = text.replace("name=", "cpu=\"1\" name=");
    std::fs::write(&description, core).unwrap();
    assert_eq!(run(&["check", &policy]).0, 0, "some board has two cores");
    let (code, _, error) = run(&on_pc);
    assert_eq!(code, 2);
    assert!(error.contains("cpu '1' is not 0"), "{error}");
    assert_eq!(run(&["check", &policy, "--sdk", &sdk]).0, 2, "which board?");
    let (code, report) = json_failure(&["check", &policy, "--sdk", &sdk, "--board", "cp"]);
    assert_eq!((code, &report["error"]), (2, &"bad input".into()));
    let message = report["problems"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("has no board `cp`; it has pc"),
        "{message}"
    );
    // Files are looked for where they are said to be, and only then.
    let filled = text.replace(
        "<system>",
        "<system><memory_region name=\"m\" prefill_path=\"t\" />",
    );
    std::fs::write(&description, filled).unwrap();
    assert_eq!(run(&on_pc).0, 0);
    let below = path(&folder, "below");
    let with_files = [&on_pc[..], &["--search-path", &below]].concat();
    assert_eq!(run(&with_files).0, 2);
    let file = path(&folder, "below/t");
    std::fs::write(&file, "table").unwrap();
    assert_eq!(run(&with_files).0, 0);
    // One file is one content, whatever paths lead to it: by a link, or from the root.
    std::os::unix::fs::symlink(&file, path(&folder, "below/link")).unwrap();
    for (other, found_by_path) in [("link", false), (&*file, false), ("./t", true)] {
        let second = format!("<system><memory_region name=\"n\" prefill_path=\"{other}\" />");
        let twice = text.replace(
            "<system>",
            &(second + "<memory_region name=\"m\" prefill_path=\"t\" />"),
        );
        std::fs::write(&description, twice).unwrap();
        let (code, _, error) = run(&with_files);
        assert_eq!(code, 1, "{other}");
        assert!(error.contains("policy::filled_twice"), "{error}");
        assert_eq!(run(&on_pc).0, i32::from(found_by_path), "{other}");
    }
}

#[test]
fn check_names_all_of_whom_must_be_honest() {
    let folder = TempDir::new().unwrap();
    let policy = path(&folder, "policy.toml");
    let system = "<system><memory_region name=\"nic_regs\" size=\"0x1000\" phys_addr=\"0xa000000\" />\
         <protection_domain name=\"net\" priority=\"9\"><program_image path=\"n.elf\" />\
         <map mr=\"nic_regs\" vaddr=\"0x1000000\" /><virtual_machine name=\"linux\"><vcpu id=\"0\" />\
         <map mr=\"nic_regs\" vaddr=\"0x1000000\" /></virtual_machine></protection_domain></system>";
    std::fs::write(path(&folder, "system.xml"), system).unwrap();
    let text = |word: &str| {
        format!(
            "[domains]\none = {{}}\n[components.net]\ndomain = \"one\"\n[guests.linux]\ndomain = \"one\"\n\
             [[static]]\ncomponent = \"net\"\nvm = \"linux\"\n\
             [[static]]\ncomponent = \"net\"\nregion = \"nic_regs\"\nperms = \"rw\"\ndma = \"{word}\"\n\
             [[static]]\nguest = \"linux\"\nregion = \"nic_regs\"\nperms = \"rw\"\ndma = \"{word}\"\n"
        )
    };
    std::fs::write(&policy, text("unbounded")).unwrap();
    let (code, report) = json(&["check", &policy]);
    assert_eq!(
        (code, &report["assuming"]),
        (0, &serde_json::json!(["net", "guest linux"]))
    );
    let (code, report) = json(&["check", &policy, "--strict"]);
    assert_eq!((code, &report["holds"]), (1, &Value::Bool(false)));
    std::fs::write(&policy, text("none")).unwrap();
    let (code, report) = json(&["check", &policy, "--strict"]);
    assert_eq!((code, &report["assuming"]), (0, &serde_json::json!([])));
}

#[test]
fn check_can_leave_the_system_out() {
    let (code, report) = json(&["check", POLICY, "--alone"]);
    assert_eq!((code, &report["system"]), (0, &Value::Null));
    assert_eq!(run(&["check", POLICY, "--alone", "--system", SYSTEM]).0, 2);
}

#[test]
fn check_says_where_a_policy_does_not_hold() {
    let (_folder, policy) = changed(
        "[[never]]\nfrom = \"edge\"\nto = \"vault\"",
        "[[never]]\nfrom = \"edge\"\nto = \"console\"",
    );
    let (code, out, error) = run(&["check", &policy, "--system", SYSTEM]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("policy::never_broken"), "{error}");
    assert!(error.contains("`edge` -> `console`"), "{error}");
    let (code, report) = json(&["check", &policy, "--system", SYSTEM]);
    assert_eq!((code, &report["holds"]), (1, &Value::Bool(false)));
    let problem = &report["problems"][0];
    assert_eq!(problem["code"], "policy::never_broken");
    assert!(problem["line"].as_u64().unwrap() > 400);
    assert_eq!(problem["labels"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_understood_is_bad_input() {
    let (_folder, policy) = changed("subject = \"ingest\"", "subjct = \"ingest\"");
    let (code, _, error) = run(&["check", &policy, "--alone"]);
    assert_eq!(code, 2);
    assert!(error.contains("did you mean `subject`?"), "{error}");
    let (code, report) = json(&["check", &policy, "--alone"]);
    assert_eq!(
        (code, &report["problems"][0]["code"]),
        (2, &"policy::unknown_field".into())
    );
    for verb in ["ceiling", "graph"] {
        assert_eq!(run(&[verb, &policy]).0, 2, "{verb}");
    }
    assert_eq!(run(&["diff", POLICY, &policy]).0, 2);
    assert_eq!(
        run(&["why", "--policy", &policy, "ingest", "ledger", "append"]).0,
        2
    );
}

#[test]
fn a_system_description_that_is_none_is_bad_input() {
    let folder = TempDir::new().unwrap();
    let system = path(&folder, "system.xml");
    std::fs::write(
        &system,
        "<system><protection_domain name=\"a\" priorty=\"1\"/></system>",
    )
    .unwrap();
    let (code, _, error) = run(&["check", POLICY, "--system", &system]);
    assert_eq!(code, 2);
    assert!(
        error.contains("priorty") && error.contains("system.xml:1:"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_no_answer() {
    for arguments in [
        vec!["check", "missing.toml"],
        vec!["check", POLICY, "--system", "missing.xml"],
        vec!["ceiling", "missing.toml"],
        vec!["diff", POLICY, "missing.toml"],
        vec!["why", "--policy", "missing.toml", "a", "b", "c"],
        vec!["graph", "missing.toml"],
        vec!["sign", "missing.policy", "--key", "missing.key"],
        vec!["compile", POLICY, "--system", SYSTEM, "-o", "/missing/out"],
        vec!["keygen", "/missing/key"],
    ] {
        let (code, out, error) = run(&arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}");
        assert!(error.contains("issing"), "{error}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_bad_input() {
    for arguments in [
        vec![],
        vec!["chek"],
        vec!["check", "a", "--policy", "b"],
        vec!["completions", "dos"],
    ] {
        assert_eq!(run(&arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn keys_are_made_once_and_kept_private() {
    let folder = TempDir::new().unwrap();
    let key = path(&folder, "policy.key");
    let (code, report) = json(&["keygen", &key]);
    assert_eq!(code, 0);
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let private = std::fs::read_to_string(&key).unwrap();
    assert!(private.starts_with("portcullis private key, ed25519 seed, hexadecimal\n"));
    let public = std::fs::read(format!("{key}.pub")).unwrap();
    let digits: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((public.len(), &report["public_key"]), (32, &digits.into()));

    let (code, _, error) = run(&["keygen", &key]);
    assert_eq!(code, 2);
    assert!(error.contains("never overwritten"), "{error}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), private);
    std::fs::remove_file(&key).unwrap();
    assert_eq!(
        run(&["keygen", &key]).0,
        2,
        "the public key alone is in the way too"
    );
    assert!(!Path::new(&key).exists());
}

#[test]
fn a_policy_is_compiled_and_signed() {
    let folder = TempDir::new().unwrap();
    let [key, unsigned, signed] = ["k", "unsigned", "signed"].map(|name| path(&folder, name));
    assert_eq!(run(&["keygen", &key]).0, 0);
    let compile = ["compile", POLICY, "--system", SYSTEM, "-o"];
    let (code, report) = json(&[&compile[..], &[&unsigned]].concat());
    assert_eq!((code, &report["key_id"]), (0, &Value::Null));
    assert_eq!(report["name"], "reference-appliance");
    let (code, with_key) = json(&[&compile[..], &[&signed, "--key", &key]].concat());
    assert_eq!((code, &with_key["sha256"]), (0, &report["sha256"]));
    let (code, later) = json(&["sign", &unsigned, "--key", &key]);
    assert_eq!((code, &later["key_id"]), (0, &with_key["key_id"]));
    // Ed25519 signatures are deterministic (RFC 8032), so both ways give the same bytes.
    assert_eq!(
        std::fs::read(&unsigned).unwrap(),
        std::fs::read(&signed).unwrap()
    );
}

#[test]
fn what_does_not_hold_is_neither_compiled_nor_signed() {
    let (folder, policy) = changed("mode = \"notify\"", "mode = \"call\"");
    let out = path(&folder, "out");
    let (code, _, error) = run(&["compile", &policy, "--system", SYSTEM, "-o", &out]);
    assert_eq!(code, 0, "publish runs above ingest: {error}");
    let (folder, policy) = changed("object = \"publish\"", "object = \"vault\"");
    let out = path(&folder, "out");
    assert_eq!(
        run(&["compile", &policy, "--system", SYSTEM, "-o", &out]).0,
        1
    );
    assert!(!Path::new(&out).exists());

    let [key, file] = ["k", "no-policy"].map(|name| path(&folder, name));
    assert_eq!(run(&["keygen", &key]).0, 0);
    std::fs::write(&file, "no policy").unwrap();
    assert_eq!(run(&["sign", &file, "--key", &file]).0, 2, "no private key");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    assert_eq!(run(&["sign", &file, "--key", &key]).0, 3, "open to others");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, private).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    let (code, _, error) = run(&["sign", &file, "--key", &key]);
    assert_eq!(code, 2);
    assert!(error.contains("not a compiled policy"), "{error}");
    assert_eq!(run(&["sign", &file, "--key", &file]).0, 2, "no key");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no policy");
}

#[test]
fn ceiling_shows_what_each_component_can_hold() {
    let (code, out, _) = run(&["ceiling", POLICY]);
    assert_eq!(code, 0);
    assert!(out.starts_with("component  domain   boot"), "{out}");
    let (code, rows) = json(&["ceiling", POLICY, "--component", "ingest"]);
    assert_eq!(code, 0);
    let [row] = rows.as_array().unwrap().as_slice() else {
        panic!("{rows}");
    };
    assert_eq!((&row["boot"], &row["radix"]), (&4.into(), &6.into()));
    assert_eq!(row["grants"][1]["object"], "ledger");
    assert_eq!(row["static"][0]["perms"], "r");
    // What streams map, and what is learned through the manager, is held too.
    let held = |component, kind: &str| -> Vec<String> {
        let (_, rows) = json(&["ceiling", POLICY, "--component", component]);
        let held = rows[0]["static"].as_array().unwrap().iter();
        let held = held.filter(|it| it["kind"] == kind);
        held.map(|it| format!("{} {}", it["authority"], it["perms"]))
            .collect()
    };
    assert_eq!(
        held("manager", "stream"),
        ["\"memory region `grant_log`\" \"rw\""]
    );
    let inspects = held("console", "inspect").concat();
    assert!(
        inspects.starts_with("\"denials and faults of `blk`, "),
        "{inspects}"
    );
    let all = "\"all physical memory, through region `virtio_mmio`\" null";
    assert_eq!(held("blk", "dma"), [all]);
    // Whose device does none holds no memory but its registers.
    assert_eq!(held("console", "dma"), [""; 0]);
    let (code, _, error) = run(&["ceiling", POLICY, "--component", "ingst"]);
    assert_eq!(code, 2);
    assert!(error.contains("did you mean `ingest`?"), "{error}");
}

#[test]
fn ceiling_shows_channels_guests_and_devices() {
    let (_folder, policy, _) = shop();
    let held = |name| {
        let (code, rows) = json(&["ceiling", &policy, "--component", name]);
        assert_eq!(code, 0);
        let [row] = rows.as_array().unwrap().as_slice() else {
            panic!("{rows}");
        };
        let held = &row["static"][0];
        (
            row["subject"].clone(),
            held["kind"].clone(),
            held["perms"].clone(),
        )
    };
    assert_eq!(
        held("web"),
        ("component".into(), "channel".into(), "call, signal".into())
    );
    assert_eq!(
        held("store"),
        ("component".into(), "vm".into(), Value::Null)
    );
    assert_eq!(
        held("linux"),
        ("guest".into(), "guest_map".into(), "rw".into())
    );
    let (_, out, _) = run(&["ceiling", &policy]);
    assert!(out.contains("\nguest linux  all "), "{out}");
    let (_, out, _) = run(&["ceiling", &policy, "--component", "linux"]);
    assert!(
        out.starts_with("guest linux, domain all\n\nbeside its grants"),
        "{out}"
    );
}

#[test]
fn diff_tells_which_honesty_is_assumed() {
    let (folder, policy, _) = shop();
    let wider = path(&folder, "wider.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let dma = "[[static]]\ncomponent = \"web\"\nregion = \"nic_regs\"\nperms = \"rw\"\n\
               dma = \"unbounded\"\nreason = \"r\"\n";
    std::fs::write(&wider, text + dma).unwrap();
    let (code, report) = json(&["diff", &policy, &wider]);
    assert_eq!((code, &report["assumed"]), (1, &serde_json::json!(["web"])));
    assert_eq!(report["added"][0]["kind"], "dma");
    let (code, out, _) = run(&["diff", &wider, &policy]);
    assert_eq!(code, 0);
    let note = "\nnote: `web` need not be honest any longer for a verdict to hold\n";
    assert!(out.ends_with(note), "{out}");
}

#[test]
fn diff_tells_more_from_less() {
    let (code, out, _) = run(&["diff", POLICY, POLICY]);
    assert_eq!((code, out.as_str()), (0, "both policies allow the same\n"));
    let (_folder, less) = changed("\"worm_append\", \"flush\"", "\"worm_append\"");
    let (code, report) = json(&["diff", POLICY, &less]);
    assert_eq!((code, &report["within"]), (0, &Value::Bool(true)));
    assert_eq!(report["taken"][0]["what"], "disk: flush");
    let (code, report) = json(&["diff", &less, POLICY]);
    assert_eq!((code, &report["within"]), (1, &Value::Bool(false)));
    assert_eq!(report["added"][0]["subject"], "ledger");
    let (_folder, loose) = changed(
        "[[never]]\nfrom = \"edge\"\nto = \"vault\"",
        "[[never]]\nfrom = \"edge\"\nto = \"entropy\"",
    );
    let (code, report) = json(&["diff", POLICY, &loose]);
    assert_eq!((code, &report["added"][0]["kind"]), (1, &"never".into()));
    // A component that left the domain of a rule.
    let (_folder, moved) = changed(
        "[components.edge]\ndomain = \"edge\"",
        "[components.edge]\ndomain = \"front\"",
    );
    let text = std::fs::read_to_string(&moved).unwrap();
    let text = text.replacen("edge = {}", "edge = {}\nfront = {}", 1);
    let flows = text.replace("to = \"edge\"\nmodes", "to = \"front\"\nmodes");
    let flows = flows.replace(
        "from = \"edge\"\nto = \"console\"\nmodes",
        "from = \"front\"\nto = \"console\"\nmodes",
    );
    std::fs::write(&moved, flows).unwrap();
    let (code, report) = json(&["diff", POLICY, &moved]);
    assert_eq!(code, 1);
    let added = report["added"].as_array().unwrap();
    let lost = |row: &&Value| {
        row["kind"] == "never" && row["subject"] == "edge" && row["object"] == "vault"
    };
    assert!(added.iter().any(|row| lost(&row)), "{added:?}");
    // A method with another number.
    let (_folder, numbered) = changed("read = 1\nprove = 2", "read = 2\nprove = 1");
    let (code, report) = json(&["diff", POLICY, &numbered]);
    assert_eq!(
        (code, &report["within"], &report["added"]),
        (1, &false.into(), &Value::Array(vec![]))
    );
    assert_eq!(report["renumbered"].as_array().unwrap().len(), 2);
    let (_, out, _) = run(&["diff", POLICY, &numbered]);
    assert!(
        out.contains("=  number") && out.contains("worm: prove, 2 -> 1"),
        "{out}"
    );
}

#[test]
fn why_answers_in_the_words_of_the_log() {
    let (code, out, _) = run(&["why", "ingest", "ledger", "append"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("allowed: ingest -> ledger, append"),
        "{out}"
    );
    assert!(out.contains("policy/appliance.toml:224: "), "{out}");
    let verdict = |arguments: &[&str]| {
        let (code, report) = json(&[&["why"], arguments].concat());
        (
            code,
            report["verdict"].as_str().unwrap().to_owned(),
            report["line"].is_null(),
        )
    };
    let answer = |code, word: &str, no_line| (code, word.to_owned(), no_line);
    assert_eq!(
        verdict(&["ingest", "ledger", "worm.append"]),
        answer(0, "allowed", false)
    );
    assert_eq!(
        verdict(&["edge", "vault", "read"]),
        answer(1, "forbidden", false)
    );
    assert_eq!(
        verdict(&["publish", "ledger", "append"]),
        answer(1, "not permitted", true)
    );
    // The rule is of the edge and the vault, to which the disk's driver talks.
    assert_eq!(
        verdict(&["edge", "blk", "info"]),
        answer(1, "forbidden", false)
    );
    let (_, out, _) = run(&["why", "edge", "blk", "info"]);
    assert!(
        out.ends_with(
            "\na line that allowed it would let something flow `edge` -> `blk` -> `vault`\n"
        ),
        "{out}"
    );
    let (code, report) = json(&["why", "vault", "edge", "frame"]);
    assert_eq!((code, &report["verdict"]), (1, &"not permitted".into()));
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.ends_with("forbids a call, whose reply flows back; what is one way it does not"),
        "{note}"
    );
    let (_folder, later) = changed("when = \"boot\"", "when = \"request\"");
    let asked = ["--policy", &later, "ingest", "vault", "create"];
    assert_eq!(verdict(&asked), answer(1, "unavailable", false));
    let (code, _, error) = run(&["why", "ingest", "ledger", "apend"]);
    assert_eq!(code, 2);
    assert!(error.contains("did you mean `append`?"), "{error}");
}

/// A network card raises an interrupt of its driver's, which only the description says.
#[test]
fn what_is_asked_of_a_policy_can_be_asked_with_its_system() {
    let folder = TempDir::new().unwrap();
    let policy = "[domains]\nedge = {}\ndrivers = {}\nkeys = {}\n[interfaces.i]\nm = 0\n\
                  [components.drv]\ndomain = \"drivers\"\n[components.store]\ndomain = \"keys\"\n\
                  offers = [\"i\"]\n[devices.nic]\ndomain = \"edge\"\nregisters = []\n[[flows]]\n\
                  from = \"edge\"\nto = \"drivers\"\nmodes = [\"notify\"]\n[[static]]\n\
                  component = \"drv\"\nirq = 40\n[[never]]\nfrom = \"edge\"\nto = \"keys\"\n";
    let system = "<system><io_address_space name=\"nic\" peripheral_id=\"0:4.0\" domain_id=\"1\" />\
                  <protection_domain name=\"store\"><program_image path=\"s.elf\" />\
                  </protection_domain><protection_domain name=\"drv\">\
                  <program_image path=\"d.elf\" /><irq id=\"1\" pcidev=\"0:4.0\" handle=\"0\" \
                  vector=\"40\" /></protection_domain></system>";
    let files = [("p.toml", policy), ("s.xml", system)];
    let [policy, system] = files.map(|(name, text)| {
        let path = path(&folder, name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let why = ["why", "--policy", &policy, "drv", "store", "m"];
    let (code, alone) = json(&why);
    assert_eq!((code, &alone["verdict"]), (1, &"not permitted".into()));
    assert_eq!(alone["system"], Value::Null);
    let (code, with) = json(&[&why[..], &["--system", &system]].concat());
    assert_eq!((code, &with["verdict"]), (1, &"forbidden".into()));
    assert_eq!(with["path"].to_string(), r#"["device nic","drv","store"]"#);
    assert_eq!(with["system"], system.as_str());
    // A policy that does not hold against the system is not explained.
    let verbs = [
        &why[..],
        &["ceiling", &policy],
        &["graph", &policy],
        &["reach", "drv", "--policy", &policy],
    ];
    for verb in verbs {
        let with = |path: &str| run(&[verb, &["--system", path]].concat()).0;
        assert_ne!(with(&system), 2, "{verb:?}");
        assert_ne!(with(SYSTEM), with(&system), "{verb:?}");
    }
}

#[test]
fn the_graph_tells_one_way_from_calls() {
    let (code, dot, _) = run(&["graph", POLICY]);
    assert_eq!(code, 0);
    assert!(
        dot.starts_with("digraph \"reference-appliance\" {"),
        "{dot}"
    );
    assert_eq!(dot.matches("subgraph cluster_").count(), 8);
    let edge = |label: &str| dot.lines().find(|line| line.contains(label)).unwrap();
    assert!(edge("worm: append\", dir=both").contains("style=solid"));
    assert!(edge("feed: frame").contains("dir=forward"));
    assert!(edge("ingest_vault").contains("style=dashed"));
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    let (_folder, policy, _) = shop();
    let (_, shop, _) = run(&["graph", &policy]);
    for arrow in [
        "c1 -> c0 [label=\"channel\", dir=both",
        "c0 -> g0 [label=\"virtual machine `linux`\", dir=both",
    ] {
        assert!(shop.contains(arrow), "{shop}");
    }
    assert_eq!(json(&["graph", POLICY]).1["dot"], dot);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, _) = run(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(out.contains("keygen"), "{shell}");
    }
    assert_eq!(json(&["completions", "fish"]).1["shell"], "fish");
}

#[test]
fn help_has_an_example_for_every_verb() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("Exit codes:"), "{help}");
    assert!(verbs(&help).len() >= 9, "{help}");
    for verb in verbs(&help) {
        has_an_example(&[verb]);
    }
}

/// A verb has an example, or verbs of its own that have.
fn has_an_example(verb: &[&str]) {
    let (code, help, _) = run(&[verb, &["--help"]].concat());
    assert_eq!(code, 0);
    let own = verbs(&help);
    for verb_of_it in &own {
        has_an_example(&[verb, &[verb_of_it]].concat());
    }
    let example = help.contains("Example") && help.contains("  portcullis ");
    assert!(example || !own.is_empty(), "{verb:?}: {help}");
}

/// The verbs that a help text lists.
fn verbs(help: &str) -> Vec<&str> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect()
}

/// A policy and a system of two components with a static channel, without a manager.
fn shop() -> (TempDir, String, String) {
    let folder = TempDir::new().unwrap();
    let policy = "name = \"shop\"\nversion = 1\n[domains]\nall = {}\n[interfaces.records]\nget = 0\n\
                  [components.store]\ndomain = \"all\"\noffers = [\"records\"]\n[components.web]\n\
                  domain = \"all\"\n[guests.linux]\ndomain = \"all\"\n[[static]]\ncomponent = \"web\"\n\
                  channel = \"store\"\nreason = \"gets records\"\n[[static]]\ncomponent = \"store\"\n\
                  vm = \"linux\"\nreason = \"r\"\n[[static]]\nguest = \"linux\"\nregion = \"ram\"\n\
                  perms = \"rw\"\nreason = \"r\"\n";
    let system = "<system><memory_region name=\"ram\" size=\"0x1000\" />\
                  <protection_domain name=\"store\" priority=\"150\"><program_image path=\"s.elf\" />\
                  <virtual_machine name=\"linux\"><vcpu id=\"0\" /><map mr=\"ram\" vaddr=\"0\" />\
                  </virtual_machine></protection_domain>\
                  <protection_domain name=\"web\" priority=\"100\"><program_image path=\"w.elf\" />\
                  </protection_domain><channel><end pd=\"web\" id=\"1\" pp=\"true\" notify=\"false\" />\
                  <end pd=\"store\" id=\"1\" notify=\"false\" /></channel></system>";
    let files = [("policy.toml", policy), ("shop.system", system)];
    let [policy, system] = files.map(|(name, text)| {
        let path = path(&folder, name);
        std::fs::write(&path, text).unwrap();
        path
    });
    (folder, policy, system)
}

#[test]
fn why_answers_for_a_static_channel() {
    let (_folder, policy, _) = shop();
    for method in ["get", "anything"] {
        let (code, report) = json(&["why", "--policy", &policy, "web", "store", method]);
        assert_eq!(
            (code, &report["verdict"]),
            (0, &"allowed".into()),
            "{method}"
        );
        assert_eq!(report["mode"], "channel");
        assert_eq!(
            (&report["line"], &report["reason"]),
            (&14.into(), &"gets records".into())
        );
    }
    let (_, out, _) = run(&["why", "--policy", &policy, "web", "store", "get"]);
    assert!(
        out.contains("by a static channel, which carries any method"),
        "{out}"
    );
    // Not the other way, and a method that nobody offers is bad input there.
    assert_eq!(
        run(&["why", "--policy", &policy, "store", "web", "get"]).0,
        2
    );
}

#[test]
fn check_says_what_the_stock_tool_adds() {
    let (_folder, policy, system) = shop();
    let (code, report) = json(&["check", &policy, "--system", &system]);
    assert_eq!(code, 0);
    let notes = report["notes"].as_array().unwrap();
    let [note] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    let note = note.as_str().unwrap();
    assert!(
        note.ends_with("what others send to `store` can be received by `web`"),
        "{note}"
    );
    // A notification is bound to whom it is for. With a rule, what no rule is about is said.
    let text = std::fs::read_to_string(&policy).unwrap();
    let line = "channel = \"store\"\n";
    let notifies = text.replace(line, &format!("{line}mode = \"notify\"\n"));
    let rule = "[domains.other]\n[[never]]\nfrom = \"all\"\nto = \"other\"\n";
    std::fs::write(&policy, notifies + rule).unwrap();
    let text = std::fs::read_to_string(&system).unwrap();
    let notifies = text.replace("pp=\"true\" notify=\"false\"", "notify=\"true\"");
    std::fs::write(&system, notifies).unwrap();
    let (code, report) = json(&["check", &policy, "--system", &system]);
    assert_eq!(code, 0, "{report:#}");
    let notes = report["notes"].to_string();
    assert!(!notes.contains("can be received"), "{notes}");
    assert!(notes.contains("send to its monitor"), "{notes}");
}

#[test]
fn reach_goes_hop_by_hop() {
    let (_folder, policy, system) = shop();
    let reach = |name| json(&["reach", name, "--policy", &policy, "--system", &system]);
    let paths = |report: &Value, way: &str| -> Vec<String> {
        let steps = |reached: &Value| {
            let path = reached["path"].as_array().unwrap();
            let ends = path
                .iter()
                .map(|step| step["to"].as_str().unwrap().to_owned());
            ends.collect::<Vec<_>>().join(" ")
        };
        report[way].as_array().unwrap().iter().map(steps).collect()
    };
    let (code, web) = reach("web");
    assert_eq!(code, 0);
    assert_eq!(web["holds"][0]["kind"], "channel");
    // Microkit's own tool lets whoever may call it take the faults of its guest.
    assert_eq!(paths(&web, "affects"), ["store", "guest linux"]);
    assert_eq!(paths(&web, "learns"), ["web", "web"]);
    let taken = &web["affects"][1]["path"][0];
    assert_eq!(taken["kind"], "receive");
    assert_eq!(taken["how"], "what is sent to `store`");
    let holds = web["holds"].as_array().unwrap();
    let receives = |held: &&Value| held["what"] == "can receive what others send to `store`";
    assert!(holds.iter().any(|held| receives(&held)), "{holds:?}");
    // A guest is a subject too.
    assert_eq!(paths(&reach("linux").1, "affects"), ["store", "web"]);
    let (code, _, error) = run(&["reach", "webb", "--policy", &policy]);
    assert_eq!(code, 2);
    assert!(error.contains("did you mean `web`?"), "{error}");
}

#[test]
fn reach_sees_dma_and_what_the_manager_tells() {
    let reach = |name| json(&["reach", name, "--system", SYSTEM]).1;
    let subjects = |report: &Value, way: &str| -> Vec<String> {
        let all = report[way].as_array().unwrap();
        all.iter()
            .map(|it| it["subject"].as_str().unwrap().to_owned())
            .collect()
    };
    let blk = reach("blk");
    assert_eq!(blk["all_memory"], true);
    assert_eq!(
        (
            subjects(&blk, "affects").len(),
            subjects(&blk, "learns").len()
        ),
        (9, 9)
    );
    let edge = reach("edge");
    assert_eq!(edge["all_memory"], false);
    assert!(!subjects(&edge, "affects").contains(&"vault".to_owned()));
    assert!(subjects(&edge, "learns").contains(&"vault".to_owned()));
    assert!(
        edge["notes"][0]
            .as_str()
            .unwrap()
            .ends_with("says: `blk`, `entropy`, `ledger`"),
        "{edge}"
    );
    let (_, out, _) = run(&["reach", "edge", "--system", SYSTEM]);
    assert!(
        out.contains("\n    `publish` -> `edge`: stream (line "),
        "{out}"
    );
}

/// What cannot be looked for was not looked for: that is no system that does not exist.
#[test]
fn a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let policy = file.join("policy.toml");
    let (code, _, error) = run(&["check", policy.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(error.contains("cannot look for a system"), "{error}");
}
