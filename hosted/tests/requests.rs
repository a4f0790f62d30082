//! Grants that are asked for, handed on, taken back and given up, on the hosted kernel.

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
use portcullis_log::{Cause, GrantFields, Operation, Record};
use portcullis_policy_format::Policy;
use portcullis_requests::STEPS;

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

/// The grant log after the boot's seal, a line a record: what it says beside when and by which line. Ids
/// count from there.
fn told(state: &Path) -> String {
    let compiled = fs::read(state.join("appliance.policy")).unwrap();
    let policy = Policy::inspect(&compiled).unwrap();
    let name = |number| policy.component_at(number).unwrap().name;
    let state = State::open(state).unwrap();
    let mut all: Vec<Record> = Vec::new();
    let verified = state.verify_with(LogKind::Grants, &mut all, |_| ());
    let verified = verified.unwrap();
    assert!(verified.holds, "{:#?}", verified.findings);
    let seal = all.iter().position(|it| it.operation == Operation::Seal);
    let (boot, rest) = all.split_at(seal.unwrap() + 1);
    let before = boot
        .iter()
        .filter(|it| it.operation == Operation::Mint)
        .count() as u64;
    let line = |it: &Record| {
        let Cause::Request { by, .. } = it.cause else {
            panic!("nobody asked for it: {it:?}");
        };
        let grant = it.grant.map_or_else(String::new, |it| {
            let (id, parent) = (it.id.checked_sub(before), it.parent.map(|id| id - before));
            let GrantFields {
                generation, grant, ..
            } = it;
            let [subject, object] = [grant.subject, grant.object].map(name);
            let methods = grant.methods;
            format!("{id:?} {subject} {object} {methods:?} {generation:?} from {parent:?}")
        });
        format!(
            "{:?} [{grant}] {} {:?}\n",
            it.operation,
            name(by.component),
            it.outcome
        )
    };
    rest.iter().map(line).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the appliance with what this test adds to it.
fn with_more(to: &Path, name: &str) -> PathBuf {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let added = read(root().join("components/requests").join(name));
    let text = match name {
        "system.xml" => read(root().join(name)).replace("</system>", &format!("{added}</system>")),
        _ => read(root().join("policy/appliance.toml")) + &added,
    };
    let path = to.join(name);
    fs::write(&path, text).unwrap();
    path
}
