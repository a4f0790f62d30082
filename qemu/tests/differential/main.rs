//! The model against the real kernel: random sequences of kernel operations, every result equal.
//!
//! The sequences and the model are here; the image (`images/tests/differential`) only does what it is told
//! and says what came of it. A sequence on which the two differ is shrunk, and printed with what each
//! of its operations should have come to.
//!
//! `DIFFERENTIAL_SEED` (a number) makes other sequences than the usual ones, `DIFFERENTIAL_SEQUENCES`
//! more or fewer of them.

mod coverage;
mod sequences;

use std::cell::RefCell;
use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use portcullis_kernel::{Badge, KernelError, Message, Syscall};
use portcullis_model::Completion;
use portcullis_model::invocation::label;
use portcullis_model::testing::Operation;
use portcullis_model::testing::differential::{Mismatch, Plan, Report, Step, from_line, to_line};
use portcullis_qemu::{Board, Config, Line, RootTask, Sdk};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use coverage::Coverage;
use sequences::{Sequence, all_sequences, of_servers, random};

/// Sequences on each board.
const SEQUENCES: u32 = 2_000;
/// Many times what a board needs for a sequence, or to boot, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most time for each way to shrink a sequence: where it halts the board, every try takes all our patience.
const SHRINKING: Duration = Duration::from_secs(600);

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    agree(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    agree(Board::Riscv64);
}

/// The usual sequences do everything that the comparison is about often enough.
#[test]
fn sequences_do_what_is_to_be_compared() {
    let coverage = RefCell::<Coverage>::default();
    let add = |sequence: Sequence| {
        coverage.borrow_mut().add(&Plan::new(&sequence));
        Ok(())
    };
    runner(SEQUENCES).run(&all_sequences(), add).unwrap();
    println!("{}", coverage.borrow());
    coverage.borrow().require();
}

/// Shows that the comparison finds what is wrong, and shrinks it.
#[test]
#[ignore = "needs a Microkit SDK"]
fn a_wrong_rule_is_found_and_shrunk() {
    let comparison = Comparison::new(Board::Aarch64);
    for wrong in WRONG {
        let Wrong {
            rule,
            among,
            most,
            says,
        } = wrong;
        let change = |plan: &mut Plan| plan.steps.iter_mut().for_each(says);
        let found = comparison.run(SEQUENCES, among(), change);
        let found = found.expect_err(&format!("the kernel has that rule too: {rule}"));
        println!("{rule}: {found}");
        assert!(found.shrunk.len() <= most, "{rule}: {found}");
    }
}

/// A rule that the kernel does not have.
struct Wrong {
    rule: &'static str,
    /// The sequences that it is looked for among.
    among: fn() -> BoxedStrategy<Sequence>,
    /// Most operations that show it.
    most: usize,
    /// Makes the model have it.
    says: fn(&mut Step),
}

const WRONG: [Wrong; 4] = [
    Wrong {
        rule: "a caller chooses its badge",
        among: random,
        most: 2,
        says: |step| {
            for (_, completion) in &mut step.expected {
                if let Completion::Message { badge, .. } = completion
                    && *badge == Badge(0x111)
                {
                    *badge = Badge(0x112);
                }
            }
        },
    },
    Wrong {
        rule: "any authority gives any priority",
        among: random,
        most: 2,
        says: |step| answer(step, label::TCB_SET_PRIORITY, KernelError::RangeError),
    },
    Wrong {
        rule: "a scheduling context is two threads' at once",
        among: random,
        most: 2,
        says: |step| answer(step, label::CONTEXT_BIND, KernelError::IllegalOperation),
    },
    Wrong {
        rule: "a reply that gives a scheduling context back wakes nobody",
        among: of_servers,
        most: 8,
        says: |step| {
            let replies = matches!(
                step.operation,
                Operation::Syscall(_, Syscall::Send(..) | Syscall::NbSend(..), _)
            );
            if replies && step.donated {
                step.expected.clear();
            }
        },
    },
];

/// Has an invocation succeed that is refused with this error.
fn answer(step: &mut Step, label: u64, refused: KernelError) {
    let Operation::Syscall(index, Syscall::Call(_, invocation), _) = &step.operation else {
        return;
    };
    for (thread, completion) in &mut step.expected {
        if let Completion::Message { message, .. } = completion
            && invocation.label() == label
            && thread == index
            && message.label() == u64::from(refused.code())
        {
            *message = Message::new(0);
        }
    }
}

fn agree(board: Board) {
    let sequences = number("DIFFERENTIAL_SEQUENCES").unwrap_or(SEQUENCES.into()) as u32;
    let comparison = Comparison::new(board);
    let begin = Instant::now();
    if let Err(found) = comparison.run(sequences, all_sequences(), |_| ()) {
        let left = comparison.machine.borrow_mut().leave(&found.to_string());
        panic!("{found}\n{left}");
    }
    let coverage = comparison.coverage.into_inner();
    println!(
        "{}: {sequences} sequences, {:?}",
        board.name(),
        begin.elapsed()
    );
    println!("{coverage}");
    if sequences >= SEQUENCES {
        coverage.require();
    }
}

/// What makes so many sequences, the same ones for the same seed.
fn runner(sequences: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let settings = ProptestConfig {
        cases: sequences,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: SHRINKING.as_millis() as u32,
        ..ProptestConfig::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(settings, random)
}

/// The model, and a board to hold it against.
struct Comparison {
    image: RootTask,
    machine: RefCell<Line>,
    coverage: RefCell<Coverage>,
}

/// Where they differ.
#[derive(Debug)]
struct Found {
    seed: u64,
    shrunk: Sequence,
    difference: String,
    story: String,
}

impl Comparison {
    fn new(board: Board) -> Self {
        let sdk = Sdk::find(board, Config::Release).unwrap();
        let image = RootTask::build(&sdk, "portcullis-differential", "differential").unwrap();
        Self {
            machine: RefCell::new(boot(&image)),
            image,
            coverage: RefCell::default(),
        }
    }

    /// Compares so many sequences, drawn from `among`. `change` makes the model say something else.
    fn run(
        &self,
        sequences: u32,
        among: BoxedStrategy<Sequence>,
        change: impl Fn(&mut Plan),
    ) -> Result<(), Found> {
        let seed = seed();
        println!("{}: seed {seed}", self.image.board.name());
        let changed = |sequence: &Sequence| {
            let mut plan = Plan::new(sequence);
            change(&mut plan);
            plan
        };
        let agrees = |sequence: &Sequence| {
            let plan = changed(sequence);
            self.coverage.borrow_mut().add(&plan);
            let note = format!("seed {seed}, sequence {sequence:?}");
            self.machine.borrow_mut().note(note);
            let told = plan.compare(&self.reports(&plan)?);
            told.map_err(|mismatch| mismatch.difference)
        };
        let result = runner(sequences).run(&among, |sequence| {
            agrees(&sequence).map_err(TestCaseError::fail)
        });
        match result {
            Ok(()) => Ok(()),
            Err(TestError::Fail(reason, shrunk)) => {
                let (shrunk, difference) = shorten(shrunk, reason.to_string(), agrees);
                let plan = changed(&shrunk);
                let reports = self.reports(&plan).unwrap_or_default();
                let mismatch = plan.compare(&reports).err();
                Err(Found {
                    seed,
                    shrunk,
                    difference,
                    story: story(&plan, mismatch),
                })
            }
            Err(TestError::Abort(reason)) => panic!("{reason}"),
        }
    }

    /// What the board says of the sequence. Where it says nothing it is booted again.
    fn reports(&self, plan: &Plan) -> Result<Vec<Report>, String> {
        let mut machine = self.machine.borrow_mut();
        ask(&mut machine, plan).map_err(|error| {
            let left = machine.leave(&error);
            *machine = boot(&self.image);
            format!("{error}; {left}")
        })
    }
}

/// Leaves out every operation without which the sequence still differs: proptest tries that only before
/// it makes operations simpler. Also gives what the shorter sequence differs on.
fn shorten(
    mut sequence: Sequence,
    mut difference: String,
    agrees: impl Fn(&Sequence) -> Result<(), String>,
) -> (Sequence, String) {
    let begin = Instant::now();
    let mut place = 0;
    while place < sequence.len() && begin.elapsed() < SHRINKING {
        let mut shorter = sequence.clone();
        shorter.remove(place);
        match agrees(&shorter) {
            Ok(()) => place += 1,
            Err(other) => (sequence, difference, place) = (shorter, other, 0),
        }
    }
    (sequence, difference)
}

/// Boots, and waits until the image is ready.
fn boot(image: &RootTask) -> Line {
    let mut machine = image.boot().unwrap();
    machine
        .until("the image being ready", PATIENCE, |line| line == "ready")
        .unwrap();
    machine
}

fn ask(machine: &mut Line, plan: &Plan) -> Result<Vec<Report>, String> {
    let orders = to_line(&plan.orders()).expect("orders can be encoded");
    let sent = machine.send(&(orders + "\n"));
    let answer = sent
        .and_then(|()| machine.line(PATIENCE, "the report of a sequence"))
        .map_err(|error| error.to_string())?;
    from_line(&answer).ok_or_else(|| format!("not a report: {answer}"))
}

/// Each random operation up to the one that the two differ on, with what the model says of it, and
/// that one.
fn story(plan: &Plan, mismatch: Option<Mismatch>) -> String {
    let Some(Mismatch { step, difference }) = mismatch else {
        return "the board did not do it again".to_owned();
    };
    let before = &plan.steps[..step.min(plan.random)];
    let told = before.iter().map(|step| {
        let came_to = &step.expected;
        format!(
            "  {:x?}\n    model and kernel: {came_to:x?}",
            step.operation
        )
    });
    let end = if step < plan.random {
        ""
    } else {
        "at the end: "
    };
    let last = format!("  {end}{:x?}\n    {difference}", plan.steps[step].operation);
    told.chain([last]).collect::<Vec<_>>().join("\n")
}

fn seed() -> u64 {
    number("DIFFERENTIAL_SEED").unwrap_or_default()
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not '{text}'")),
    )
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            shrunk,
            difference,
            story,
        } = self;
        writeln!(
            f,
            "seed {seed}: the model and the kernel differ on {difference}"
        )?;
        writeln!(f, "shrunk to {} operations, {shrunk:?}:", shrunk.len())?;
        f.write_str(story)
    }
}
