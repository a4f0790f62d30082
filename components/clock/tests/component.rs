//! The component on the model kernel: the pages, the alarm, and the interface `clock`.

use std::cell::Cell;
use std::rc::Rc;

use portcullis_clock::api::{self, NOW, Now};
use portcullis_clock::offset::{self, EARLIEST};
use portcullis_clock::{Alarm, Clock, Counter, RINGING, Regions, Rtc, deadline};
use portcullis_kernel::{
    Badge, CallGrant, Generation, GrantBadge, Message, Method, MethodSet, Refusal, ReplyObject,
    Rights, Syscalls, cspace, label,
};
use portcullis_model::Capability;
use portcullis_model::testing::{Direct, Machine, ProtectionDomain, SharedRegion};

/// A counter that a test advances, and an RTC that is ahead of it by as much as the test says.
#[derive(Clone)]
struct Board {
    counter: Rc<Cell<u64>>,
    ahead: Option<u64>,
    alarm: Rc<Cell<Option<u64>>>,
}

impl Alarm for Board {
    fn set(&mut self, at: Option<u64>) {
        self.alarm.set(at);
    }
}

impl Rtc for Board {
    fn utc(&mut self) -> Option<u64> {
        self.ahead.map(|ahead| ahead + self.counter.get())
    }
}

impl Counter for Board {
    fn monotonic(&mut self) -> u64 {
        self.counter.get()
    }
}

struct Boot {
    board: Board,
    page: SharedRegion,
    deadline: SharedRegion,
    clock: ProtectionDomain,
    manager: ProtectionDomain,
    kernel: Direct,
    grant: CallGrant,
    machine: Machine,
}

/// The ids of the channel: the clock's, and the bits that each sets at the other.
const CHANNEL: u8 = 0;
const CLOCKS: u8 = 0;
const MANAGERS: u8 = 8;

/// Has one notify the other on its channel [`CHANNEL`], by bit `bit` of that one's notification.
fn connect(machine: &Machine, from: &ProtectionDomain, to: &ProtectionDomain, bit: u8) {
    let capability = Capability::Notification {
        object: to.notification,
        badge: Badge(1 << bit),
        rights: Rights::WRITE,
    };
    let slot = cspace::channel_notification(CHANNEL).bits();
    machine
        .kernel()
        .insert(from.microkit, slot, capability)
        .unwrap();
}

fn boot(ahead: Option<u64>) -> Boot {
    let machine = Machine::new();
    let [clock, manager, client] = [211, 200, 100].map(|it| machine.protection_domain(it));
    connect(&machine, &clock, &manager, MANAGERS);
    connect(&machine, &manager, &clock, CLOCKS);
    let methods = MethodSet::EMPTY.with(NOW);
    let badge = GrantBadge::new(1, Generation::default(), methods).unwrap();
    let grant = machine.call_grant(&client, 1, &clock, badge);
    let [page, deadline] = [(); 2].map(|()| SharedRegion::new(4096));
    let counter = Rc::new(Cell::new(1_000));
    let alarm = Rc::new(Cell::new(None));
    let board = Board {
        counter,
        ahead,
        alarm,
    };
    let regions = Regions::<Direct> {
        utc_offset: page.clone(),
        lease_deadline: deadline.read_only(),
    };
    let platform = (board.clone(), board.clone(), board.clone());
    let component = Clock::new(platform.0, platform.1, platform.2, CHANNEL, regions);
    machine.start(clock.thread, component);
    machine.run();
    Boot {
        board,
        page,
        deadline,
        kernel: machine.direct(client.thread),
        clock,
        manager,
        grant,
        machine,
    }
}

#[test]
fn utc_is_what_the_rtc_said_at_boot_and_the_counter_since() {
    let mut boot = boot(Some(EARLIEST));
    assert_eq!(offset::read(&boot.page.read_only()), Some(EARLIEST));
    for monotonic in [1_000, 1_001, 5_000_000_000] {
        boot.board.counter.set(monotonic);
        let utc = Some(EARLIEST + monotonic);
        let now = api::now(&mut boot.kernel, boot.grant);
        assert_eq!(now, Ok(Now { monotonic, utc }));
    }
}

#[test]
fn without_an_rtc_that_was_set_utc_is_unknown() {
    for ahead in [None, Some(0), Some(1)] {
        let mut boot = boot(ahead);
        assert_eq!(offset::read(&boot.page), None);
        let now = api::now(&mut boot.kernel, boot.grant).unwrap();
        assert_eq!((now.monotonic, now.utc), (1_000, None));
    }
}

impl Boot {
    /// Has the manager leave a deadline, and say so.
    fn set(&mut self, at: Option<u64>) {
        deadline::write(&mut self.deadline, at).unwrap();
        let to_clock = cspace::channel_notification(CHANNEL);
        self.machine.direct(self.manager.thread).signal(to_clock);
        self.machine.run();
    }

    fn ring(&mut self) {
        self.machine.interrupt(self.clock.notification, RINGING.0);
    }

    /// Whether the manager was notified since the last look.
    fn is_manager_told(&mut self) -> bool {
        let mut manager = self.machine.direct(self.manager.thread);
        let told = manager.nb_recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
        assert!(told.is_none_or(|badge| badge == Badge(1 << MANAGERS)));
        told.is_some()
    }
}

#[test]
fn a_deadline_sets_the_alarm_and_its_passing_tells_the_manager() {
    let mut boot = boot(None);
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (None, false)
    );
    boot.set(Some(5_000));
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (Some(5_000), false)
    );
    // An alarm may ring early.
    boot.board.counter.set(4_999);
    boot.ring();
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (Some(5_000), false)
    );
    boot.board.counter.set(5_000);
    boot.ring();
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (None, true)
    );
}

#[test]
fn the_page_alone_counts_when_the_alarm_rings() {
    let mut boot = boot(None);
    boot.set(Some(5_000));
    // The manager says nothing of a deadline that is put off.
    deadline::write(&mut boot.deadline, Some(9_000)).unwrap();
    boot.board.counter.set(5_000);
    boot.ring();
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (Some(9_000), false)
    );
    deadline::write(&mut boot.deadline, None).unwrap();
    boot.board.counter.set(9_000);
    boot.ring();
    assert_eq!(
        (boot.board.alarm.get(), boot.is_manager_told()),
        (None, false)
    );
}

#[test]
fn a_deadline_in_the_past_is_told_at_once() {
    for at in [0, 1, 1_000] {
        let mut boot = boot(None);
        boot.set(Some(at));
        assert_eq!(
            (boot.board.alarm.get(), boot.is_manager_told()),
            (None, true)
        );
    }
}

#[test]
fn a_page_that_is_not_there_says_nothing() {
    assert_eq!(offset::read(&SharedRegion::new(0)), None);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut boot = boot(Some(EARLIEST));
    let mut message = Message::request(NOW, &[1]);
    let refused = boot.grant.call(&mut boot.kernel, NOW, &mut message);
    assert_eq!(refused, Err(Refusal::Object(label::BAD_REQUEST)));
    let other = Method::new(1).unwrap();
    let mut message = Message::request(other, &[]);
    let refused = boot.grant.call(&mut boot.kernel, other, &mut message);
    assert_eq!(refused, Err(Refusal::Object(label::BAD_METHOD)));
}
