//! The capability manager as a protection domain.

#![no_std]
#![no_main]

use ed25519_dalek::VerifyingKey;
use portcullis_clock::{deadline, offset};
use portcullis_console::report::Worded;
use portcullis_entropy::seed::{self, NoSeed};
use portcullis_log::Time;
use portcullis_log::ring::Writer;
use portcullis_manager::{
    Config, Identity, MANAGER_TABLE, MAX_KEYS, Manager, Platform, Policy, Report, Table,
    trusted_keys,
};
use portcullis_runtime::{Domain, ReadOnly, ReadWrite, bytes, nanoseconds, region};
use sel4_microkit::{debug_println, protection_domain};
use static_cell::{ConstStaticCell, StaticCell};

/// Grants that the manager has room for: what the reference policy may allow, many times over, in a
/// small part of its memory. `portcullis check` refuses a policy that allows more.
const GRANTS: usize = MANAGER_TABLE as usize;

static TABLE: ConstStaticCell<Table<GRANTS>> = ConstStaticCell::new(Table::new());
static KEYS: StaticCell<heapless::Vec<VerifyingKey, MAX_KEYS>> = StaticCell::new();

struct Board {
    utc_offset: ReadOnly,
    lease_deadline: ReadWrite,
}

impl Platform for Board {
    fn now(&mut self) -> Time {
        let monotonic = nanoseconds();
        Time {
            monotonic,
            // Read for every record: the clock may come to write it after the manager's start.
            utc: offset::utc(offset::read(&self.utc_offset), monotonic),
        }
    }

    fn set_deadline(&mut self, at: Option<u64>) {
        // A system without the page has no clock that would look at it.
        let _ = deadline::write(&mut self.lease_deadline, at);
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
    let seed: ReadOnly = region!(boot_seed);
    let seed = seed::read(&seed);
    let config = Config {
        policy,
        keys: keys.map(|keys| KEYS.init(keys).as_slice()),
        in_force: 0,
        boot: Identity::new(seed.map_err(NoSeed::into), nanoseconds(), policy),
        image: [0; 32],
    };
    let board = Board {
        utc_offset: region!(utc_offset),
        lease_deadline: region!(lease_deadline),
    };
    let ring = Writer::new(region!(grant_log), region!(grant_log_ack))
        .expect("system.xml gives the ring more than a page");
    Domain::new(Manager::new(config, board, ring, TABLE.take()))
}
