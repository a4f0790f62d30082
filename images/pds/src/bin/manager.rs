//! The capability manager as a protection domain.

#![no_std]
#![no_main]

use ed25519_dalek::VerifyingKey;
use portcullis_console::report::Worded;
use portcullis_log::ring::Writer;
use portcullis_log::{BootId, Time};
use portcullis_manager::{
    Config, MANAGER_TABLE, MAX_KEYS, Manager, Platform, Policy, Report, Table, trusted_keys,
};
use portcullis_runtime::{Domain, ReadOnly, ReadWrite, bytes, nanoseconds, region};
use sel4_microkit::{debug_println, protection_domain};
use static_cell::{ConstStaticCell, StaticCell};

/// Grants that the manager has room for: what the reference policy may allow, many times over, in a
/// small part of its memory. `portcullis check` refuses a policy that allows more.
const GRANTS: usize = MANAGER_TABLE as usize;

static TABLE: ConstStaticCell<Table<GRANTS>> = ConstStaticCell::new(Table::new());
static KEYS: StaticCell<heapless::Vec<VerifyingKey, MAX_KEYS>> = StaticCell::new();

struct Board;

impl Platform for Board {
    fn now(&mut self) -> Time {
        Time::since_start(nanoseconds())
    }

    /// Only a debug kernel prints; elsewhere the console shows what the manager's records say, and asks
    /// why there are none.
    fn report(&mut self, report: Report, policy: Option<&Policy<'_>>) {
        debug_println!("manager: {}", Worded(report, policy));
    }
}

#[protection_domain]
fn init() -> Domain<Manager<'static, Board, ReadWrite, ReadOnly>> {
    let policy = bytes!(policy);
    let keys = trusted_keys(bytes!(policy_keys));
    let config = Config {
        policy,
        keys: keys.map(|keys| KEYS.init(keys).as_slice()),
        in_force: 0,
        boot: boot_id(policy),
        image: [0; 32],
    };
    let ring = Writer::new(region!(grant_log), region!(grant_log_ack))
        .expect("system.xml gives the ring more than a page");
    Domain::new(Manager::new(config, Board, ring, TABLE.take()))
}

/// The board has no source of randomness. The counter at this point differs from boot to boot by
/// more ticks than boots there will be; with the policy's hash it tells boots apart, and no more.
fn boot_id(policy: &[u8]) -> BootId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&nanoseconds().to_le_bytes());
    for (place, byte) in id[8..].iter_mut().zip(policy.iter().skip(20)) {
        *place = *byte;
    }
    BootId(id)
}
