//! Leases on the hosted kernel: they end while somebody spins above their holder.

use std::fs;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use portcullis_appliance::Appliance;
use portcullis_audit::state::State;
use portcullis_hosted::appliance::{Console, Until, start};
use portcullis_hosted::component::Isolation;
use portcullis_hosted::machine::Spawner;
use portcullis_log::block::LogKind;
use portcullis_log::{Operation, Outcome, Record};

/// Leases of the holder, in milliseconds (`components/probe/leases/policy.toml`).
const LEASES: [u32; 8] = [600, 607, 613, 618, 626, 631, 639, 644];

#[test]
fn leases_end_while_another_spins() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    let mut output = tempfile::tempfile().unwrap();
    let mut running = {
        let with = |name: &str| with_holder(scratch.path(), name);
        let (policy, system) = (with("policy.toml"), with("system.xml"));
        let mut appliance = Appliance::prepare(&policy, &system, &state).unwrap();
        let documents = root().join("samples/documents");
        appliance.pack(&documents, &mut |_, _| ()).unwrap();
        let spawner = Spawner {
            executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-testbed")),
            isolation: Isolation::FULL,
        };
        let console = Console::with_output(output.try_clone().unwrap().into()).unwrap();
        start(appliance, &spawner, console, Box::new(|_| ())).unwrap()
    };
    let mut shown = String::new();
    while !shown.contains("holder: held ") {
        running.run(Until::Settled).unwrap();
        shown.clear();
        output.rewind().unwrap();
        output.read_to_string(&mut shown).unwrap();
    }
    let said: Vec<_> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("holder: "))
        .collect();
    // How late depends on what else the host does: it is shown, and not judged.
    println!("leases ended beside one that spins: {said:?}");
    assert_eq!(said.last(), Some(&"held 8 leases, holds 0"), "{shown}");

    running.run(Until::Settled).unwrap();
    let slots = running.capscan().unwrap();
    assert!(slots.is_equal(), "{:?}", slots.differences);
    drop(running);
    let mut records: Vec<Record> = Vec::new();
    let state = State::open(&state).unwrap();
    state.read(LogKind::Grants, &mut records, |_| ()).unwrap();
    let expired = records
        .iter()
        .filter(|it| it.operation == Operation::Expire);
    let expired: Vec<u32> = expired
        .map(|it| {
            assert_eq!(it.outcome, Outcome::Done);
            it.grant.unwrap().lease_ms.unwrap()
        })
        .collect();
    assert_eq!(expired, LEASES);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the appliance with what the holder adds to it.
fn with_holder(to: &Path, name: &str) -> PathBuf {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let added = read(root().join("components/probe/leases").join(name));
    let text = match name {
        "system.xml" => read(root().join(name)).replace("</system>", &format!("{added}</system>")),
        _ => read(root().join("policy/appliance.toml")) + &added,
    };
    let path = to.join(name);
    fs::write(&path, text).unwrap();
    path
}
