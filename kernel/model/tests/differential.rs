//! The comparison with the real kernel finds every difference: held here against a machine that
//! reports what the model says, and then something else.

use portcullis_kernel::Message;
use portcullis_model::testing::OPERATION_BYTES;
use portcullis_model::testing::differential::{
    Call, Event, Order, Outcome, Plan, Report, Trap, from_line, to_line,
};
use portcullis_model::{CapabilityFault, Completion, LookupFault};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn operations() -> impl Strategy<Value = Vec<[u8; OPERATION_BYTES]>> {
    vec(any::<[u8; OPERATION_BYTES]>(), 1..40)
}

/// What a kernel that is like the model reports.
fn faithful(plan: &Plan) -> Vec<Report> {
    let mut traps: [Option<Trap>; 8] = Default::default();
    let mut reports = Vec::new();
    for (order, step) in plan.orders().into_iter().zip(&plan.steps) {
        if let Order::Trap(thread, trap) = order
            && step.began
        {
            traps[usize::from(thread)] = Some(trap);
        }
        let event = |(thread, completion): &(usize, Completion)| Event {
            thread: *thread as u8,
            outcome: outcome(
                completion,
                traps[*thread].as_ref().expect("it began a call"),
            ),
        };
        reports.push(step.expected.iter().map(event).collect());
    }
    reports
}

fn outcome(completion: &Completion, trap: &Trap) -> Outcome {
    let left = if trap.call == Call::Call {
        0
    } else {
        trap.info
    };
    let ended = |badge, info| Outcome::Ended {
        badge,
        info,
        words: Vec::new(),
    };
    match completion {
        Completion::Done | Completion::Nothing => ended(0, left),
        Completion::Message { badge, message } if *message == Message::default() => {
            ended(badge.0, left)
        }
        Completion::Message { badge, message } => Outcome::Ended {
            badge: badge.0,
            info: message.label() << 12 | message.words().len() as u64,
            words: message.words().into(),
        },
        Completion::Fault(fault) => Outcome::Faulted {
            label: 1,
            words: [vec![0x1000], fault_words(fault)].concat(),
        },
        Completion::Invoked(_) | Completion::Restarted | Completion::Unmodelled { .. } => {
            panic!("not in a plan: {completion:?}")
        }
    }
}

/// The words of a capability fault's message (seL4 manual, "Capability Faults"), but the first.
fn fault_words(fault: &CapabilityFault) -> Vec<u64> {
    let details = match fault.lookup {
        LookupFault::InvalidRoot => vec![1],
        LookupFault::MissingCapability { bits_left } => vec![2, bits_left],
        LookupFault::DepthMismatch {
            bits_found,
            bits_left,
        } => vec![3, bits_left, bits_found],
        LookupFault::GuardMismatch {
            guard,
            guard_size,
            bits_left,
        } => vec![4, bits_left, guard, guard_size],
    };
    let begin = vec![fault.address.bits(), fault.receiving.into()];
    [begin, details].concat()
}

/// Another outcome than this. `choice` chooses in what.
fn other(outcome: &Outcome, choice: u8) -> Outcome {
    let mut other = outcome.clone();
    match &mut other {
        Outcome::Ended { info, .. } if choice < 100 => *info ^= 1 << 13,
        Outcome::Ended { words, .. } if !words.is_empty() => words[0] ^= 1,
        Outcome::Ended { info, .. } => *info ^= 1 << 40,
        Outcome::Faulted { label, .. } if choice < 100 => *label += 1,
        Outcome::Faulted { words, .. } => *words.last_mut().expect("a fault has words") ^= 1,
    }
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_the_model_says_agrees_with_itself(operations in operations()) {
        let plan = Plan::new(&operations);
        prop_assert_eq!(plan.compare(&faithful(&plan)), Ok(()));
    }

    #[test]
    fn one_other_outcome_is_found(operations in operations(), place: Index, choice: u8) {
        let plan = Plan::new(&operations);
        let mut reports = faithful(&plan);
        let all: Vec<_> = reports.iter().enumerate().filter(|(_, it)| !it.is_empty()).collect();
        let step = place.get(&all).0;
        let event = &mut reports[step][0];
        event.outcome = other(&event.outcome, choice);
        let found = plan.compare(&reports).map_err(|mismatch| mismatch.step);
        prop_assert_eq!(found, Err(step));
    }

    #[test]
    fn a_thread_that_goes_on_or_not_is_found(operations in operations(), place: Index, drops: bool) {
        let plan = Plan::new(&operations);
        let mut reports = faithful(&plan);
        let step = place.index(reports.len());
        let report = &mut reports[step];
        match report.pop() {
            Some(_) if drops => {}
            event => {
                let unasked = Event {
                    thread: (0..8).find(|thread| report.iter().chain(&event).all(|it| it.thread != *thread))
                        .expect("not all go on"),
                    outcome: Outcome::Ended { badge: 0, info: 0, words: Vec::new() },
                };
                report.extend(event);
                report.push(unasked);
            }
        }
        let found = plan.compare(&reports).map_err(|mismatch| mismatch.step);
        prop_assert_eq!(found, Err(step));
    }

    #[test]
    fn orders_and_reports_survive_being_a_line(operations in operations()) {
        let plan = Plan::new(&operations);
        let (orders, reports) = (plan.orders(), faithful(&plan));
        prop_assert_eq!(from_line(&to_line(&orders).unwrap()), Some(orders));
        prop_assert_eq!(from_line(&to_line(&reports).unwrap()), Some(reports));
    }

    #[test]
    fn a_line_of_anything_is_no_panic(line in ".*") {
        let _ = from_line::<Vec<Order>>(&line);
        let _ = from_line::<Vec<Report>>(&line);
    }
}
