//! The capability manager, which also measures itself when the client asks.

#![no_std]
#![no_main]

use heapless::Vec;
use portcullis_counts::{GRANTS, MEASURE, Measured, REQUESTED, Raw, instructions, start};
use portcullis_kernel::{Caller, Component, Grant, Message, Method, Signals, label};
use portcullis_log::ring::Writer;
use portcullis_log::{BootId, Time};
use portcullis_manager::{
    Config, MAX_KEYS, Manager, Platform, Report, Table, VerifyingKey, trusted_keys,
};
use portcullis_manager_api::{Authority, DURABLE};
use portcullis_policy_format::{AllowedGrant, Policy, When};
use portcullis_runtime::{Domain, ReadOnly, ReadWrite, Sel4, bytes, nanoseconds, region};
use sel4_microkit::{debug_println, protection_domain};
use static_cell::{ConstStaticCell, StaticCell};

static TABLE: ConstStaticCell<Table<1024>> = ConstStaticCell::new(Table::new());
static KEYS: StaticCell<Vec<VerifyingKey, MAX_KEYS>> = StaticCell::new();

/// The clock as in the appliance. It is read for every record, and the first record is `boot`.
#[derive(Default)]
struct Board {
    loaded: Option<u64>,
}

impl Platform for Board {
    fn now(&mut self) -> Time {
        if self.loaded.is_none() {
            self.loaded = Some(instructions());
        }
        Time::since_start(nanoseconds())
    }

    fn report(&mut self, report: Report, _: Option<&Policy<'_>>) {
        debug_println!("manager: {report:?}");
    }
}

/// The manager of the appliance, and the counter at some moments.
struct Counted {
    manager: Manager<'static, Board, ReadWrite, ReadOnly>,
    layout: Authority,
    /// The grants that are issued on request, with their numbers.
    requested: Vec<(u16, AllowedGrant), REQUESTED>,
    /// The index of the last that was issued.
    issued: u16,
    started: u64,
    logged: u64,
    /// What the turn took in which the boot grants came into force.
    sealed: u64,
    /// What telling the ledger took after the last measurement.
    announced: u64,
    /// What the last turn took in which records were durable.
    made: u64,
}

impl Component<Sel4> for Counted {
    fn init(&mut self, kernel: &mut Sel4) {
        start();
        self.started = instructions();
        self.manager.init(kernel);
        self.logged = instructions();
        let policy = self.manager.policy().expect("the policy is in force");
        self.layout = Authority::new(policy.counts().components);
        let requested = (0..).zip(policy.grants());
        self.requested = requested
            .filter(|(_, grant)| grant.when == When::Request)
            .collect();
    }

    fn call(&mut self, kernel: &mut Sel4, caller: Caller, method: Method, message: &mut Message) {
        match (caller, method) {
            (Caller::Channel(_), MEASURE) => {}
            (Caller::Channel(_), DURABLE) => return self.make(kernel, caller, message),
            _ => return self.manager.call(kernel, caller, method, message),
        }
        let [measured, grant] = [0, 1].map(|place| message.word(place) as usize);
        let measured = Measured::ALL.get(measured).copied();
        match (measured, self.requested.get(grant).copied()) {
            (Some(measured), Some((number, allowed))) => {
                let steps = self.measure(kernel, measured, number, &allowed.grant);
                self.announced = count(|| self.manager.announce(kernel));
                message.reply(&[steps]);
            }
            _ => message.refuse(label::BAD_REQUEST),
        }
    }

    fn notified(&mut self, kernel: &mut Sel4, signals: Signals) {
        self.manager.notified(kernel, signals);
    }
}

impl Counted {
    /// Has the manager look which records are durable.
    fn make(&mut self, kernel: &mut Sel4, caller: Caller, message: &mut Message) {
        let boots = !self.manager.is_sealed();
        self.made = count(|| self.manager.notified(kernel, Signals::default()));
        if boots {
            self.sealed = self.made;
            assert!(self.manager.in_force() as usize == GRANTS && self.manager.is_sealed());
        }
        // Nothing is left to do but the answer.
        self.manager.call(kernel, caller, DURABLE, message);
    }

    fn measure(
        &mut self,
        kernel: &mut Sel4,
        measured: Measured,
        number: u16,
        grant: &Grant,
    ) -> u64 {
        let board = self.manager.platform();
        let loaded = board.loaded.unwrap_or(0);
        let raw = Raw::new(self.layout, number, grant);
        match measured {
            Measured::Nothing => count(|| {}),
            Measured::Load => loaded.wrapping_sub(self.started),
            Measured::Boot => self.logged.wrapping_sub(loaded),
            Measured::Seal => self.sealed,
            Measured::Make => self.made,
            Measured::Issue => count(|| {
                let issued = self.manager.issue(kernel, number, None);
                self.issued = issued.expect("the policy allows it").index();
            }),
            Measured::Revoke => count(|| {
                self.manager
                    .revoke(kernel, self.issued, None)
                    .expect("it is in force");
            }),
            Measured::Announce => self.announced,
            Measured::RawIssue => count(|| raw.issue()),
            Measured::RawRevoke => count(|| raw.revoke(true)),
            Measured::RawRevokeDelete => {
                raw.issue();
                count(|| raw.revoke(false))
            }
        }
    }
}

/// Steps of the counter that `operation` takes.
#[inline(always)]
fn count(operation: impl FnOnce()) -> u64 {
    let before = instructions();
    operation();
    instructions().wrapping_sub(before)
}

#[protection_domain]
fn init() -> Domain<Counted> {
    let keys = trusted_keys(bytes!(policy_keys)).expect("it is a key");
    let config = Config {
        policy: bytes!(policy),
        keys: Ok(KEYS.init(keys)),
        in_force: 0,
        boot: BootId([7; 16]),
        image: [0; 32],
    };
    let ring = Writer::new(region!(grant_log), region!(grant_log_ack))
        .expect("system.xml gives the ring more than a page");
    Domain::new(Counted {
        manager: Manager::new(config, Board::default(), ring, TABLE.take()),
        started: 0,
        logged: 0,
        sealed: 0,
        announced: 0,
        made: 0,
        requested: Vec::new(),
        issued: 0,
        layout: Authority::new(0),
    })
}
