//! The driver as a component: requests in, refusals counted and said on the console.

use core::fmt::Display;

use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, GrantBadge, Mapping, Message, Method, OutOfRange, RegionMut, Syscalls, label,
};

use crate::{
    BLOCK, Block, Disk, Driver, Refused,
    api::{self, Area, RUN_BYTES, RUN_MAX, Run},
};

/// Refusals that are all said on the console; after them only every further power of two, so that a
/// client that asks for nonsense in a loop does not bury what others say.
const SAID_IN_FULL: u64 = 16;

/// The driver's working memory, for the platform to place: 260 KiB.
#[derive(Debug)]
pub struct Memory {
    /// The request being served.
    run: [u8; RUN_BYTES],
    scratch: Block,
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            run: [0; _],
            scratch: [0; _],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The buffer that it shares with the vault.
    pub vault_disk: M::ReadWrite,
    /// The buffer that it shares with the ledger.
    pub ledger_disk: M::ReadWrite,
}

/// The disk driver.
#[derive(Debug)]
pub struct Blk<'m, D, M: Mapping> {
    channel: u8,
    driver: Driver<D>,
    regions: Regions<M>,
    memory: &'m mut Memory,
    console: Terminal,
    refusals: u64,
}

impl<'m, D: Disk, M: Mapping> Blk<'m, D, M> {
    /// A driver for `disk` that reaches the manager on the static channel `channel`.
    pub const fn new(channel: u8, disk: D, regions: Regions<M>, memory: &'m mut Memory) -> Self {
        Self {
            channel,
            driver: Driver::new(disk),
            regions,
            memory,
            console: Terminal::SILENT,
            refusals: 0,
        }
    }

    /// Requests refused since the start.
    pub const fn refusals(&self) -> u64 {
        self.refusals
    }

    fn open<K: Syscalls>(&mut self, kernel: &mut K) {
        let console = self.console;
        let opened = match self.driver.open(&mut self.memory.scratch) {
            Ok(opened) => opened,
            Err(error) => {
                console.line(kernel, format_args!("no disk is served: {error}"));
                return;
            }
        };
        if opened.header_from_copy {
            let text = "the partition header is damaged: its copy in the last block is used";
            console.line(kernel, format_args!("{text}"));
        }
        let text = match opened.mark_blocks {
            0 => "both mark blocks are damaged: the append regions count as full",
            1 => "a mark block is damaged: the marks were found by reading on from the other",
            _ => "",
        };
        if !text.is_empty() {
            console.line(kernel, format_args!("{text}"));
        }
    }

    fn serve(&mut self, method: Method, message: &mut Message) -> Result<(), Failure> {
        match method {
            api::INFO => message.reply(&self.driver.info()?.words()),
            api::FLUSH => {
                self.driver.flush()?;
                message.reply(&[]);
            }
            _ => {
                let (area, direction) = target(method).ok_or(Failure::BadMethod)?;
                let request = Run::from_words(message.words());
                let (run, flush) = request
                    .filter(|(_, flush)| !flush || direction == Direction::Write)
                    .ok_or(Failure::BadRequest)?;
                self.transfer(area, direction, run)?;
                if flush {
                    self.driver.flush()?;
                }
                message.reply(&[]);
            }
        }
        Ok(())
    }

    fn transfer(&mut self, area: Area, direction: Direction, run: Run) -> Result<(), Refused> {
        let (driver, memory) = (&mut self.driver, &mut self.memory.run);
        let region = match area {
            Area::Vault => &mut self.regions.vault_disk,
            Area::Grants | Area::Worm => &mut self.regions.ledger_disk,
        };
        transfer(driver, region, memory, area, direction, run)
    }

    /// Counts a refusal and says it, unless there were many.
    fn say_refused<K: Syscalls>(&mut self, kernel: &mut K, grant: GrantBadge, why: &dyn Display) {
        self.refusals += 1;
        let number = self.refusals;
        if number <= SAID_IN_FULL || number.is_power_of_two() {
            let index = grant.index();
            let text = format_args!("refused request {number}, of grant {index}: {why}");
            self.console.line(kernel, text);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    Read,
    Write,
}

/// Why a request was not served: a rule of the disk, or a request that is none.
enum Failure {
    Refused(Refused),
    BadRequest,
    BadMethod,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

fn target(method: Method) -> Option<(Area, Direction)> {
    Area::ALL.into_iter().find_map(|area| {
        if method == area.read_method() {
            Some((area, Direction::Read))
        } else if method == area.write_method() {
            Some((area, Direction::Write))
        } else {
            None
        }
    })
}

/// Moves a run of blocks between the disk and the shared buffer, as a whole or not at all.
fn transfer<D: Disk, R: RegionMut>(
    driver: &mut Driver<D>,
    region: &mut R,
    memory: &mut [u8; RUN_BYTES],
    area: Area,
    direction: Direction,
    run: Run,
) -> Result<(), Refused> {
    let Run { first, count, at } = run;
    match direction {
        Direction::Read => driver.may_read(area, first, count)?,
        Direction::Write => driver.may_write(area, first, count)?,
    }
    let size = (region.size() / BLOCK) as u64;
    let outside = Refused::Buffer { at, count, size };
    let inside = at.checked_add(count).is_some_and(|end| end <= size);
    if !inside || !(1..=RUN_MAX).contains(&count) {
        return Err(outside);
    }
    let data = &mut memory[..count as usize * BLOCK];
    let offset = at as usize * BLOCK;
    let no_region = |_: OutOfRange| outside;
    match direction {
        Direction::Read => {
            driver.read(area, first, data)?;
            region.write(offset, data).map_err(no_region)
        }
        Direction::Write => {
            region.read(offset, data).map_err(no_region)?;
            driver.write(area, first, data)
        }
    }
}

impl<K: Syscalls, D: Disk, M: Mapping> Component<K> for Blk<'_, D, M> {
    fn init(&mut self, kernel: &mut K) {
        self.console = Terminal::find_or_silent(kernel, self.channel);
        self.open(kernel);
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let Caller::Grant(grant) = caller else {
            // Nothing is served on a static channel: no policy line would stand behind it.
            message.refuse(label::BAD_METHOD);
            return;
        };
        match self.serve(method, message) {
            Ok(()) => {}
            Err(Failure::BadRequest) => {
                message.refuse(label::BAD_REQUEST);
                self.say_refused(kernel, grant, &"the request does not decode");
            }
            Err(Failure::BadMethod) => {
                message.refuse(label::BAD_METHOD);
                self.refused(kernel, caller);
            }
            Err(Failure::Refused(refused)) => {
                message.refuse(refused.code());
                self.say_refused(kernel, grant, &refused);
            }
        }
    }

    /// Somebody reached for a region, or a way to change it, that was not granted.
    fn refused(&mut self, kernel: &mut K, caller: Caller) {
        if let Caller::Grant(grant) = caller {
            self.say_refused(kernel, grant, &"the grant does not include the method");
        }
    }
}
