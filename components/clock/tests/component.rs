//! The component on the model kernel: the page, and the interface `clock`.

use std::cell::Cell;
use std::rc::Rc;

use portcullis_clock::api::{self, NOW, Now};
use portcullis_clock::offset::{self, EARLIEST};
use portcullis_clock::{Clock, Counter, Regions, Rtc};
use portcullis_kernel::{
    CallGrant, Generation, GrantBadge, Message, Method, MethodSet, Refusal, label,
};
use portcullis_model::testing::{Direct, Machine, SharedRegion};

/// A counter that a test advances, and an RTC that is ahead of it by as much as the test says.
#[derive(Clone)]
struct Board {
    counter: Rc<Cell<u64>>,
    ahead: Option<u64>,
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
    kernel: Direct,
    grant: CallGrant,
    _machine: Machine,
}

fn boot(ahead: Option<u64>) -> Boot {
    let machine = Machine::new();
    let [clock, client] = [211, 100].map(|priority| machine.protection_domain(priority));
    let methods = MethodSet::EMPTY.with(NOW);
    let badge = GrantBadge::new(1, Generation::default(), methods).unwrap();
    let grant = machine.call_grant(&client, 1, &clock, badge);
    let page = SharedRegion::new(4096);
    let counter = Rc::new(Cell::new(1_000));
    let board = Board { counter, ahead };
    let regions = Regions::<Direct> {
        utc_offset: page.clone(),
    };
    let component = Clock::new(board.clone(), board.clone(), regions);
    machine.start(clock.thread, component);
    machine.run();
    Boot {
        board,
        page,
        kernel: machine.direct(client.thread),
        grant,
        _machine: machine,
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
