//! Instructions on seL4, counted under QEMU: the same in every run.
//!
//! QEMU executes one instruction a nanosecond (`-icount shift=0`), and the image of `images/tests/counts`
//! reads a counter before and after; what the reading takes is subtracted. On the release kernel of
//! aarch64 that counter has steps of 16 instructions: calls are counted 64 at a time, and so to a
//! fraction of one, the manager's operations one by one, and so to 16 at worst. The benchmark kernel
//! and riscv64 count every instruction. Which kernel a number is from stands beside it.
//!
//! Without a Microkit SDK nothing of this is measured, and one line says so.

mod counts;
mod policy;
mod size;

use std::error::Error;
use std::time::Duration;

use portcullis_qemu::{Board, Config, Machine, Sdk, System, root};

use crate::Line;
use counts::Counts;

/// The kernels that are counted on. The benchmark kernel differs from the release kernel: it tracks
/// how long each thread ran, and has a fast path for signals.
const KERNELS: [(Board, Config); 3] = [
    (Board::Aarch64, Config::Release),
    (Board::Aarch64, Config::Benchmark),
    (Board::Riscv64, Config::Release),
];
/// Words of messages that the fast path takes: in registers.
const FAST: [u32; 5] = [0, 1, 2, 3, 4];
/// Words of a message that goes through the IPC buffer.
const LONG: u32 = 16;
/// Instructions of a call and its reply on the slow path, at least.
const SLOW_PATH: f64 = 2_000.0;
/// Grants at boot, and as many that are issued on request.
const GRANTS: usize = 62;
/// Longer than it takes on a loaded host.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn measure() -> Vec<Line> {
    lines().unwrap_or_else(|error| {
        eprintln!("seL4: not measured: {error}");
        Vec::new()
    })
}

fn lines() -> Result<Vec<Line>, Box<dyn Error>> {
    let sdks = KERNELS.map(|(board, config)| Sdk::find(board, config));
    let sdks = sdks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut lines = Vec::new();
    for sdk in &sdks {
        let name = format!("seL4 {}, {}", short(sdk.board), sdk.config.name());
        let counts = count(sdk)?;
        counts.print(&name);
        lines.extend(compared(&name, &counts));
    }
    for sdk in sdks.iter().filter(|sdk| sdk.config == Config::Release) {
        lines.extend(size::lines(sdk)?);
    }
    Ok(lines)
}

fn short(board: Board) -> &'static str {
    match board {
        Board::Aarch64 => "aarch64",
        Board::Riscv64 => "riscv64",
    }
}

/// Builds the counting image, boots it, and reads what it prints.
fn count(sdk: &Sdk) -> Result<Counts, Box<dyn Error>> {
    let system = System {
        name: "counts".to_owned(),
        packages: vec!["portcullis-counts".to_owned()],
        description: root().join("images/tests/counts/system.xml"),
    };
    let prepared = policy::prepared(&system.description)?;
    let image = system.build(sdk, prepared.path())?;
    let mut machine = Machine::boot(&image, None, &["-icount", "shift=0,sleep=off"])?;
    let printed = machine.until("the last count", PATIENCE, |line| line == "end")?;
    Ok(Counts::read(&printed)?)
}

/// The promises, each held against what it is compared with in the same image.
fn compared(name: &str, counts: &Counts) -> Vec<Line> {
    let called = |words: u32| counts.of(&format!("granted-{words}"));
    let stock = |words: u32| counts.of(&format!("stock-{words}"));
    let worst = |values: [f64; 5]| values.into_iter().fold(0.0, f64::max);
    // Before the record is durable, and after.
    let mint = counts.of("issue") + counts.of("make");
    let boot = counts.of("boot") + counts.of("seal");
    let revocation = counts.of("revoke");
    let line = |what: &str, value, unit, bar: Bar| bar.line(format!("{name}: {what}"), value, unit);
    vec![
        line(
            "granted call, 0-4 words / stock",
            worst(FAST.map(|words| called(words) / stock(words))),
            "times",
            Bar::AtMost(1.02, "<= 1.02"),
        ),
        line(
            "granted call, 0-4 words",
            worst(FAST.map(called)),
            "instr",
            Bar::AtMost(SLOW_PATH - 1.0, "< 2000"),
        ),
        line(
            "granted call, 16 words / stock",
            called(LONG) / stock(LONG),
            "times",
            Bar::None,
        ),
        line(
            "mint and record / Mint Copy",
            mint / counts.of("raw-issue"),
            "times",
            Bar::AtMost(1.5, "<= 1.5"),
        ),
        line(
            "revocation / Revoke Cancel Delete",
            revocation / counts.of("raw-revoke"),
            "times",
            Bar::AtMost(1.5, "<= 1.5"),
        ),
        line(
            "revocation / Revoke Delete",
            revocation / counts.of("raw-revoke-delete"),
            "times",
            Bar::None,
        ),
        line(
            "62 boot grants / 62 mints",
            boot / (GRANTS as f64 * mint),
            "times",
            Bar::AtMost(1.1, "<= 1.1"),
        ),
        line(
            "telling the ledger of records",
            counts.of("announce"),
            "instr",
            Bar::None,
        ),
        line(
            "policy verified and loaded",
            counts.of("load"),
            "instr",
            Bar::None,
        ),
    ]
}

/// What a number is held against.
enum Bar {
    /// At most this; in words.
    AtMost(f64, &'static str),
    /// Nothing: it is reported.
    None,
}

impl Bar {
    fn line(self, name: String, value: f64, unit: &'static str) -> Line {
        let (bar, holds) = match self {
            Self::AtMost(most, bar) => (bar, value <= most),
            Self::None => (crate::REPORTED, true),
        };
        Line {
            // There are some forty, once in the life of the process.
            name: name.leak(),
            value,
            unit,
            bar,
            holds,
        }
    }
}
