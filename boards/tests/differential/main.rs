//! The model against the real kernel: random sequences of kernel operations, every result equal.
//!
//! The sequences and the model are here; the image (`images/differential`) only does what it is told
//! and says what came of it. A sequence on which the two differ is shrunk, and printed with what each
//! of its operations should have come to.
//!
//! `DIFFERENTIAL_SEED` (a number) makes other sequences than the usual ones, `DIFFERENTIAL_SEQUENCES`
//! more or fewer of them.

mod coverage;

use std::cell::RefCell;
use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use portcullis_boards::{Board, Config, Line, RootTask, Sdk};
use portcullis_kernel::{Badge, KernelError, Message, Syscall};
use portcullis_model::Completion;
use portcullis_model::invocation::label;
use portcullis_model::testing::differential::{Mismatch, Plan, Report, Step, from_line, to_line};
use portcullis_model::testing::{OPERATION_BYTES, Operation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use coverage::Coverage;

/// Sequences on each board.
const SEQUENCES: u32 = 2_000;
/// Most operations of a sequence.
const LENGTH: usize = 60;
/// Many times what a board needs for a sequence, or to boot, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that operations are decoded from.
type Sequence = Vec<[u8; OPERATION_BYTES]>;

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

/// Shows that the comparison finds what is wrong, and shrinks it.
#[test]
#[ignore = "needs a Microkit SDK"]
fn a_wrong_rule_is_found_and_shrunk() {
    let comparison = Comparison::new(Board::Aarch64);
    for Wrong { rule, most, says } in WRONG {
        let change = |plan: &mut Plan| plan.steps.iter_mut().for_each(says);
        let found = comparison.run(SEQUENCES, change);
        let found = found.expect_err(&format!("the kernel has that rule too: {rule}"));
        println!("{rule}: {found}");
        assert!(found.shrunk.len() <= most, "{rule}: {found}");
    }
}

/// A rule that the kernel does not have.
struct Wrong {
    rule: &'static str,
    /// Most operations that show it.
    most: usize,
    /// Makes the model have it.
    says: fn(&mut Step),
}

const WRONG: [Wrong; 3] = [
    Wrong {
        rule: "a caller chooses its badge",
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
        most: 2,
        says: |step| answer(step, label::TCB_SET_PRIORITY, KernelError::RangeError),
    },
    Wrong {
        rule: "a scheduling context is two threads' at once",
        most: 2,
        says: |step| answer(step, label::CONTEXT_BIND, KernelError::IllegalOperation),
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
    if let Err(found) = comparison.run(sequences, |_| ()) {
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

/// Copies, mints, moves, revocations and deletions in few slots, all from one endpoint and mostly by
/// one badge: where the derivation tree is hardest to get right.
fn of_a_family() -> impl Strategy<Value = [u8; OPERATION_BYTES]> {
    let kind = select(&[37, 37, 38, 38, 39, 39, 40, 41, 42, 43, 45, 48, 49, 50, 51]);
    let (to, from) = (select(&[0, 1, 2, 5, 6, 7]), select(&[0, 0, 2, 2, 6, 7]));
    (kind, any::<u8>(), to, from, 0..4_u8, 0..150_u8).prop_map(
        |(kind, thread, to, from, badge, g)| {
            [kind, thread, 0, to, 0, from, 0, badge, g, 0, 0, u8::MAX]
        },
    )
}

/// Messages through one endpoint, cancelled by their badge: where queues are hardest to get right.
fn of_a_queue() -> impl Strategy<Value = [u8; OPERATION_BYTES]> {
    let kind = select(&[0, 1, 7, 8, 18, 25, 55]);
    let (through, word) = (select(&[9, 9, 9, 8, 1]), any::<u8>());
    (kind, any::<u8>(), through, 0..4_u8, word).prop_map(|(kind, thread, through, b, word)| {
        [kind, thread, through, b, 0, 0, 0, 0, word, 40, 1, u8::MAX]
    })
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

    /// Compares so many sequences. `change` makes the model say something else.
    fn run(&self, sequences: u32, change: impl Fn(&mut Plan)) -> Result<(), Found> {
        let seed = number("DIFFERENTIAL_SEED").unwrap_or_default();
        println!("{}: seed {seed}", self.image.board.name());
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let settings = ProptestConfig {
            cases: sequences,
            failure_persistence: None,
            max_shrink_iters: 4_000,
            ..ProptestConfig::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let all = prop_oneof![
            4 => vec(any::<[u8; OPERATION_BYTES]>(), 1..=LENGTH),
            1 => vec(of_a_family(), 1..=LENGTH),
            1 => vec(of_a_queue(), 1..=LENGTH),
        ];
        let result = TestRunner::new_with_rng(settings, random).run(&all, |sequence| {
            let mut plan = Plan::new(&sequence);
            change(&mut plan);
            self.coverage.borrow_mut().add(&plan);
            let note = format!("seed {seed}, sequence {sequence:?}");
            self.machine.borrow_mut().note(note);
            let reports = self.reports(&plan).map_err(TestCaseError::fail)?;
            plan.compare(&reports)
                .map_err(|mismatch| TestCaseError::fail(mismatch.difference))
        });
        match result {
            Ok(()) => Ok(()),
            Err(TestError::Fail(difference, shrunk)) => {
                let mut plan = Plan::new(&shrunk);
                change(&mut plan);
                let reports = self.reports(&plan).unwrap_or_default();
                let mismatch = plan.compare(&reports).err();
                Err(Found {
                    seed,
                    shrunk,
                    difference: difference.to_string(),
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
