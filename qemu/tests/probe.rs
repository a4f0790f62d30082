//! A hostile component on the real kernel: every attempt to get past a grant is refused as it is
//! due, and the appliance does its job afterwards.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Case, samples};
use portcullis_audit::state::State;
use portcullis_kernel::Fault;
use portcullis_log::block::LogKind;
use portcullis_log::{Cause, Operation, Outcome, Record};
use portcullis_manager_api::FORBIDDEN;
use portcullis_policy::image;
use portcullis_policy_format::Policy;
use portcullis_probe::{ABOVE_CEILING, Attempt, EVERYWHERE, FATAL, ON_SEL4};
use portcullis_qemu::{Board, System, capscan, root};

/// Longer than either board needs on a loaded host.
const PATIENCE: Duration = Duration::from_secs(600);
/// Whether the fault is what the offender did. Addresses and numbers are those of
/// `images/tests/probe/src/bin/offender.rs` and of `system.xml` beside it.
fn is_due(board: Board, offender: &str, fault: Fault) -> bool {
    match (offender, fault) {
        ("offender_writes", _) => of_memory(board, fault, 0x4c, 7) == Some((0x1000_0000, false)),
        ("offender_reads", _) => of_memory(board, fault, 0x04, 5) == Some((0x7000_0000, false)),
        // Its own stack: where that is, is where it was executed.
        ("offender_executes", Fault::VmFault { ip, .. }) => {
            of_memory(board, fault, 0x0c, 1) == Some((ip, true))
        }
        // Its static channel, on which it may call and not receive; the monitor's endpoint.
        ("offender_receives", _) => receives_from(fault, 74),
        ("offender_listens", _) => receives_from(fault, 5),
        ("offender_asks", Fault::UnknownSyscall { number, .. }) => number as i64 == -100,
        // An instruction that there is not. On aarch64 the exception class is 0, and a bit says that
        // it has four bytes.
        ("offender_traps", Fault::UserException { number, .. }) => match board {
            Board::Aarch64 => number == 1 << 25,
            Board::Riscv64 => number == 2,
        },
        _ => false,
    }
}

/// The address and whether it was executed, of a memory fault with this status: on aarch64 whether it
/// wrote (`ESR`, bit 6) and the kind of fault (bits 2 and 3: 1 no translation, 3 no permission), on
/// riscv64 the `scause` of an access fault, which seL4 tells of page faults too.
fn of_memory(board: Board, fault: Fault, syndrome: u64, scause: u64) -> Option<(u64, bool)> {
    let Fault::VmFault {
        address,
        instruction,
        status,
        ..
    } = fault
    else {
        return None;
    };
    let is_it = match board {
        Board::Aarch64 => status & 0x4c == syndrome,
        Board::Riscv64 => status == scause,
    };
    is_it.then_some((address, instruction))
}

/// Whether it received through a capability in this slot that is not for receiving.
fn receives_from(fault: Fault, slot: u64) -> bool {
    match fault {
        Fault::CapFault {
            pointer,
            receiving,
            lookup,
            ..
        } => (pointer, receiving, lookup) == (slot, true, 2),
        _ => false,
    }
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    every_attempt_is_refused(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    every_attempt_is_refused(Board::Riscv64);
}

fn every_attempt_is_refused(board: Board) {
    let scratch = tempfile::tempdir().unwrap();
    let (description, policy) = with_attackers(scratch.path());
    let system = System {
        name: "probe".to_owned(),
        packages: ["portcullis-pds", "portcullis-probe-pds"]
            .map(Into::into)
            .into(),
        description,
    };
    let case = Case::new(board, &system, &policy, &samples());
    let mut machine = case.boot();
    let mut awaited = awaited();
    let lines = machine.until("every attempt and every document", PATIENCE, |line| {
        awaited.retain(|part| !line.starts_with(part));
        awaited.is_empty()
    });
    let lines = lines.unwrap_or_else(|error| panic!("{error}; still awaited: {awaited:?}"));
    // Both the slots of the running kernel and the image are as policy and log say.
    let slots = capscan::check(&mut machine, case.state()).unwrap();
    drop(machine);
    assert_eq!(slots.differences, [""; 0]);
    keeps_every_rule(&case);
    all_held(&lines);
    nothing_else_was_said(&lines);
    the_appliance_did_its_job(&lines);
    the_log_tells_it(board, case.state());
}

/// The reference system and its policy, with the attackers inserted: nothing of either is repeated.
fn with_attackers(to: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let places = ["components/probe", "images/tests/probe"];
    let added = places.map(|it| read(&format!("{it}/system.xml"))).concat();
    let system = read("system.xml").replace("</system>", &format!("{added}</system>"));
    let added = places.map(|it| read(&format!("{it}/policy.toml"))).concat();
    let policy = read("policy/appliance.toml") + &added;
    let written = |name, text: String| {
        let path = to.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    (
        written("system.xml", system),
        written("policy.toml", policy),
    )
}

/// How the lines begin after which nothing more is to come.
fn awaited() -> Vec<String> {
    let by: BTreeSet<_> = attempts().map(|attempt| attempt.by).collect();
    let mut parts: Vec<_> = by
        .iter()
        .map(|by| format!("{by}: end of attempts: "))
        .collect();
    parts.extend(
        [
            "ingest: 8 documents: ",
            "edge: 3 objects listed",
            "publish: 3 ",
        ]
        .map(Into::into),
    );
    parts
}

fn attempts() -> impl Iterator<Item = &'static Attempt> {
    EVERYWHERE.iter().chain(ON_SEL4)
}

/// Each attempt was made, once, and held.
fn all_held(lines: &[String]) {
    let broken: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("BROKEN"))
        .collect();
    assert_eq!(broken, [""; 0]);
    let mut held: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(": held "))
        .collect();
    let mut due: Vec<_> = attempts()
        .map(|attempt| format!("{}: held {}", attempt.by, attempt.name))
        .collect();
    held.sort();
    due.sort();
    assert_eq!(held, due.iter().collect::<Vec<_>>());
}

/// What an attacker would have shown, had it got through, is not there.
fn nothing_else_was_said(lines: &[String]) {
    let by = |name: &str| -> Vec<&str> {
        let prefix = format!("{name}: ");
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect()
    };
    for Attempt { by: offender, .. } in FATAL {
        assert_eq!(by(offender), ["offends"], "{offender} went on");
    }
    assert_eq!(by("donor"), ["gives its time to the server"]);
    assert_eq!(
        by("accomplice").last(),
        Some(&"end of attempts: 2 held, 0 broken")
    );
    let called = lines
        .iter()
        .filter(|line| line.contains("called, and not answered"));
    assert_eq!(
        called.count(),
        1,
        "a call through a send grant is one message"
    );
    for line in lines {
        assert!(!line.contains("forged with another method"), "{line}");
        // Each line names its sender, so what is forged is seen to be the probe's.
        assert!(
            !line.contains("manager: forged") || line.starts_with("probe: "),
            "{line}"
        );
        assert!(
            !line.contains(['\u{1b}', '\u{8}', '\u{202e}', '\u{2028}']),
            "{line}"
        );
    }
}

fn the_appliance_did_its_job(lines: &[String]) {
    for due in [
        "ingest: 8 documents: 8 stored, 0 unchanged, 0 refused",
        "edge: 3 objects listed, 0 damaged, 0 lost",
        "publish: 3 objects published, 863 B",
    ] {
        assert!(
            lines.iter().any(|line| line == due),
            "{due:?} is not in {lines:#?}"
        );
    }
}

/// The image with the attackers in it keeps every rule: none of them succeeds, or fails, because the
/// image is another.
fn keeps_every_rule(case: &Case) {
    let found = image::Image::read(&fs::read(&case.image.distribution).unwrap()).unwrap();
    let policy = fs::read(case.state().join("appliance.policy")).unwrap();
    let policy = Policy::inspect(&policy).unwrap();
    assert_eq!(image::check(&policy, &case.image.system, &found), []);
}

/// Both logs hold; of each attacker there are the denials that are its share; and nobody but the
/// offenders faulted, whatever the manager was told.
fn the_log_tells_it(board: Board, state: &Path) {
    let state = State::open(state).unwrap();
    for kind in [LogKind::Grants, LogKind::Worm] {
        let report = state.verify(kind, |_| ()).unwrap();
        assert!(report.holds, "{report:#?}");
    }
    let mut log: Vec<Record> = Vec::new();
    state.read(LogKind::Grants, &mut log, |_| ()).unwrap();
    let Some(Cause::Load { policy: sha256, .. }) = log.first().map(|record| record.cause) else {
        panic!("the first record is the boot's");
    };
    let policy = state.policies().get(&sha256).unwrap();
    let denied = |name: &str| -> Vec<Outcome> {
        let asked = log
            .iter()
            .filter(|record| record.operation == Operation::Deny);
        let by = asked.filter(|record| match record.cause {
            Cause::Request { by, .. } => policy.component(by.component) == Some(name),
            _ => false,
        });
        by.map(|record| record.outcome).collect()
    };
    let outcomes = ABOVE_CEILING.map(|(_, _, _, code)| match code {
        FORBIDDEN => Outcome::Forbidden,
        _ => Outcome::NotPermitted,
    });
    // The last says that there were others.
    assert_eq!(
        denied("probe"),
        [&outcomes[..], &[Outcome::Unavailable]].concat()
    );
    let flood = [&[Outcome::Forbidden; 16][..], &[Outcome::Unavailable]].concat();
    assert_eq!(denied("flood"), flood);
    let all = log
        .iter()
        .filter(|record| record.operation == Operation::Deny);
    assert_eq!(all.count(), 34, "nobody else was denied anything");

    let faults = log
        .iter()
        .filter(|record| record.operation == Operation::Fault);
    let faults: BTreeMap<_, _> = faults
        .map(|record| match record.cause {
            Cause::Fault { component, fault } => (policy.component(component).unwrap(), fault),
            _ => panic!("{record:?}"),
        })
        .collect();
    for Attempt { by: offender, .. } in FATAL {
        let fault = faults[offender];
        assert!(is_due(board, offender, fault), "{offender}: {fault}");
        let revoked = log.iter().filter(|record| {
            let caused = matches!(record.cause, Cause::Fault { component, .. }
                if policy.component(component) == Some(*offender));
            record.operation == Operation::Revoke && caused
        });
        assert_eq!(revoked.count(), 1, "{offender} held one grant");
    }
    assert_eq!(faults.len(), FATAL.len(), "nobody else faulted: {faults:?}");
}
