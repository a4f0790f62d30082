//! Measures what the documents promise, as ratios taken side by side in one run.
//!
//! Every measurement is a [`Line`]; `--json` prints them as an array. A bar that is missed is
//! reported as missed and is no error: machines are noisy, and a test never depends on time.

mod boot;
mod call;
mod check;
mod ledger;
mod merkle;
mod sel4;
mod vault;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

/// One measured number beside its bar.
#[derive(Debug, Serialize)]
struct Line {
    /// What was measured.
    name: &'static str,
    /// The number.
    value: f64,
    /// Its unit.
    unit: &'static str,
    /// The bar, in words: `<= 2`, `>= 0.7`; or [`REPORTED`].
    bar: &'static str,
    /// Whether the bar holds.
    holds: bool,
}

/// In place of a bar: the number is told, and held against nothing.
const REPORTED: &str = "reported";

#[derive(Parser)]
#[command(about = "Measures what the documents promise")]
struct Arguments {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// Only the measurements whose name contains this.
    filter: Option<String>,
}

/// A measurement: its name, for the filter, and what takes it.
type Measurement = (&'static str, fn() -> Vec<Line>);

const MEASUREMENTS: &[Measurement] = &[
    ("hosted call", call::measure),
    ("boot grants", boot::measure),
    ("log verify", verify::measure),
    ("policy check", check::measure),
    ("ledger appends", ledger::appends::measure),
    ("ledger recovery", ledger::measure_recovery),
    ("merkle", merkle::measure),
    ("vault", vault::measure),
    ("sel4", sel4::measure),
];

fn main() -> ExitCode {
    // Components, and the ends of a bare ping-pong, are other processes of this executable.
    portcullis_hosted::component_main(|name| {
        call::program(name)
            .or_else(|| boot::program(name))
            .or_else(|| ledger::program(name))
    });
    call::bare_main();
    if let Some(code) = check::child_main() {
        return code;
    }
    let arguments = Arguments::parse();
    let wanted = arguments.filter.as_deref().unwrap_or("");
    let lines: Vec<Line> = MEASUREMENTS
        .iter()
        .filter(|(name, _)| name.contains(wanted))
        .flat_map(|(_, measure)| measure())
        .collect();
    if arguments.json {
        println!(
            "{}",
            serde_json::to_string_pretty(&lines).expect("lines are plain data")
        );
    } else {
        for Line {
            name,
            value,
            unit,
            bar,
            holds,
        } in &lines
        {
            let verdict = match *bar {
                REPORTED => "",
                _ if *holds => "holds",
                _ => "MISSED",
            };
            println!("{name:<58} {value:>12.3} {unit:<8} {bar:<8} {verdict}");
        }
    }
    ExitCode::SUCCESS
}
