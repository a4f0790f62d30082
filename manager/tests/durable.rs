//! Grants wait for their records to be durable, but for those that the log itself needs.

mod support;

use portcullis_kernel::{Caller, Component as _, Message, Mode, Refusal, label};
use portcullis_log::Operation;
use portcullis_manager::Unissued;
use portcullis_manager_api::{DURABLE, UNAVAILABLE};
use portcullis_policy_format::OnFault;

use support::draft::small;
use support::world::{ROOMY, World};

/// Of [`small`], granted at boot.
const BOOT_GRANTS: [u16; 6] = [0, 1, 2, 3, 4, 9];

/// In force of [`small`] before any record is durable: the manager's stream to the ledger, and the
/// ledger's grant. (The vault, which that calls, holds none.)
const LOG_PATH: [u16; 2] = [0, 1];

#[test]
fn until_the_ledger_acknowledges_nothing_is_in_force_but_what_it_needs() {
    let mut world = World::new(&small(), ROOMY);
    world.start();
    let in_force = |world: &World| -> Vec<u16> {
        let mut grants = BOOT_GRANTS.to_vec();
        grants.retain(|index| world.is_in_force(*index));
        grants
    };
    assert_eq!(in_force(&world), LOG_PATH);
    assert_eq!(world.log().len(), 1 + BOOT_GRANTS.len(), "all are logged");
    let find = |world: &mut World| world.find(3, "ledger", "worm", Mode::Call);
    assert_eq!(find(&mut world), Err(Refusal::Object(UNAVAILABLE)));
    // The ledger is not believed when it says that they are durable; others may not even say it.
    let tell = |world: &mut World, id| {
        let mut notice = Message::request(DURABLE, &[]);
        let World {
            manager, machine, ..
        } = world;
        manager.call(machine, Caller::Channel(id), DURABLE, &mut notice);
        world.check();
        notice.outcome().map(drop)
    };
    for other in [2, 5, 7, 61] {
        let refused = Err(Refusal::Object(label::BAD_METHOD));
        assert_eq!(tell(&mut world, other), refused);
    }
    assert_eq!(tell(&mut world, 1), Ok(()));
    assert_eq!(in_force(&world), LOG_PATH);
    assert!(!world.manager.is_sealed());
    world.acknowledge();
    assert_eq!(tell(&mut world, 1), Ok(()));
    assert_eq!(in_force(&world), BOOT_GRANTS);
    assert!(world.manager.is_sealed());
    assert!(find(&mut world).is_ok());
}

#[test]
fn a_component_that_is_stopped_before_its_grant_is_durable_never_holds_it() {
    // Ingest, a subject, and publish, an object.
    for stopped in [3, 4] {
        let mut draft = small();
        draft.components[stopped].on_fault = OnFault::Stop;
        let mut world = World::new(&draft, ROOMY);
        world.start();
        world.fault(stopped as u8).unwrap();
        world.acknowledge();
        world.notify();
        assert!(!world.is_in_force(4), "ingest's to publish");
        let log = world.log();
        let of_grant: Vec<_> = log.iter().filter(|it| it.1 == Some(4)).collect();
        let operations: Vec<_> = of_grant.iter().map(|it| it.0).collect();
        assert_eq!(operations, [Operation::Mint, Operation::Revoke]);
        assert!(world.manager.is_sealed());
    }
}

#[test]
fn a_grant_that_is_asked_for_is_in_force_when_its_own_record_is_durable() {
    let mut world = World::booted(&small());
    world.issue(8, None).unwrap();
    assert!(!world.is_in_force(8));
    assert_eq!(
        world.issue(8, None),
        Err(Unissued::Unavailable),
        "once is enough"
    );
    world.acknowledge();
    // A later one's record is not durable yet, which is not for this one to wait for.
    world.issue(5, Some(3)).unwrap();
    world.notify();
    assert!(world.is_in_force(8) && !world.is_in_force(5));
    world.acknowledge();
    world.notify();
    assert!(world.is_in_force(5));
}

#[test]
fn what_is_taken_back_before_it_is_durable_never_was_in_force() {
    // Grant 5 is derived from grant 3.
    for revoked in [5, 3] {
        let mut world = World::booted(&small());
        world.issue(8, None).unwrap();
        world.issue(5, Some(3)).unwrap();
        world.revoke(revoked).unwrap();
        world.acknowledge();
        world.notify();
        assert!(!world.is_in_force(5));
        assert!(world.is_in_force(8), "the other one is not lost");
        let log = world.log();
        let of_grant: Vec<_> = log.iter().filter(|it| it.1 == Some(5)).collect();
        let operations: Vec<_> = of_grant.iter().map(|it| it.0).collect();
        assert_eq!(operations, [Operation::Copy, Operation::Revoke]);
    }
}
