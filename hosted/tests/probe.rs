//! The hostile component that runs on every platform, on the hosted kernel.

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use portcullis_appliance::Appliance;
use portcullis_audit::state::State;
use portcullis_hosted::appliance::{Console, Paused, Until, start};
use portcullis_hosted::component::Isolation;
use portcullis_hosted::machine::Spawner;
use portcullis_log::block::LogKind;
use portcullis_log::{Operation, Outcome, Record};
use portcullis_manager_api::FORBIDDEN;
use portcullis_probe::{ABOVE_CEILING, EVERYWHERE};

#[test]
fn every_attempt_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let mut output = tempfile::tempfile().unwrap();
    let mut running = {
        let added = |name: &str| with_attacker(scratch.path(), name);
        let (policy, system) = (added("policy.toml"), added("system.xml"));
        let mut appliance = Appliance::prepare(&policy, &system, &state).unwrap();
        let documents = root().join("samples/documents");
        appliance.pack(&documents, &mut |_, _| ()).unwrap();
        let spawner = Spawner {
            executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-testbed")),
            isolation: Isolation::FULL,
        };
        let console = Console::with_output(output.try_clone().unwrap().into()).unwrap();
        let events = Rc::new(RefCell::new(Vec::new()));
        let report = Box::new(move |event| events.borrow_mut().push(event));
        start(appliance, &spawner, console, report).unwrap()
    };
    assert_eq!(running.run(Until::Settled).unwrap(), Paused::Idle);
    let mut shown = String::new();
    output.rewind().unwrap();
    output.read_to_string(&mut shown).unwrap();

    let due: Vec<_> = EVERYWHERE
        .iter()
        .map(|attempt| format!("probe: held {}", attempt.name))
        .collect();
    let verdict = |line: &&str| line.contains(": held ") || line.contains("BROKEN");
    let said: Vec<_> = shown.lines().filter(verdict).collect();
    assert_eq!(said, due, "{shown}");
    assert!(!shown.contains("forged with another method"), "{shown}");
    assert!(!shown.contains("\nmanager: forged"), "{shown}");

    let ended = running.outcome().unwrap();
    assert!(ended.is_through() && ended.failures.is_empty(), "{ended:?}");
    let slots = running.capscan().unwrap();
    assert!(slots.is_equal(), "{:?}", slots.differences);
    drop(running);
    let mut denied = ABOVE_CEILING.map(|(_, _, _, code)| match code {
        FORBIDDEN => Outcome::Forbidden,
        _ => Outcome::NotPermitted,
    });
    let denied = [&mut denied[..], &mut [Outcome::Unavailable]].concat();
    assert_eq!(denials(&state), denied);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the appliance with what the attacker adds to it.
fn with_attacker(to: &Path, name: &str) -> PathBuf {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let added = read(root().join("components/probe").join(name));
    let text = match name {
        "system.xml" => read(root().join(name)).replace("</system>", &format!("{added}</system>")),
        _ => read(root().join("policy/appliance.toml")) + &added,
    };
    let path = to.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// What the denials of the grant log say.
fn denials(state: &Path) -> Vec<Outcome> {
    let state = State::open(state).unwrap();
    let mut all: Vec<Record> = Vec::new();
    state.read(LogKind::Grants, &mut all, |_| ()).unwrap();
    let denials = all
        .into_iter()
        .filter(|record| record.operation == Operation::Deny);
    denials.map(|record| record.outcome).collect()
}
