//! Taking grants back: what the kernel then refuses, what the log says, what comes again.

mod support;

use portcullis_kernel::{
    Badge, Generation, KernelError, Message, Mode, Principal, Refusal, Signals, Syscall, cspace,
    label,
};
use portcullis_log::{Cause, GrantFields, Operation, Outcome};
use portcullis_manager::{Report, RevokeError, Unissued};
use portcullis_manager_api::UNAVAILABLE;
use portcullis_model::{Completion, ThreadId, ThreadState};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{AllowedGrant, OnFault, When};

use support::draft::{call, empty, small};
use support::world::{FAULT, ROOMY, World};

/// Number of a component of [`small`].
const INGEST: u16 = 3;

/// A request for method 0.
fn request() -> Message {
    Message::new(label::REQUEST)
}

/// Calls through the grant in `slot` of the thread's component.
fn call_grant(world: &mut World, thread: ThreadId, slot: u32) -> Vec<(ThreadId, Completion)> {
    let call = Syscall::Call(cspace::grant(slot), request());
    world.machine.syscall(thread, &call)
}

fn recv(world: &mut World, thread: ThreadId) -> Vec<(ThreadId, Completion)> {
    let recv = Syscall::Recv {
        from: cspace::INPUT,
        reply: cspace::REPLY,
    };
    world.machine.syscall(thread, &recv)
}

fn refused() -> Completion {
    Completion::Message {
        badge: Badge(0),
        message: Message::new(KernelError::InvalidCapability.code().into()),
    }
}

/// Whether a thread's call was answered by the kernel that there is no such capability.
fn is_refused(completed: &[(ThreadId, Completion)], thread: ThreadId) -> bool {
    completed.iter().any(|(it, completion)| {
        let label = match completion {
            Completion::Message { message, .. } => message.label(),
            _ => return false,
        };
        *it == thread && label == KernelError::InvalidCapability.code().into()
    })
}

#[test]
fn a_call_reaches_the_object_with_the_grants_badge_until_it_is_revoked() {
    let mut world = World::booted(&small());
    let (ingest, vault) = (world.machine.thread(3), world.machine.thread(2));
    assert_eq!(recv(&mut world, vault), []);
    let completed = call_grant(&mut world, ingest, 2);
    let badge = world.badge(3).badge();
    assert_eq!(
        completed,
        [(
            vault,
            Completion::Message {
                badge,
                message: request()
            }
        )]
    );
    // It is being served, and keeps its reply.
    world.revoke(3).unwrap();
    assert_eq!(
        world.machine.kernel.state(ingest),
        ThreadState::BlockedOnReply
    );
    let reply = Syscall::ReplyRecv {
        from: cspace::INPUT,
        reply: cspace::REPLY,
        message: Message::new(label::OK),
    };
    let completed = world.machine.syscall(vault, &reply);
    assert!(matches!(completed[..], [(thread, Completion::Message { .. })] if thread == ingest));
    // The next call is the kernel's to refuse, and nothing comes to the object.
    let completed = call_grant(&mut world, ingest, 2);
    assert!(
        is_refused(&completed, ingest),
        "{completed:?} is not {:?}",
        refused()
    );
    assert_eq!(
        world.machine.kernel.state(vault),
        ThreadState::BlockedOnReceive
    );
}

#[test]
fn a_queued_call_is_cancelled_and_nobody_elses() {
    let mut world = World::booted(&small());
    let (ledger, ingest) = (world.machine.thread(1), world.machine.thread(3));
    // Both wait for the vault, which serves nobody.
    assert_eq!(call_grant(&mut world, ledger, 1), []);
    assert_eq!(call_grant(&mut world, ingest, 2), []);
    world.revoke(3).unwrap();
    assert_eq!(
        world.machine.kernel.state(ledger),
        ThreadState::BlockedOnSend
    );
    assert_eq!(world.machine.kernel.state(ingest), ThreadState::Restart);
    let mut completed = Vec::new();
    world
        .machine
        .kernel
        .restart(ingest, &mut |thread, completion| {
            completed.push((thread, completion))
        });
    assert!(is_refused(&completed, ingest), "{completed:?}");
}

#[test]
fn what_was_derived_goes_first_the_deepest_before_all() {
    let mut world = World::booted(&small());
    world.grant(5, Some(3)).unwrap();
    world.grant(6, Some(5)).unwrap();
    world.grant(7, Some(3)).unwrap();
    let issued = world.log().len();
    world.revoke(3).unwrap();
    let order: Vec<_> = world.log()[issued..]
        .iter()
        .map(|it| it.1.unwrap())
        .collect();
    assert_eq!(order, [7, 6, 5, 3]);
    let revoked: Vec<_> = world.machine.records[issued..]
        .iter()
        .map(|record| record.grant.unwrap())
        .collect();
    let (top, middle) = (revoked[3].id, revoked[2].id);
    let parents = [Some(top), Some(middle), Some(top), None];
    assert!(revoked.iter().map(|it| it.parent).eq(parents));
}

#[test]
fn revoking_a_derived_grant_leaves_what_it_was_derived_from() {
    let mut world = World::booted(&small());
    world.grant(5, Some(3)).unwrap();
    world.grant(6, Some(5)).unwrap();
    world.grant(7, Some(3)).unwrap();
    world.revoke(5).unwrap();
    let left: Vec<_> = [3, 5, 6, 7]
        .into_iter()
        .filter(|it| world.is_in_force(*it))
        .collect();
    assert_eq!(left, [3, 7]);
    world.grant(5, Some(3)).unwrap();
    world.revoke(3).unwrap();
    assert!(![3, 5, 6, 7].into_iter().any(|it| world.is_in_force(it)));
}

#[test]
fn a_grant_is_derived_from_the_delegators_own_only() {
    let mut world = World::booted(&small());
    for (index, parent, refusal) in [
        (5, None, Unissued::NotPermitted),
        (5, Some(2), Unissued::NotPermitted), // another object
        (5, Some(1), Unissued::NotPermitted), // another's grant
        (5, Some(99), Unissued::NotPermitted),
        (99, None, Unissued::NotPermitted),
        (2, None, Unissued::NotPermitted), // for boot only
        (8, Some(3), Unissued::NotPermitted),
        (6, Some(5), Unissued::Unavailable), // its parent is not in force
    ] {
        assert_eq!(
            world.issue(index, parent),
            Err(refusal),
            "{index} from {parent:?}"
        );
    }
    assert!(world.grant(8, None).is_ok());
    assert_eq!(world.issue(8, None), Err(Unissued::Unavailable));
}

#[test]
fn methods_beyond_the_parents_are_not_delegated() {
    let mut draft = small();
    draft.grants[5].grant.methods.0 = 0b111;
    let mut world = World::booted(&draft);
    assert_eq!(world.issue(5, Some(3)), Err(Unissued::NotPermitted));
}

#[test]
fn a_revoked_grant_is_not_revoked_again() {
    let mut world = World::booted(&small());
    for index in [5, 99] {
        assert_eq!(world.revoke(index), Err(RevokeError::NotInForce));
    }
    world.revoke(2).unwrap();
    assert_eq!(world.revoke(2), Err(RevokeError::NotInForce));
}

#[test]
fn who_asked_stands_in_the_record() {
    let mut world = World::booted(&small());
    let by = world.machine.draft.grants[2].grant.subject;
    world.revoke_by(2, Some(by)).unwrap();
    let cause = world.machine.records.last().unwrap().cause;
    let line = Some(131);
    assert_eq!(
        cause,
        Cause::Request {
            by: Principal::component(by),
            line
        }
    );
    let nobody = world.revoke_by(3, Some(7));
    assert_eq!(nobody, Err(RevokeError::NotInForce));
}

#[test]
fn the_kernel_refuses_each_invocation_of_a_revocation_in_turn() {
    let derived = || {
        let mut world = World::booted(&small());
        world.grant(5, Some(3)).unwrap();
        world.grant(6, Some(5)).unwrap();
        world
    };
    let mut world = derived();
    let before = world.machine.invocations;
    world.revoke(3).unwrap();
    let count = world.machine.invocations - before;
    assert_eq!(count, 9, "three of each");
    for refused in 0..count {
        let mut world = derived();
        let error = KernelError::FailedLookup;
        world.refuse(refused, error);
        let result = world.revoke(3);
        // Deepest first: 6, 5, 3; each Revoke, CancelBadgedSends, Delete.
        let index = [6, 5, 3][refused as usize / 3];
        let mut revoked = vec![3, 5, 6];
        if refused % 3 == 0 {
            assert_eq!(result, Err(RevokeError::Kernel(error)));
            let record = (Operation::Revoke, Some(index), Outcome::from(error));
            assert!(world.log().contains(&record));
            assert!(world.is_in_force(index));
            revoked.retain(|it| *it != index);
            world
                .revoke(index)
                .expect("the second time the kernel does it");
        } else {
            assert_eq!(result, Ok(()), "no subject holds it");
            let (index, subject) = match index {
                3 => (3, INGEST),
                number => (number + 1, number - 1),
            };
            // Its badge may be queued, or its root is taken: never again in this boot.
            let retired = Report::Retired { index, subject };
            assert!(world.manager.platform().reports.contains(&retired));
        }
        assert!(!revoked.into_iter().any(|it| world.is_in_force(it)));
    }
}

#[test]
fn a_grant_whose_index_is_retired_gets_another_while_there_is_one() {
    // Of two indices, one for each grant.
    let draft = Draft {
        grants: vec![
            AllowedGrant {
                when: When::Request,
                ..call(1, 1, 2)
            },
            AllowedGrant {
                when: When::Request,
                ..call(2, 1, 1)
            },
        ],
        ..empty(3)
    };
    let mut world = World::booted(&draft);
    for index in [0, 1] {
        assert_eq!(world.grant(0, None).unwrap().index(), index);
        // The calls that are queued cannot be cancelled.
        world.refuse(1, KernelError::IllegalOperation);
        world.revoke(0).unwrap();
    }
    for number in [0, 1] {
        assert_eq!(world.issue(number, None), Err(Unissued::Unavailable));
    }
}

#[test]
fn an_index_says_nothing_of_the_grant_that_takes_it() {
    let mut world = World::booted(&small());
    // Six boot grants; then in the order of asking, whatever the policy's.
    for (number, parent, index) in [(8, None, 6), (5, Some(3), 7), (7, Some(3), 8)] {
        assert_eq!(world.grant(number, parent).unwrap().index(), index);
    }
    assert_eq!(world.badge(9).index(), 5, "the last in the policy");
    world.revoke(8).unwrap();
    world.revoke(7).unwrap();
    // One was never used; then those that were given back, under another generation.
    for (number, parent, index, generation) in [(7, Some(3), 9, 0), (8, None, 6, 1)] {
        let badge = world.grant(number, parent).unwrap();
        assert_eq!(
            (badge.index(), badge.generation().number()),
            (index, generation)
        );
    }
}

#[test]
fn a_full_ring_delays_records_and_no_revocation() {
    let mut world = World::filled(8);
    assert_eq!(world.room(), 1);
    for index in [4, 1, 3] {
        world.revoke(index).unwrap();
        assert!(!world.is_in_force(index));
    }
    assert_eq!(world.room(), 0);
    assert_eq!(world.issue(8, None), Err(Unissued::Full));
    let logged = world.log().len();
    world.acknowledge();
    world.notify();
    let later: Vec<_> = world.log()[logged..]
        .iter()
        .map(|it| it.1.unwrap())
        .collect();
    assert_eq!(later, [1, 3], "in the order in which they were revoked");
    assert!(world.grant(8, None).is_ok());
}

/// The log then never says that a grant ended before what was derived from it, and is still in force.
#[test]
fn a_full_ring_delays_the_record_of_a_refused_revocation() {
    let mut world = World::filled(8);
    world.acknowledge();
    world.grant(5, Some(3)).unwrap();
    while world.issue(8, None).is_ok() {
        world.revoke(8).unwrap();
    }
    while world.room() > 0 {
        world.revoke(4).unwrap();
    }
    let logged = world.log().len();
    let error = KernelError::FailedLookup;
    world.refuse(0, error);
    assert_eq!(world.revoke(3), Err(RevokeError::Kernel(error)));
    assert_eq!([3, 5].map(|it| world.is_in_force(it)), [false, true]);
    assert_eq!(world.log().len(), logged);
    world.acknowledge();
    world.notify();
    let later = &world.log()[logged..];
    let refused = (Operation::Revoke, Some(5), Outcome::from(error));
    assert_eq!(
        later,
        [refused, (Operation::Revoke, Some(3), Outcome::Done)]
    );
}

#[test]
fn a_boot_grant_whose_index_is_retired_comes_again_with_another() {
    let draft = Draft {
        grants: vec![
            call(1, 1, 2),
            AllowedGrant {
                when: When::Request,
                ..call(2, 1, 1)
            },
        ],
        ..empty(3)
    };
    let mut world = World::booted(&draft);
    let mut fault = || {
        // The calls that are queued cannot be cancelled.
        world.refuse(1, KernelError::IllegalOperation);
        world.fault(1).unwrap();
        world.acknowledge();
        world.notify();
        let index = world.manager.issued_as(0);
        (index, world.manager.platform().reports.last().copied())
    };
    let retired = |index| Report::Retired { index, subject: 1 };
    assert_eq!(fault(), (Some(1), Some(retired(0))));
    let lost = Report::Unissued {
        subject: 1,
        object: 2,
        line: draft.grants[0].line,
        reason: Unissued::Unavailable,
    };
    assert_eq!(fault(), (None, Some(lost)));
}

#[test]
fn no_grant_overtakes_a_revocation_that_is_not_logged() {
    let mut world = World::filled(9);
    assert_eq!(world.room(), 0);
    world.revoke(3).unwrap();
    // One record fits: the revocation's, and no grant's.
    world.acknowledge();
    world.grant(8, None).unwrap();
    let log = world.log();
    let place = |wanted| log.iter().rposition(|it| (it.0, it.1) == wanted).unwrap();
    let revoked = place((Operation::Revoke, Some(3)));
    assert!(revoked < place((Operation::Mint, Some(8))));
}

#[test]
fn a_restarted_component_holds_its_boot_grants_under_a_new_generation() {
    let mut world = World::booted(&small());
    world.grant(5, Some(3)).unwrap();
    let before = world.log().len();
    world.fault(3).unwrap();
    let records = &world.machine.records[before..];
    let number = |grant: GrantFields| world.machine.number_of(&grant);
    let said: Vec<_> = records
        .iter()
        .map(|it| {
            (
                it.operation,
                it.grant
                    .map(|grant| (number(grant), grant.generation.number())),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (Operation::Fault, None),
            (Operation::Revoke, Some((2, 0))),
            (Operation::Revoke, Some((5, 0))),
            (Operation::Revoke, Some((3, 0))),
            (Operation::Revoke, Some((4, 0))),
            (Operation::Mint, Some((2, 1))),
            (Operation::Mint, Some((3, 1))),
            (Operation::Mint, Some((4, 1))),
        ]
    );
    let fault = Cause::Fault {
        component: 3,
        fault: FAULT,
    };
    assert!(records[..5].iter().all(|record| record.cause == fault));
    assert_eq!(records[5].cause, Cause::Policy { line: 131 });
    assert!(!world.is_in_force(3), "the records are not durable");
    world.acknowledge();
    world.notify();
    assert_eq!(world.badge(3).generation(), Generation::new(1).unwrap());
    assert!(
        !world.is_in_force(5),
        "what was derived does not come again"
    );
    assert!(world.find(3, "vault", "worm", Mode::Call).is_ok());
}

#[test]
fn a_stopped_component_holds_nothing_and_is_not_found() {
    let mut draft = small();
    draft.grants.insert(2, call(2, 1, 1));
    let mut world = World::booted(&draft);
    assert!(world.is_in_force(2));
    world.fault(2).unwrap();
    assert!(!world.is_in_force(2));
    let answer = world.find(3, "vault", "worm", Mode::Call);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
    let answer = world.find(2, "ledger", "worm", Mode::Call);
    assert_eq!(answer, Err(Refusal::Object(UNAVAILABLE)));
    assert!(world.find(3, "ledger", "worm", Mode::Call).is_ok());
}

#[test]
fn nothing_is_issued_to_a_stopped_component_or_for_its_service() {
    let mut world = World::booted(&small());
    // The console, object of the edge's send on request, is stopped when it faults.
    world.fault(6).unwrap();
    assert_eq!(world.issue(8, None), Err(Unissued::Unavailable));

    let mut draft = small();
    draft.components[5].on_fault = OnFault::Stop;
    let mut world = World::booted(&draft);
    world.fault(5).unwrap();
    assert_eq!(world.issue(8, None), Err(Unissued::Unavailable));
}

#[test]
fn a_component_that_is_stopped_while_its_grants_are_due_does_not_get_them() {
    let mut draft = small();
    draft.components[3].on_fault = OnFault::Stop;
    let mut world = World::new(&draft, 4);
    world.boot();
    assert!(!world.is_in_force(3));
    world.fault(3).unwrap();
    for _ in 0..10 {
        world.acknowledge();
        world.notify();
    }
    assert!(world.manager.is_sealed());
    assert_eq!([2, 3, 4].map(|index| world.is_in_force(index)), [false; 3]);
    assert!(world.is_in_force(9));
}

#[test]
fn what_was_asked_for_does_not_come_again_after_a_restart() {
    let mut world = World::booted(&small());
    world.grant(8, None).unwrap();
    world.fault(5).unwrap();
    assert!(!world.is_in_force(8));
    assert!(world.grant(8, None).is_ok(), "it may ask again");
}

#[test]
fn a_fault_with_a_full_ring_is_logged_and_repaired_when_there_is_room() {
    let mut world = World::filled(9);
    assert_eq!(world.room(), 0);
    let before = world.log().len();
    world.fault(3).unwrap();
    world.fault(3).unwrap();
    assert_eq!([2, 3, 4].map(|index| world.is_in_force(index)), [false; 3]);
    for _ in 0..3 {
        world.acknowledge();
        world.notify();
    }
    let since: Vec<_> = world.log()[before..]
        .iter()
        .map(|it| (it.0, it.1))
        .collect();
    assert_eq!(
        since,
        [
            (Operation::Fault, None),
            (Operation::Revoke, Some(2)),
            (Operation::Revoke, Some(3)),
            (Operation::Revoke, Some(4)),
            (Operation::Mint, Some(2)),
            (Operation::Mint, Some(3)),
            (Operation::Mint, Some(4)),
        ]
    );
    assert_eq!([2, 3, 4].map(|index| world.is_in_force(index)), [true; 3]);
}

#[test]
fn a_component_that_is_not_there_cannot_fault() {
    let mut world = World::booted(&small());
    for component in [7, 63, u8::MAX] {
        let revoked = world
            .manager
            .revoke_component(&mut world.machine, component, FAULT);
        assert_eq!(revoked, Err(RevokeError::NotInForce));
    }
}

#[test]
fn an_index_whose_generations_are_used_up_is_retired() {
    let draft = Draft {
        grants: vec![call(1, 1, 2)],
        ..empty(3)
    };
    let mut world = World::new(&draft, ROOMY);
    world.boot();
    world.machine.watched = false; // 16,384 times the same
    for generation in 0..=Generation::MAX.number() {
        assert_eq!(world.badge(0).generation().number(), generation);
        let fault = world.manager.revoke_component(&mut world.machine, 1, FAULT);
        assert_eq!(fault, Ok(()));
        world.machine.acknowledge();
        let signals = Signals::new(1);
        portcullis_kernel::Component::notified(&mut world.manager, &mut world.machine, signals);
    }
    assert!(!world.is_in_force(0));
    let reports = &world.manager.platform().reports;
    let last = reports.last_chunk::<2>().unwrap();
    let (index, subject) = (0, 1);
    assert_eq!(last[0], Report::Retired { index, subject });
    // There is no other index for it.
    let reason = Unissued::Unavailable;
    assert!(matches!(last[1], Report::Unissued { subject: 1, reason: it, .. } if it == reason));
    let answer = world.manager.revoke_component(&mut world.machine, 1, FAULT);
    assert_eq!(answer, Ok(()));
    assert!(!world.is_in_force(0));
}
