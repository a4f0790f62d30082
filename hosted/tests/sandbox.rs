//! A component that tries to get out of its sandbox gets nowhere.

mod common;

use std::fs::File;

use common::System;
use portcullis_hosted::component::Isolation;
use portcullis_hosted::machine::{Ended, Event, Fault, Stop, WhenIdle};

/// The attempts, in the order of their numbers in `../testbed/attack.rs`, and the error with which
/// Linux or Landlock refuses each where the system-call filter is open; `None`: the filter alone
/// stands against it, or other walls did before it.
const ATTEMPTS: [(&str, Option<i32>); 38] = [
    ("open a file", Some(libc::EMFILE)),
    ("open the memory of another process", Some(libc::EMFILE)),
    ("make a socket", None),
    ("connect", None),
    ("execute", Some(libc::EACCES)),
    ("trace another component", Some(libc::EPERM)),
    // Landlock keeps signals in from Linux 6.12 on.
    ("kill another component", None),
    ("read another component's memory", Some(libc::EPERM)),
    ("map executable memory", None),
    ("make a read-only region writable", Some(libc::EACCES)),
    ("fork", Some(libc::EAGAIN)),
    ("fork with clone3", None),
    ("open a process", Some(libc::EMFILE)),
    ("make a memory file", Some(libc::EMFILE)),
    ("send a descriptor", None),
    ("receive a descriptor", None),
    (
        "write to a descriptor that is not its own",
        Some(libc::EBADF),
    ),
    (
        "read from a descriptor that is not its own",
        Some(libc::EBADF),
    ),
    ("write to the socket as to a disk", Some(libc::ESPIPE)),
    ("control the socket", None),
    ("set up a ring of system calls", None),
    ("change the filter", None),
    ("make a namespace", None),
    ("let itself be traced", None),
    ("start a session", Some(libc::EPERM)),
    ("move a region", None),
    ("ask for its process id", None),
    ("make a directory", Some(libc::EACCES)),
    ("read another component's processor time", None),
    ("read a host process's processor time", None),
    ("read a clock that nothing uses", None),
    ("ask for another component's clock", None),
    ("have signals sent for its socket", None),
    ("advise on a region's memory", None),
    (
        "read its socket as a disk, with a vector",
        Some(libc::ESPIPE),
    ),
    ("flush its socket", Some(libc::EINVAL)),
    ("make a timer", Some(libc::EMFILE)),
    ("set its socket as a timer", Some(libc::EINVAL)),
];

/// Numbers of the attempts to make the own disk larger, and how each looks: a write behind its end is
/// the driver's own system call, which only the limit on the size of files stands against.
const GROWTHS: [(usize, &str, i32); 3] = [
    (39, "write behind the end of the disk", libc::SIGXFSZ),
    (40, "make the disk's file longer", libc::SIGSYS),
    (41, "take more room for the disk", libc::SIGSYS),
];

/// An attacker beside a component that just waits; the result is what came of the attempt.
fn attempt(number: usize, isolation: Isolation) -> (System, Vec<Event>) {
    attempt_with(number, isolation, None)
}

fn attempt_with(number: usize, isolation: Isolation, disk: Option<File>) -> (System, Vec<Event>) {
    let mut system = System::new();
    system.isolation = isolation;
    system.disk = disk;
    let victim = system.add("waiter", 150, &[]);
    let parameters = [("attempt", number as u64)];
    let attacker = system.add("attack:", 100, &parameters);
    assert_eq!((victim, attacker), (0, 1));
    let mut machine = system.start_with_victim(attacker, victim);
    let stop = machine
        .run(&[], WhenIdle::Return, None)
        .expect("the kernel runs");
    assert_eq!(stop, Stop::Idle);
    assert!(
        machine.is_blocked(system.thread(victim)),
        "the victim still waits"
    );
    let events = system.events();
    (system, events)
}

#[test]
fn every_attempt_is_killed() {
    for (number, (name, _)) in ATTEMPTS.iter().enumerate() {
        let (system, events) = attempt(number, Isolation::FULL);
        let killed = Event::Fault {
            component: "attack:.1".into(),
            fault: Fault::Ended(Ended::Signalled(libc::SIGSYS)),
        };
        assert_eq!(events, [killed], "{name}");
        assert_eq!(
            system.result(1, 0),
            1,
            "{name}: it started and did not come back"
        );
    }
}

#[test]
fn the_other_walls_stand_without_the_filter() {
    let open = Isolation {
        seccomp: false,
        ..Isolation::FULL
    };
    for (number, (name, refused)) in ATTEMPTS.iter().enumerate() {
        let Some(expected) = refused else {
            continue;
        };
        let (system, events) = attempt(number, open);
        assert_eq!(events, [], "{name}");
        assert_eq!(system.result(1, 0), 2, "{name}: it came back");
        // Root is not held to a number of processes; that wall is the filter's then.
        if *name == "fork" && rustix::process::geteuid().is_root() {
            continue;
        }
        assert_eq!(system.result(1, 1), *expected as u64, "{name}");
    }
}

#[test]
fn a_driver_cannot_make_its_disk_larger() {
    let open = Isolation {
        seccomp: false,
        ..Isolation::FULL
    };
    for isolation in [Isolation::FULL, open] {
        let disk = || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            (file.try_clone().unwrap(), file)
        };
        let (file, given) = disk();
        let (system, events) = attempt_with(38, isolation, Some(given));
        assert_eq!(events, [], "a write where the disk is");
        assert_eq!((system.result(1, 0), system.result(1, 1)), (2, 0));
        let mut block = [0; 6];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut block, 0).unwrap();
        assert_eq!(&block, b"secret");
        for (number, name, filtered) in GROWTHS {
            let (file, given) = disk();
            let (_, events) = attempt_with(number, isolation, Some(given));
            let signal = if isolation.seccomp {
                filtered
            } else {
                libc::SIGXFSZ
            };
            let killed = Event::Fault {
                component: "attack:.1".into(),
                fault: Fault::Ended(Ended::Signalled(signal)),
            };
            assert_eq!(events, [killed], "{name}");
            assert_eq!(file.metadata().unwrap().len(), 4096, "{name}");
        }
    }
}
