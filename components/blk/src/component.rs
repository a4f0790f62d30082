//! The driver as a component: requests in, refusals counted and said on the console.

use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, Message, Method, OutOfRange, RegionMut, Syscalls, label,
};

use crate::{
    BLOCK, Block, Disk, Driver, Refused,
    api::{self, Area, Run},
};

/// Blocks that the driver moves at a time, 64 KiB: they stay in a core's second-level cache between
/// the copy out of the shared buffer and the device.
const AT_A_TIME: usize = 16;

/// Refusals that are all said on the console; after them only every further power of two, so that a
/// client that asks for nonsense in a loop does not bury what others say.
const SAID_IN_FULL: u64 = 16;

/// The driver's working memory, for the platform to place.
#[derive(Debug)]
pub struct Memory {
    blocks: [u8; AT_A_TIME * BLOCK],
    scratch: Block,
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            blocks: [0; _],
            scratch: [0; _],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The disk driver. `V` is the buffer shared with the vault, `L` the one shared with the ledger.
#[derive(Debug)]
pub struct Blk<'m, D, V, L> {
    channel: u8,
    driver: Driver<D>,
    vault: V,
    ledger: L,
    memory: &'m mut Memory,
    console: Terminal,
    refusals: u64,
}

impl<'m, D: Disk, V: RegionMut, L: RegionMut> Blk<'m, D, V, L> {
    /// A driver for `disk` that reaches the manager on the static channel `channel`, with the
    /// regions `vault_disk` and `ledger_disk`.
    pub const fn new(channel: u8, disk: D, vault: V, ledger: L, memory: &'m mut Memory) -> Self {
        Self {
            channel,
            driver: Driver::new(disk),
            vault,
            ledger,
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
        let [grants, worm] = opened.marks;
        let length = |area| opened.header.length(area);
        console.line(
            kernel,
            format_args!(
                "disk of {} blocks: vault {}; grant log {grants} of {}; ledger {worm} of {}",
                opened.header.blocks(),
                length(Area::Vault),
                length(Area::Grants),
                length(Area::Worm),
            ),
        );
    }

    fn serve(&mut self, method: Method, message: &mut Message) -> Result<(), Failure> {
        match method {
            api::INFO => message.reply(&self.driver.info()?.words()),
            api::FLUSH => {
                self.driver.flush()?;
                message.reply(&[]);
            }
            _ => {
                let (area, direction) = target(method).ok_or(Failure::Code(label::BAD_METHOD))?;
                let run = Run::from_words(message.words());
                let run = run.ok_or(Failure::Code(label::BAD_REQUEST))?;
                self.transfer(area, direction, run)?;
                message.reply(&[]);
            }
        }
        Ok(())
    }

    fn transfer(&mut self, area: Area, direction: Direction, run: Run) -> Result<(), Refused> {
        let driver = &mut self.driver;
        let blocks = &mut self.memory.blocks;
        match direction {
            Direction::Read => driver.may_read(area, run.first, run.count)?,
            Direction::Write => driver.may_write(area, run.first, run.count)?,
        }
        match area {
            Area::Vault => each_part(driver, &mut self.vault, blocks, area, direction, run),
            Area::Grants | Area::Worm => {
                each_part(driver, &mut self.ledger, blocks, area, direction, run)
            }
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
    Code(u64),
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

/// Moves a run of blocks, as many at a time as the driver's memory holds.
fn each_part<D: Disk, R: RegionMut>(
    driver: &mut Driver<D>,
    region: &mut R,
    blocks: &mut [u8; AT_A_TIME * BLOCK],
    area: Area,
    direction: Direction,
    run: Run,
) -> Result<(), Refused> {
    let size = (region.size() / BLOCK) as u64;
    let outside = Refused::Buffer {
        at: run.at,
        count: run.count,
        size,
    };
    let inside = run.at.checked_add(run.count).is_some_and(|end| end <= size);
    if run.count == 0 || !inside {
        return Err(outside);
    }
    let mut done = 0;
    while done < run.count {
        let part = (run.count - done).min(AT_A_TIME as u64);
        let data = &mut blocks[..part as usize * BLOCK];
        let offset = (run.at + done) as usize * BLOCK;
        let no_region = |_: OutOfRange| outside;
        match direction {
            Direction::Read => {
                driver.read(area, run.first + done, data)?;
                region.write(offset, data).map_err(no_region)?;
            }
            Direction::Write => {
                region.read(offset, data).map_err(no_region)?;
                driver.write(area, run.first + done, data)?;
            }
        }
        done += part;
    }
    Ok(())
}

impl<K: Syscalls, D: Disk, V: RegionMut, L: RegionMut> Component<K> for Blk<'_, D, V, L> {
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
        let Err(failure) = self.serve(method, message) else {
            return;
        };
        self.refusals += 1;
        let said = self.refusals <= SAID_IN_FULL || self.refusals.is_power_of_two();
        let (number, index) = (self.refusals, grant.index());
        match failure {
            Failure::Code(code) => message.refuse(code),
            Failure::Refused(refused) => {
                message.refuse(refused.code());
                if said {
                    let text =
                        format_args!("refused request {number}, of grant {index}: {refused}");
                    self.console.line(kernel, text);
                }
            }
        }
    }
}
