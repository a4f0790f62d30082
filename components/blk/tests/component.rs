//! The driver as a component: what a grant's methods reach, and what is said of what is refused.

use portcullis_blk::{
    BLOCK, Blk, Header, Regions,
    api::{self, Area, Client, Info, RUN_MAX, Run},
    initialise,
    testing::{FaultyDisk, Finder, Transcript},
};
use portcullis_kernel::{
    CallGrant, Generation, GrantBadge, Message, Method, MethodSet, Refusal, Region, RegionMut,
    label,
};
use portcullis_model::testing::{Direct, Machine, SharedRegion};

const BLOCKS: u64 = 4_096;
/// Blocks of a shared buffer: more than one request may have.
const BUFFER: usize = 80;

struct Boot {
    /// Holds a grant with the methods asked for.
    kernel: Direct,
    grant: CallGrant,
    vault: SharedRegion,
    ledger: SharedRegion,
    console: Transcript,
    _machine: Machine,
}

impl Boot {
    fn client(&self) -> Client {
        Client(self.grant)
    }

    fn info(&mut self) -> Info {
        self.client().info(&mut self.kernel).unwrap()
    }

    fn write(&mut self, area: Area, first: u64, count: u64, at: u64) -> Result<(), Refusal> {
        let run = Run { first, count, at };
        self.client().write(&mut self.kernel, area, run)
    }

    fn read(&mut self, area: Area, first: u64, count: u64, at: u64) -> Result<(), Refusal> {
        let run = Run { first, count, at };
        self.client().read(&mut self.kernel, area, run)
    }

    fn mark(&mut self, area: Area) -> u64 {
        self.info().extent(area).mark
    }
}

/// A driver of a new disk, and a client that was granted these methods.
fn boot(methods: &[Method]) -> Boot {
    let machine = Machine::new();
    let [manager, blk, console, client] =
        [200, 160, 130, 100].map(|priority| machine.protection_domain(priority));
    let grants = vec![(1, "console", 1)];
    let said = Transcript::default();
    machine.channel(&blk, 0, &manager, 1);
    let badge = |index, methods| GrantBadge::new(index, Generation::default(), methods).unwrap();
    machine.send_grant(&blk, 1, &console, badge(1, MethodSet(0xff)));
    let granted = methods
        .iter()
        .fold(MethodSet::EMPTY, |set, method| set.with(*method));
    let grant = machine.call_grant(&client, 1, &blk, badge(7, granted));
    let [vault, ledger] = [(); 2].map(|()| SharedRegion::new(BUFFER * BLOCK));
    machine.start(manager.thread, Finder { grants });
    machine.start(console.thread, said.clone());
    let mut disk = FaultyDisk::new(BLOCKS);
    initialise(&mut disk, &Header::new(BLOCKS, [3; 16]).unwrap()).unwrap();
    let memory = Box::leak(Box::default());
    let regions = Regions::<Direct> {
        vault_disk: vault.clone(),
        ledger_disk: ledger.clone(),
    };
    machine.start(blk.thread, Blk::new(0, disk, regions, memory));
    Boot {
        kernel: machine.direct(client.thread),
        grant,
        vault,
        ledger,
        console: said,
        _machine: machine,
    }
}

/// What the reference policy gives the ledger.
const LEDGER: [Method; 6] = [
    api::INFO,
    api::GRANTS_READ,
    api::GRANTS_APPEND,
    api::WORM_READ,
    api::WORM_APPEND,
    api::FLUSH,
];
/// What the reference policy gives the vault.
const VAULT: [Method; 4] = [api::INFO, api::VAULT_READ, api::VAULT_WRITE, api::FLUSH];

#[test]
fn the_badge_decides_which_region_is_reached() {
    let not_granted = Err(Refusal::Object(label::BAD_METHOD));
    let mut vault = boot(&VAULT);
    vault.write(Area::Vault, 0, 1, 0).unwrap();
    let mut ledger = boot(&LEDGER);
    ledger.ledger.write(0, &[1; BLOCK]).unwrap();
    ledger.write(Area::Worm, 0, 1, 0).unwrap();
    for area in [Area::Grants, Area::Worm] {
        assert_eq!(vault.read(area, 0, 1, 0), not_granted);
        assert_eq!(vault.write(area, 0, 1, 0), not_granted);
        assert_eq!(vault.mark(area), 0);
    }
    assert_eq!(ledger.read(Area::Vault, 0, 1, 0), not_granted);
    assert_eq!(ledger.write(Area::Vault, 0, 1, 0), not_granted);
    // Each of these was said, with the grant that it came by.
    for (boot, refused) in [(&vault, 4), (&ledger, 2)] {
        let said = "of grant 7: the grant does not include the method";
        let lines = boot.console.lines();
        let said = lines.iter().filter(|line| line.contains(said)).count();
        assert_eq!(said, refused, "{lines:?}");
    }
}

/// There is no method, whatever the badge, that writes a block of a log twice.
#[test]
fn no_method_writes_over_a_block_of_a_log() {
    let every: Vec<Method> = (0..32).filter_map(Method::new).collect();
    let mut boot = boot(&every);
    for area in [Area::Grants, Area::Worm] {
        boot.ledger.write(0, &[1; BLOCK]).unwrap();
        boot.write(area, 0, 1, 0).unwrap();
    }
    boot.client().flush(&mut boot.kernel).unwrap();
    for content in [[2; BLOCK], [0; BLOCK]] {
        boot.ledger.write(0, &content).unwrap();
        boot.vault.write(0, &content).unwrap();
        for method in &every {
            for words in [&[0, 1, 0][..], &[0, 2, 0], &[u64::MAX, 1, 0], &[0], &[]] {
                let mut message = Message::request(*method, words);
                let _ = boot.grant.call(&mut boot.kernel, *method, &mut message);
            }
        }
    }
    for area in [Area::Grants, Area::Worm] {
        assert_eq!(boot.mark(area), 1);
        boot.ledger.write(0, &[9; BLOCK]).unwrap();
        boot.read(area, 0, 1, 0).unwrap();
        let mut block = [0; BLOCK];
        boot.ledger.read(0, &mut block).unwrap();
        assert_eq!(block, [1; BLOCK], "{area:?}");
    }
}

#[test]
fn what_does_not_lie_in_region_or_buffer_is_refused_and_said() {
    let mut boot = boot(&LEDGER);
    boot.ledger.write(0, &[1; BUFFER * BLOCK]).unwrap();
    let length = boot.info().length(Area::Worm);
    let buffer = BUFFER as u64;
    let mut said = 0;
    let mut refused = |boot: &mut Boot, result, code, text: &str| {
        said += 1;
        assert_eq!(result, Err(Refusal::Object(code)));
        let lines = boot.console.lines();
        let line = lines.last().unwrap();
        let number = format!("refused request {said}, of grant 7");
        assert!(line.contains(&number) && line.contains(text), "{line}");
    };
    for (first, count) in [(length, 1), (length - 1, 2), (u64::MAX, 2)] {
        let read = boot.read(Area::Worm, first, count, 0);
        refused(
            &mut boot,
            read,
            api::OUT_OF_RANGE,
            "do not lie in region worm",
        );
    }
    let not_next = boot.write(Area::Worm, 1, 1, 0);
    refused(&mut boot, not_next, api::NOT_AT_MARK, "worm is append-only");
    for (count, at) in [
        (0, 0),
        (1, buffer),
        (1, u64::MAX),
        (2, buffer - 1),
        (RUN_MAX + 1, 0),
    ] {
        let written = boot.write(Area::Worm, 0, count, at);
        refused(&mut boot, written, api::BUFFER, "in the shared buffer");
    }
    for words in [&[][..], &[0, 1], &[0, 1, 0, 0]] {
        let mut message = Message::request(api::WORM_READ, words);
        let kernel = &mut boot.kernel;
        let result = boot.grant.call(kernel, api::WORM_READ, &mut message);
        let result = result.map(drop);
        refused(&mut boot, result, label::BAD_REQUEST, "does not decode");
    }
    assert_eq!(boot.mark(Area::Worm), 0);
    // The largest request.
    assert_eq!(boot.write(Area::Worm, 0, RUN_MAX, 0), Ok(()));
    assert_eq!(boot.mark(Area::Worm), RUN_MAX);
}

/// An append of many blocks is taken as a whole or not at all: what comes first does not move the
/// mark when what comes last is refused.
#[test]
fn an_append_is_refused_as_a_whole() {
    let mut boot = boot(&LEDGER);
    for void in [0, 1, 17, 40, RUN_MAX - 1] {
        boot.ledger
            .write(0, &[1; RUN_MAX as usize * BLOCK])
            .unwrap();
        let at = void as usize * BLOCK;
        boot.ledger.write(at, &[0; BLOCK]).unwrap();
        let refused = boot.write(Area::Grants, 0, RUN_MAX, 0);
        assert_eq!(refused, Err(Refusal::Object(api::VOID_BLOCK)));
        assert_eq!(boot.mark(Area::Grants), 0, "block {void}");
    }
    let length = boot.info().length(Area::Grants);
    boot.ledger
        .write(0, &[1; RUN_MAX as usize * BLOCK])
        .unwrap();
    let mut first = 0;
    while first + RUN_MAX <= length {
        boot.write(Area::Grants, first, RUN_MAX, 0).unwrap();
        first += RUN_MAX;
    }
    let full = boot.write(Area::Grants, first, RUN_MAX, 0);
    assert_eq!(full, Err(Refusal::Object(api::FULL)));
    assert_eq!(boot.mark(Area::Grants), first);
}
