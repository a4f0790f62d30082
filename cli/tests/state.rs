//! What a state directory and its documents can be like, and what `portcullis run` says of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// An appliance in a directory of its own, and its documents.
struct Case {
    scratch: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("documents")).unwrap();
        let case = Self { scratch };
        case.document("first.txt", "first");
        case
    }

    fn documents(&self) -> PathBuf {
        self.scratch.path().join("documents")
    }

    fn document(&self, name: &str, content: &str) {
        let path = self.documents().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        command.current_dir(root).args(arguments);
        command.arg("--state").arg(self.state());
        command
    }

    fn run_with(&self, more: &[&str]) -> Output {
        let mut command = self.command(&["run", "--once"]);
        command.arg("--documents").arg(self.documents()).args(more);
        command.output().unwrap()
    }

    /// A run that ends with this code; what it printed.
    fn run(&self, code: i32, more: &[&str]) -> String {
        shown(&self.run_with(more), code)
    }

    /// A run that is refused; why.
    fn refused(&self) -> String {
        let output = self.run_with(&[]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        // Lines are broken where they are long.
        let text = String::from_utf8(output.stderr).unwrap();
        let words = text.split_whitespace().filter(|word| *word != "│");
        words.collect::<Vec<_>>().join(" ")
    }

    fn log(&self, code: i32, arguments: &[&str]) -> String {
        let arguments = [&["log"], arguments].concat();
        shown(&self.command(&arguments).output().unwrap(), code)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.state().join(name)).unwrap()
    }
}

fn shown(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Copies a disk and leaves its holes out.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("--sparse=always")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_disk_that_went_back_is_refused_until_a_new_history_is_begun() {
    let case = Case::new();
    case.run(0, &[]);
    let (disk, backup) = (
        case.state().join("disk.img"),
        case.scratch.path().join("backup"),
    );
    copy(&disk, &backup);
    case.document("one.txt", "one");
    case.run(0, &[]);
    let newest = case.scratch.path().join("newest");
    copy(&disk, &newest);
    let kept = ["grants.checkpoint", "worm.checkpoint"].map(|name| case.read(name));

    copy(&backup, &disk);
    fs::remove_file(case.documents().join("one.txt")).unwrap();
    case.document("two.txt", "two");
    let why = case.refused();
    for part in [
        "went back",
        "grants.checkpoint",
        "newest copy",
        "--new-history",
        "witness",
    ] {
        assert!(why.contains(part), "{part:?} is not in {why}");
    }
    let now = ["grants.checkpoint", "worm.checkpoint"].map(|name| case.read(name));
    assert_eq!(now, kept, "the evidence is as it was");

    // The first way out.
    copy(&newest, &disk);
    case.run(0, &[]);
    let kept = ["grants.checkpoint", "worm.checkpoint"].map(|name| case.read(name));
    copy(&backup, &disk);

    // The second.
    case.run(0, &["--new-history"]);
    let moved = ["left/1/grants.checkpoint", "left/1/worm.checkpoint"].map(|name| case.read(name));
    assert_eq!(moved, kept);
    let verified = case.log(0, &["verify"]);
    assert_eq!(
        verified.matches("was left behind here on purpose").count(),
        2,
        "{verified}"
    );
    let records = case.log(0, &["show"]);
    assert_eq!(records.matches(" history ").count(), 2, "{records}");
    let old = case.state().join("left/1/worm.checkpoint");
    case.log(
        1,
        &[
            "verify",
            "--log",
            "worm",
            "--checkpoint",
            old.to_str().unwrap(),
        ],
    );
    // It is the history now.
    case.run(0, &[]);
    let output = case.run_with(&["--new-history"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "there is nothing to leave behind"
    );
}

#[test]
fn what_a_disk_needs_is_not_made_anew_beside_it() {
    for (file, said) in [
        ("disk.img", "disk.img is gone"),
        ("ledger.key", "ledger.key is gone"),
        ("vault.key", "vault.key is gone"),
    ] {
        let case = Case::new();
        case.run(0, &[]);
        let kept = ["grants.checkpoint", "worm.checkpoint", "ledger.vkey"];
        let before = kept.map(|name| case.read(name));
        fs::remove_file(case.state().join(file)).unwrap();
        let why = case.refused();
        assert!(why.contains(said), "{why}");
        assert!(!case.state().join(file).exists());
        assert_eq!(kept.map(|name| case.read(name)), before);

        let shown = case.run(0, &["--new-history"]);
        assert!(shown.contains("ingest: 1 document: 1 stored"), "{shown}");
        let left = kept.map(|name| case.read(&format!("left/1/{name}")));
        assert_eq!(left, before);
        assert_ne!(
            kept.map(|name| case.read(name)),
            before,
            "another disk has other names"
        );
        let verified = case.log(0, &["verify"]);
        assert!(
            verified.contains("was left behind here on purpose"),
            "{verified}"
        );
        case.run(0, &[]);
    }
}

#[test]
fn documents_that_are_left_out_are_counted_and_named() {
    let case = Case::new();
    case.document("fine.txt", "fine");
    case.document("new\nline", "a name");
    symlink("nowhere", case.documents().join("dangling")).unwrap();
    symlink("/etc/passwd", case.documents().join("outside")).unwrap();
    let made = Command::new("mkfifo")
        .arg(case.documents().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    case.document("closed/b.txt", "b");
    let closed = case.documents().join("closed");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    // Permissions do not hold root back.
    let is_root = fs::read_dir(&closed).is_ok();
    let shown = case.run(4, &[]);
    for line in [
        "dangling: a symbolic link to nothing",
        "pipe: a named pipe, and no file",
        "and 5 documents left out",
    ] {
        let line = if is_root {
            line.replace('5', "4")
        } else {
            line.to_owned()
        };
        assert!(shown.contains(&line), "{line:?} is not in {shown}");
    }
    assert!(
        !shown.contains("dangling                                         -    refused: cannot")
    );
    let output = case.run_with(&["--json"]);
    assert_eq!(output.status.code(), Some(4));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let documents = &summary["documents"];
    let left_out = documents["left_out"].as_array().unwrap();
    let named: Vec<_> = left_out
        .iter()
        .map(|it| [&it["path"], &it["reason"]].map(|it| it.as_str().unwrap()))
        .collect();
    let mut expected = vec![
        ["closed", "permission-denied"],
        ["dangling", "dangling-link"],
        ["new\\nline", "bad-name"],
        ["outside", "link-outside"],
        ["pipe", "not-a-file"],
    ];
    expected.drain(..usize::from(is_root));
    assert_eq!(named, expected);
    let packed = if is_root { 3 } else { 2 };
    assert_eq!(documents["packed"], packed);
    assert_eq!(documents["found"], packed + left_out.len());
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let mut prepare = case.command(&["prepare", "--json"]);
    let prepared = prepare
        .arg("--documents")
        .arg(case.documents())
        .output()
        .unwrap();
    assert_eq!(prepared.status.code(), Some(4));
    let prepared: Value = serde_json::from_slice(&prepared.stdout).unwrap();
    assert_eq!(
        prepared["documents"]["left_out"].as_array().unwrap().len(),
        4
    );
}

#[test]
fn the_same_content_has_an_entry_for_every_name() {
    let case = Case::new();
    case.document("contracts/a.txt", "same");
    case.document("contracts/b.txt", "same");
    let shown = case.run(0, &[]);
    assert!(shown.contains("contracts/b.txt"), "{shown}");
    assert!(shown.contains("known content, ledger entry 1"), "{shown}");
    assert!(shown.contains("worm: 3 records, holds"), "{shown}");
    let shown = case.run(0, &[]);
    assert!(
        shown.contains("ingest: 3 documents: 0 stored, 3 unchanged, 0 refused"),
        "{shown}"
    );
    case.document("contracts/c.txt", "same");
    let shown = case.run(0, &[]);
    assert!(shown.contains("known content, ledger entry 3"), "{shown}");
    let mut fsck = case.command(&["fsck"]);
    fsck.arg("--vault-key").arg(case.state().join("vault.key"));
    let checked = fsck.output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn documents_above_the_state_are_refused_before_there_is_any() {
    let case = Case::new();
    let state = case.documents().join("deep/state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    command.args(["run", "--once", "--state"]).arg(&state);
    command.arg("--documents").arg(case.documents());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--state"));
    assert!(!case.documents().join("deep").exists());
}

#[test]
fn what_is_open_to_others_is_refused_with_the_command_that_mends_it() {
    let case = Case::new();
    case.run(0, &[]);
    for (name, open) in [
        ("", 0o755),
        ("ledger.key", 0o644),
        ("vault.key", 0o640),
        ("policy.key", 0o604),
        ("disk.img", 0o666),
    ] {
        let path = case.state().join(name);
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        let why = case.refused();
        let command = why
            .split(" chmod ")
            .nth(1)
            .map(|rest| format!("chmod {rest}"));
        let command = command.unwrap_or_else(|| panic!("no command in {why}"));
        assert!(why.contains("is open to others"), "{why}");
        // A long path may be broken by a line's end.
        let command = command.replace("/ ", "/");
        assert!(
            Command::new("sh")
                .args(["-c", &command])
                .status()
                .unwrap()
                .success(),
            "{command}"
        );
        case.run(0, &[]);
    }
}

/// What is left of a run that was killed while it packed: nothing of the documents.
#[test]
fn a_run_that_is_killed_while_it_packs_leaves_no_plaintext() {
    const SECRET: &str = "a sentence that nobody else is to read";
    let case = Case::new();
    case.run(0, &[]);
    case.document("secret.txt", &SECRET.repeat(1_000_000));
    for milliseconds in [0, 20, 50, 100, 200] {
        let mut command = case.command(&["run", "--once"]);
        command.arg("--documents").arg(case.documents());
        let mut run = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        run.kill().unwrap();
        run.wait().unwrap();
        for entry in fs::read_dir(case.state()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !["disk.img", "inbox.bundle"].contains(&name.as_str()) && entry.path().is_file() {
                let content = fs::read(entry.path()).unwrap();
                let found = String::from_utf8_lossy(&content).contains(SECRET);
                assert!(!found, "{name} after {milliseconds} ms");
            }
        }
    }
}

/// The process that started everything holds no private key while the appliance runs.
#[test]
fn keys_are_wiped_after_use() {
    use std::io::{BufRead as _, BufReader};
    let case = Case::new();
    case.run(0, &[]);
    let mut command = case.command(&["run"]);
    command.arg("--documents").arg(case.documents());
    let mut run = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("ingest: 1 document")));
    let text = case.read("policy.key");
    let digits = std::str::from_utf8(&text)
        .unwrap()
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    let seed: Vec<u8> = pairs
        .map(|it| u8::from_str_radix(it, 16).unwrap())
        .collect();
    let secrets = [
        ("ledger.key", case.read("ledger.key")),
        ("vault.key", case.read("vault.key")),
        ("policy.key's seed", seed),
        ("policy.key's digits", digits.into_bytes()),
    ];
    let memory = memory_of(run.id()).unwrap();
    assert!(memory.len() > 1 << 20, "{} bytes of memory", memory.len());
    let mut found = Vec::new();
    for (name, secret) in &secrets {
        found.push(("run", *name, count(&memory, secret)));
    }
    // Only root may look at a component, which is not dumpable.
    for process in children(run.id()) {
        let component = fs::read(format!("/proc/{process}/cmdline")).unwrap();
        let component = String::from_utf8(component).unwrap();
        for (name, secret) in &secrets {
            let memory = memory_of(process).unwrap_or_default();
            // It signs every commit.
            let is_ledger_s = component.contains("ledger") && *name == "ledger.key";
            let copies = count(&memory, secret).saturating_sub(is_ledger_s.into());
            found.push(("component", *name, copies));
        }
    }
    drop(run.stdin.take());
    run.wait().unwrap();
    found.retain(|(.., copies)| *copies > 0);
    assert_eq!(found, []);
}

fn count(memory: &[u8], secret: &[u8]) -> usize {
    memory
        .windows(secret.len())
        .filter(|it| *it == secret)
        .count()
}

fn children(process: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let listed = listed.unwrap_or_default();
    listed
        .split_whitespace()
        .map(|it| it.parse().unwrap())
        .collect()
}

/// What a process can write: its stack, its heap, its data.
fn memory_of(process: u32) -> std::io::Result<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = fs::File::open(format!("/proc/{process}/mem"))?;
    let mut bytes = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, mode) = (fields.next().unwrap(), fields.next().unwrap());
        if !mode.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|it| u64::from_str_radix(it, 16).unwrap());
        let mut part = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut part, start).is_ok() {
            bytes.extend(part);
        }
    }
    Ok(bytes)
}
