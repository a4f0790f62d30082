//! A component that crashes, hangs or floods takes nobody else down.

mod common;

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use common::System;
use portcullis_hosted::machine::{Ended, Event, Fault, Limits, Machine, Stop, WhenIdle};
use portcullis_kernel::Badge;

/// Calls that the two others exchange beside each misbehaving component.
const CALLS: u64 = 200;
/// Looks outside, each after 64 system calls, in which they have done so beside a flood: some 100
/// calls of the flood, its whole turn, to each of theirs.
const MOST_LOOKS: u32 = 2_000;

/// Deadlines of 5 ms in which a process starts and runs on the most loaded machine.
const MOST_DEADLINES: u32 = 4_000;

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
        machine
            .run(&[], WhenIdle::Return, None)
            .expect("the kernel runs"),
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

/// Processor time of this thread, in clock ticks (proc(5), fields 14 and 15 of `stat`), as time.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// The socket of one that faulted is hung up, and the kernel does not look at it again and again.
#[test]
fn the_kernel_sleeps_beside_one_that_faulted() {
    let (mut system, ..) = beside("panic", 150);
    let mut machine = system.start();
    run(&mut machine);
    while machine.faulted().next().is_none() {
        run(&mut machine);
    }
    let (start, before) = (Instant::now(), processor_time());
    let deadline = start + Duration::from_millis(200);
    let stop = machine.run(&[], WhenIdle::Wait, Some(deadline)).unwrap();
    assert_eq!(stop, Stop::Deadline);
    let used = processor_time() - before;
    assert!(used < Duration::from_millis(50), "{used:?}");
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
fn callers_are_answered_in_another_order_than_they_asked() {
    let mut system = System::new();
    let clients: Vec<usize> = [100, 101, 102]
        .into_iter()
        .map(|priority| system.add("client", priority, &[("calls", CALLS)]))
        .collect();
    let server = system.add("late-server", 110, &[]);
    system.reply_pool(server, 2);
    for (id, client) in (1..).zip(&clients) {
        system.connect_as(*client, server, Badge::channel(id));
    }
    let mut machine = system.start();
    run(&mut machine);
    assert_eq!(system.events(), []);
    for client in clients {
        assert_eq!(system.result(client, 0), CALLS);
    }
    assert_eq!(system.result(server, 0), 2 * CALLS, "answers given later");
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

/// Far longer than any of these tests may take.
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_deadline_preempts_whatever_spins_or_sleeps() {
    for program in ["spin", "sleep"] {
        let mut system = System::new();
        // No overrun and no tick could end its turn.
        system.limits = Limits {
            tick: HOUR,
            slice: HOUR,
            wait: HOUR,
            hung: HOUR,
        };
        let bad = system.add(program, 100, &[]);
        let above = system.add("fault-handler", 200, &[]);
        let doorbell = system.bind(above);
        let mut machine = system.start();
        // How many deadlines a loaded machine needs to start a process or to run it is its own affair.
        let run_until = |machine: &mut Machine, is_so: &dyn Fn(&Machine) -> bool| {
            for _ in 0..MOST_DEADLINES {
                let deadline = Instant::now() + Duration::from_millis(5);
                let stop = machine.run(&[], WhenIdle::Wait, Some(deadline));
                assert_eq!(stop.expect("the kernel runs"), Stop::Deadline);
                assert!(Instant::now() >= deadline, "{program}");
                if is_so(machine) {
                    return;
                }
            }
            panic!("{program}: the one above it never runs");
        };
        for count in 1..=3 {
            run_until(&mut machine, &|it| it.is_blocked(system.thread(above)));
            assert!(!machine.is_blocked(system.thread(bad)), "{program}");
            // The clock's interrupt, say: whoever is above runs although the other never called.
            machine.signal(doorbell, Badge(1));
            run_until(&mut machine, &|_| system.result(above, 0) == count);
        }
        assert_eq!(system.events(), [], "{program}: it overran nothing");
    }
}

#[test]
fn an_interrupt_preempts_where_there_is_a_deadline() {
    let mut system = System::new();
    system.limits = Limits {
        tick: HOUR,
        slice: HOUR,
        wait: HOUR,
        hung: HOUR,
    };
    system.add("spin", 100, &[]);
    let mut machine = system.start();
    let (readable, mut writable) = std::io::pipe().expect("a pipe");
    writable.write_all(b"x").expect("there is room");
    let deadline = Some(Instant::now() + HOUR);
    let stop = machine.run(&[readable.as_fd()], WhenIdle::Wait, deadline);
    assert_eq!(stop.expect("the kernel runs"), Stop::Outside(0));
    assert_eq!(system.events(), []);
}

#[test]
fn an_interrupt_preempts_at_the_next_tick_where_there_is_no_deadline() {
    let mut system = System::new();
    system.limits = Limits {
        tick: Duration::from_millis(10),
        slice: HOUR,
        wait: HOUR,
        hung: HOUR,
    };
    system.add("spin", 100, &[]);
    let mut machine = system.start();
    let (readable, mut writable) = std::io::pipe().expect("a pipe");
    writable.write_all(b"x").expect("there is room");
    let stop = machine.run(&[readable.as_fd()], WhenIdle::Wait, None);
    assert_eq!(stop.expect("the kernel runs"), Stop::Outside(0));
    assert_eq!(system.events(), []);
}

#[test]
fn one_that_is_preempted_again_and_again_overruns_all_the_same() {
    for program in ["spin", "sleep"] {
        let mut system = System::new();
        system.add(program, 100, &[]);
        let mut machine = system.start();
        let overran = |event: &Event| matches!(event, Event::SetAside { .. });
        while !system.events().iter().any(overran) {
            // Shorter than the tick, the slice and the wait.
            let deadline = Instant::now() + Duration::from_millis(2);
            let stop = machine.run(&[], WhenIdle::Return, Some(deadline));
            assert!(stop.is_ok());
        }
    }
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
                let stop = machine.run(&[readable.as_fd()], WhenIdle::Wait, None);
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
