//! Components that fault on the kernel: what the log then says, and that everybody else goes on.

mod common;

use std::fs;
use std::path::Path;

use object::{Object as _, ObjectSymbol as _};
use portcullis_audit::state::State;
use portcullis_fsck::Verdict;
use portcullis_kernel::Fault;
use portcullis_log::block::LogKind;
use portcullis_log::{Cause, Operation, Outcome, Record};
use portcullis_policy_format::Policy;
use portcullis_qemu::capscan::{at_rest, compare};
use portcullis_qemu::{Board, System, root, watch};
use tempfile::TempDir;

use common::{Case, samples};

/// Who faults, in the order in which the caller brings it about.
const FAULTING: [&str; 7] = [
    "write",
    "execute",
    "undefined",
    "syscall",
    "receive",
    "stack",
    "early",
];

/// What the caller says of them: the first six were serving it, and it waited for the last.
const SAID: [&str; 7] = [
    "caller: write: refused by the kernel: invalid capability",
    "caller: execute: refused by the kernel: invalid capability",
    "caller: undefined: refused by the kernel: invalid capability",
    "caller: syscall: refused by the kernel: invalid capability",
    "caller: receive: refused by the kernel: invalid capability",
    "caller: stack: refused by the kernel: invalid capability",
    "caller: early: let go",
];

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    faults_are_contained(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    faults_are_contained(Board::Riscv64);
}

fn faults_are_contained(board: Board) {
    let sources = tempfile::tempdir().unwrap();
    let system = system(&sources);
    let policy = sources.path().join("policy.toml");
    let case = Case::new(board, &system, &policy, &samples());
    let mut machine = case.boot();
    let mut said = Vec::new();
    let through = watch(&mut machine, |line| said.push(line.to_owned())).unwrap();
    assert_eq!(through.failure(0), None);
    said.retain(|line| line.starts_with("caller: "));
    assert_eq!(said, SAID);

    let memory = at_rest(&mut machine).unwrap();
    drop(machine);
    let compared = compare(&case.image, &memory, case.state()).unwrap();
    let policy = fs::read(case.state().join("appliance.policy")).unwrap();
    let policy = Policy::inspect(&policy).unwrap();
    // Thirteen are gone: seven to those that faulted, and all but the last of these held one.
    let left = policy.counts().grants as usize - 13;
    assert_eq!(compared.differences, [""; 0]);
    assert_eq!((compared.scanned, compared.logged), (left, left));
    let number = |name: &str| policy.component(name).unwrap().0;
    let (caller, console) = (number("caller"), number("console"));
    let faults = faults(board, case.image.loader.parent().unwrap());
    let mut expected = Vec::new();
    for (name, fault) in FAULTING.into_iter().zip(faults) {
        let component = number(name);
        let cause = Cause::Fault { component, fault };
        let mut add = |operation, grant| expected.push((operation, grant, cause, Outcome::Done));
        add(Operation::Fault, None);
        if name != "early" {
            add(Operation::Revoke, Some((component, console)));
        }
        add(Operation::Revoke, Some((caller, component)));
    }
    let records = records(case.state());
    let sealed = records
        .iter()
        .position(|record| record.operation == Operation::Seal);
    let after = records[sealed.unwrap() + 1..].iter().map(|record| {
        let grant = record.grant.map(|it| (it.grant.subject, it.grant.object));
        (record.operation, grant, record.cause, record.outcome)
    });
    assert_eq!(after.collect::<Vec<_>>(), expected);
}

/// The reference appliance, with what `images/tests/faults` adds.
fn system(sources: &TempDir) -> System {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let write = |name: &str, text: String| fs::write(sources.path().join(name), text).unwrap();
    let added = read("images/tests/faults/faults.xml") + "</system>";
    write(
        "system.xml",
        read("system.xml").replace("</system>", &added),
    );
    let added = read("images/tests/faults/faults.toml");
    write("policy.toml", read("policy/appliance.toml") + &added);
    System {
        name: "faults".to_owned(),
        packages: vec!["portcullis-pds".to_owned(), "portcullis-faults".to_owned()],
        description: sources.path().join("system.xml"),
    }
}

/// The faults of [`FAULTING`], whose programs are in this folder.
fn faults(board: Board, programs: &Path) -> [Fault; 7] {
    let server = |symbol: &str| address(&programs.join("fault-server.elf"), symbol);
    let early = address(&programs.join("fault-early.elf"), "fault_write");
    let data = server("fault_data");
    // aarch64: ESR. Bits 26 to 31 are the class, 0x24 for data, 0x20 for instructions, 0 for none that
    // is known; bits 0 to 5 say why, 6 and 7 that level 2 or 3 of the page tables has no entry, 0xf
    // that it does not allow this; bit 6 that it was a write; bits 14 to 24 what the instruction is.
    // riscv64: scause, where the kernel does not tell page faults from access faults: 7 is a store, 1 a
    // fetch; 2 is an illegal instruction.
    let (no_table, no_page, no_fetch, illegal) = match board {
        Board::Aarch64 => (0x93df_8046, 0x93df_8047, 0x8200_000f, 0x0200_0000),
        Board::Riscv64 => (7, 7, 1, 2),
    };
    let write = |ip, address, status| Fault::VmFault {
        ip,
        address,
        instruction: false,
        status,
    };
    [
        write(server("fault_write"), 0, no_table),
        Fault::VmFault {
            ip: data,
            address: data,
            instruction: true,
            status: no_fetch,
        },
        Fault::UserException {
            ip: server("fault_undefined"),
            number: illegal,
            code: 0,
        },
        Fault::UnknownSyscall {
            ip: server("fault_syscall"),
            number: 1_000,
        },
        Fault::CapFault {
            ip: server("fault_syscall"),
            pointer: 8,
            receiving: true,
            // The slot is there, and empty.
            lookup: 2,
        },
        write(server("fault_stack"), below_stack(board), no_page),
        write(early, 0, no_table),
    ]
}

/// The first 16 bytes below a stack of 8 KiB, Microkit's default. Above it are an empty page, the IPC
/// buffer, and the end of a thread's memory (`vspace_user_top` in the SDK).
fn below_stack(board: Board) -> u64 {
    let end = match board {
        Board::Aarch64 => 1 << 40,
        Board::Riscv64 => (1 << 38) - 0x1000,
    };
    end - 0x1000 - 0x1000 - 0x2000 - 16
}

/// The address of a symbol.
fn address(program: &Path, symbol: &str) -> u64 {
    let bytes = fs::read(program).unwrap();
    let program = object::File::parse(&*bytes).unwrap();
    let mut symbols = program.symbols();
    let found = symbols.find(|it| it.name() == Ok(symbol));
    found.unwrap_or_else(|| panic!("no {symbol}")).address()
}

/// The records of the grant log on a disk.
fn records(state: &Path) -> Vec<Record> {
    let state = State::open(state).unwrap();
    let mut records = Vec::new();
    let (_, findings) = state.read(LogKind::Grants, &mut records, |_| ()).unwrap();
    assert_eq!(findings.verdict(), Verdict::Holds);
    records
}
