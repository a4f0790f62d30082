//! A component that crashes, hangs or floods takes nobody else down.

mod common;

use std::os::fd::AsFd as _;

use common::System;
use portcullis_hosted::machine::{Ended, Event, Fault, Machine, Stop, WhenIdle};
use portcullis_kernel::Badge;

/// Calls that the two others exchange beside each misbehaving component.
const CALLS: u64 = 200;
/// Looks outside, each after 64 system calls, in which they have done so beside a flood: some 100
/// calls of the flood, its whole turn, to each of theirs.
const MOST_LOOKS: u32 = 2_000;

/// A client and a server, and a component that misbehaves at this priority.
fn beside(program: &str, priority: u8) -> (System, usize, usize) {
    let mut system = System::new();
    let bad = system.add(program, priority, &[]);
    let client = system.add("client", 100, &[("calls", CALLS)]);
    let server = system.add("server", 101, &[]);
    let handler = system.add("fault-handler", 200, &[]);
    system.connect(client, server);
    system.connect(bad, server);
    system.handle_faults(bad, handler, 5);
    (system, bad, client)
}

/// Runs until no component can.
fn run(machine: &mut Machine) {
    assert_eq!(
        machine.run(&[], WhenIdle::Return).expect("the kernel runs"),
        Stop::Idle
    );
}

fn fault_of(program: &str, priority: u8) -> Fault {
    let (mut system, _, client) = beside(program, priority);
    let mut machine = system.start();
    run(&mut machine);
    // On a loaded machine one that takes long to die is taken for one that hangs, at first.
    let is_fault = |event: &Event| matches!(event, Event::Fault { .. });
    while !system.events().iter().any(is_fault) {
        run(&mut machine);
    }
    assert_eq!(
        system.result(client, 0),
        CALLS,
        "{program}: the others go on"
    );
    let handler = client + 2;
    assert_eq!(system.result(handler, 0), 1, "{program}: one fault message");
    assert_eq!(
        system.result(handler, 1),
        Badge::fault(5).0,
        "its badge is the handler's name for it"
    );
    let mut faults: Vec<Fault> = system
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Fault { component, fault } => {
                assert!(component.starts_with(program), "{component}");
                Some(fault)
            }
            _ => None,
        })
        .collect();
    assert_eq!(faults.len(), 1, "{program}: {faults:?}");
    faults.pop().expect("there is one")
}

#[test]
fn two_components_exchange_calls() {
    let mut system = System::new();
    let client = system.add("client", 100, &[("calls", CALLS)]);
    let server = system.add("server", 101, &[]);
    system.connect(client, server);
    let mut machine = system.start();
    run(&mut machine);
    assert_eq!(system.events(), []);
    assert_eq!(system.result(client, 0), CALLS);
    assert!(machine.is_blocked(system.thread(server)));
    assert_eq!(system.events(), []);
}

#[test]
fn crashes_take_nobody_down() {
    for priority in [50, 150] {
        let Fault::Panicked(text) = fault_of("panic", priority) else {
            panic!("a panic is reported as one");
        };
        assert!(
            text.contains("a panic [2J for the test"),
            "no control characters: {text:?}"
        );
        assert_eq!(fault_of("exit", priority), Fault::Ended(Ended::Exited(7)));
        let killed = [
            Ended::Signalled(libc::SIGSEGV),
            Ended::Signalled(libc::SIGSYS),
        ];
        for program in ["segfault", "overflow"] {
            let Fault::Ended(ended) = fault_of(program, priority) else {
                panic!("{program} ends its process");
            };
            assert!(killed.contains(&ended), "{program}: {ended:?}");
        }
    }
}

#[test]
fn garbage_ends_its_sender_only() {
    for program in ["flood-garbage", "long-packet"] {
        let fault = fault_of(program, 150);
        assert!(matches!(fault, Fault::Malformed(_)), "{program}: {fault:?}");
    }
    let fault = fault_of("empty-packet", 150);
    assert!(
        matches!(fault, Fault::Ended(_) | Fault::Malformed(_)),
        "{fault:?}"
    );
    assert!(matches!(fault_of("bad-receive", 150), Fault::Capability(_)));
}

#[test]
fn one_that_reads_no_answers_is_ended() {
    assert_eq!(fault_of("flood-unread", 100), Fault::Unread);
}

#[test]
fn hangs_are_set_aside_and_reported() {
    for program in ["spin", "sleep"] {
        let (mut system, _, client) = beside(program, 150);
        let mut machine = system.start();
        run(&mut machine);
        assert_eq!(
            system.result(client, 0),
            CALLS,
            "{program}: the others go on"
        );
        assert_eq!(machine.hung().count(), 1);
        let hung = |event: &Event| matches!(event, Event::Hung { .. });
        assert!(
            system.events().iter().any(hung),
            "{program}: {:?}",
            system.events()
        );
    }
}

#[test]
fn a_flood_of_system_calls_delays_no_one_above_it_or_beside_it() {
    for program in ["flood-calls", "flood-sends", "flood-yields"] {
        for priority in [50, 100] {
            let (mut system, _, client) = beside(program, priority);
            let mut machine = system.start();
            // A flood never ends by itself; a pipe that is always readable brings the machine back
            // at each of its looks outside, to see how far the others are.
            let (readable, writer) = std::io::pipe().expect("a pipe");
            drop(writer);
            let mut looks = 0;
            while system.result(client, 0) < CALLS {
                let stop = machine.run(&[readable.as_fd()], WhenIdle::Wait);
                assert_eq!(stop.expect("the kernel runs"), Stop::Outside(0));
                looks += 1;
                assert!(
                    looks < MOST_LOOKS,
                    "{program} at {priority} starves the others"
                );
            }
            assert_eq!(system.events(), [], "{program} at {priority}");
        }
    }
}
