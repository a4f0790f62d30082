//! Grants that are asked for, handed on, taken back and given up, on the hosted kernel.

#[path = "../../components/requests/tests/story/mod.rs"]
mod story;

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use portcullis_appliance::Appliance;
use portcullis_hosted::appliance::{Console, Paused, Until, start};
use portcullis_hosted::component::Isolation;
use portcullis_hosted::machine::Spawner;
use portcullis_requests::STEPS;
use story::{told, with_more};

/// What the grant log says of it on every platform; written anew where BLESS is set.
const LOG: &str = "components/requests/log.txt";

#[test]
fn a_component_asks_hands_on_takes_back_and_gives_up() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let mut output = tempfile::tempfile().unwrap();
    let mut running = {
        let [policy, system] =
            ["policy.toml", "system.xml"].map(|it| with_more(scratch.path(), it));
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
    let due: Vec<_> = STEPS.map(|step| format!("asker: held {step}")).into();
    let verdict = |line: &&str| line.contains(": held ") || line.contains("BROKEN");
    let said: Vec<_> = shown.lines().filter(verdict).collect();
    assert_eq!(said, due, "{shown}");

    let ended = running.outcome().unwrap();
    assert!(ended.is_through() && ended.failures.is_empty(), "{ended:?}");
    let slots = running.capscan().unwrap();
    assert!(slots.is_equal(), "{:?}", slots.differences);
    drop(running);
    let log = told(&state);
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join(LOG), &log).unwrap();
    }
    assert_eq!(log, fs::read_to_string(root().join(LOG)).unwrap());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
