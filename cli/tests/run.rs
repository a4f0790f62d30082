//! `portcullis run` and `portcullis capscan`, as a person calls them.

#[path = "../../hosted/tests/kills/process.rs"]
#[allow(dead_code, reason = "the tests of the hosted kernel use the rest")]
mod process;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use assert_cmd::Command;
use process::Running;
use rustix::process::Signal;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn portcullis(arguments: &[&str], state: &Path) -> Command {
    let mut command = Command::cargo_bin("portcullis").expect("cargo built it");
    command
        .current_dir(root())
        .args(arguments)
        .arg("--state")
        .arg(state);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_samples_go_through_and_a_second_run_goes_on() {
    let state = tempfile::tempdir().unwrap();
    for (made, outcome) in [
        ("made new", "8 stored"),
        ("goes on from the last run", "8 unchanged"),
    ] {
        let output = portcullis(&["run", "--once"], state.path())
            .assert()
            .success();
        let shown = text(&output.get_output().stdout);
        for wanted in [
            made,
            outcome,
            "16 grants in force",
            "edge: 3 objects listed, 0 damaged, 0 lost",
            "capscan     16 grants in the slots, 16 in the log: equal",
            "the documents are through",
        ] {
            assert!(shown.contains(wanted), "{wanted:?} is not in:\n{shown}");
        }
    }
}

#[test]
fn json_is_all_that_standard_output_holds() {
    let state = tempfile::tempdir().unwrap();
    let output = portcullis(&["run", "--once", "--json"], state.path())
        .assert()
        .success();
    let summary: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(summary["through"], true);
    assert_eq!(summary["grants_in_slots"], summary["grants_in_log"]);
    assert_eq!(summary["failures"], Value::Array(Vec::new()));
}

#[test]
fn what_is_typed_is_answered_and_quit_ends_the_run() {
    let state = tempfile::tempdir().unwrap();
    let output = portcullis(&["run"], state.path())
        .write_stdin("status\nwhy edge vault read\nquit\n")
        .assert()
        .success();
    let shown = text(&output.get_output().stdout);
    assert!(
        shown.contains("grant log   18 records since boot"),
        "{shown}"
    );
    assert!(
        shown.contains("forbidden: the rule at policy line"),
        "{shown}"
    );
}

#[test]
fn capscan_without_an_appliance_is_exit_code_3() {
    let state = tempfile::tempdir().unwrap();
    let output = portcullis(&["capscan"], state.path()).assert().code(3);
    assert!(text(&output.get_output().stderr).contains("no appliance runs"));
}

#[test]
fn a_policy_that_does_not_hold_is_exit_code_2() {
    let state = tempfile::tempdir().unwrap();
    let policy = state.path().join("bad.toml");
    std::fs::write(&policy, "name = 3\n").unwrap();
    let policy = policy.to_str().unwrap();
    let run = ["run", "--once", "--policy", policy];
    portcullis(&run, &state.path().join("state"))
        .assert()
        .code(2);
}

#[test]
fn documents_that_are_not_there_are_exit_code_3() {
    let state = tempfile::tempdir().unwrap();
    let run = ["run", "--once", "--documents", "no/such/directory"];
    let output = portcullis(&run, state.path()).assert().code(3);
    assert!(text(&output.get_output().stderr).contains("no/such/directory"));
}

#[test]
fn prepare_makes_what_an_image_is_built_from() {
    let state = tempfile::tempdir().unwrap();
    portcullis(&["prepare"], state.path()).assert().success();
    let system = std::fs::read_to_string(root().join("system.xml")).unwrap();
    let named = system.split("prefill_path=\"").skip(1);
    let files: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        assert!(state.path().join(file).is_file(), "{file}");
    }
}

/// Whatever ends a run, while documents go in or after: nothing of it is left, and the next goes on.
#[test]
fn a_run_that_is_ended_at_any_moment_leaves_nothing_behind_and_the_next_goes_on() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        for seen in ["state ", "manager: policy", "ingest: ", "publish: "] {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
            command.current_dir(root()).arg("run").arg("--state");
            // Nobody types, and the input does not end.
            command.arg(&state).stdin(Stdio::piped());
            let mut running = Running::start(command);
            assert!(running.wait_for(|line| line.starts_with(seen)), "{seen:?}");
            let (status, shown) = running.end(signal);
            if signal == Signal::KILL {
                assert_eq!(status.signal(), Some(signal.as_raw()));
                // Its socket may lie there, and nobody answers.
                portcullis(&["capscan"], &state).assert().code(3);
                continue;
            }
            // Before it runs it has nothing to finish: the signal just ends it.
            let is_over = status.signal() == Some(signal.as_raw()) && seen == "state ";
            assert!(
                is_over || status.success(),
                "{signal:?} {status}\n{shown:#?}"
            );
            assert!(!state.join("control.sock").exists());
        }
        let output = portcullis(&["run", "--once"], &state).assert().success();
        let shown = text(&output.get_output().stdout);
        assert!(shown.contains(", 0 refused"), "{shown}");
        assert!(
            shown.contains("edge: 3 objects listed, 0 damaged, 0 lost"),
            "{shown}"
        );
        assert!(!state.join("control.sock").exists());
        let mut verify = Command::cargo_bin("portcullis").unwrap();
        let verified = verify
            .args(["log", "verify"])
            .arg(&state)
            .assert()
            .success();
        let verified = text(&verified.get_output().stdout);
        assert_eq!(verified.matches(" holds\n").count(), 2, "{verified}");
    }
}

#[test]
fn a_second_signal_ends_a_run_in_the_middle_of_its_documents() {
    let scratch = tempfile::tempdir().unwrap();
    let documents = scratch.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(documents.join(name), name.repeat(20_000_000)).unwrap();
    }
    let state = scratch.path().join("state");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(root()).arg("run");
    command.arg("--state").arg(&state);
    command.arg("--documents").arg(&documents);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    assert!(running.wait_for(|line| line.starts_with("ingest: a ")));
    running.signal(Signal::INT);
    assert!(running.wait_for(|line| line.starts_with("ending once the documents are through")));
    let (status, shown) = running.end(Signal::INT);
    assert!(status.success(), "{shown:#?}");
    let next = ["run", "--once", "--documents", documents.to_str().unwrap()];
    let output = portcullis(&next, &state).assert().success();
    let shown = text(&output.get_output().stdout);
    assert!(shown.contains("ingest: 3 documents: "), "{shown}");
}

/// A state directory that was begun and not finished is finished by the next who needs it.
#[test]
fn a_first_run_that_is_killed_at_any_moment_can_be_repeated() {
    const KILLS: u32 = 24;
    let program = env!("CARGO_BIN_EXE_portcullis");
    let prepare = |state: &Path| {
        let mut command = std::process::Command::new(program);
        let command = command.current_dir(root()).args(["prepare", "--state"]);
        let command = command.arg(state).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let scratch = tempfile::tempdir().unwrap();
    let start = Instant::now();
    assert!(
        prepare(&scratch.path().join("whole"))
            .wait()
            .unwrap()
            .success()
    );
    let whole = start.elapsed();
    for kill in 0..KILLS {
        let state = scratch.path().join(kill.to_string());
        let mut running = prepare(&state);
        std::thread::sleep(whole * kill / KILLS);
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(prepare(&state).wait().unwrap().success());
        let audited = portcullis_audit::state::State::open(&state).unwrap();
        audited.keys(portcullis_log::block::LogKind::Worm).unwrap();
    }
}
