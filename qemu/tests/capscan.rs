//! What the slots of the running kernel hold, and that no difference to the log goes unseen.

mod common;

use portcullis_kernel::{Badge, Rights, Source};
use portcullis_qemu::capscan::{
    Capability, HolderKind, Kernel, Kind, SLOT, Slots, at_rest, compare,
};
use portcullis_qemu::{Board, Memory, watch};

use common::Case;

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    slots_and_log(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    slots_and_log(Board::Riscv64);
}

fn slots_and_log(board: Board) {
    let case = Case::appliance(board, "capscan");
    let mut machine = case.boot();
    watch(&mut machine, |_| ()).unwrap();
    let memory = at_rest(&mut machine).unwrap();
    drop(machine);
    let compared = compare(&case.image, &memory, case.state()).unwrap();
    let equal = "16 grants in the slots, 16 in the log: equal";
    assert_eq!(compared.to_string(), equal);

    let kernel = Kernel::of(&case.image).unwrap();
    let slots = Slots::walk(&kernel, &memory).unwrap();
    for (what, change, expected) in CHANGES {
        let mut hand = Hand {
            kernel: &kernel,
            slots: &slots,
            memory: memory.clone(),
        };
        change(&mut hand);
        let found = compare(&case.image, &hand.memory, case.state()).unwrap();
        let found = found.differences;
        assert_eq!(found.len(), expected.len(), "{what}: {found:#?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.contains(expected), "{what}: {found}");
        }
    }
}

/// What is done to a board's memory, and a part of each line that a scan must then have.
type Change = (&'static str, fn(&mut Hand), &'static [&'static str]);

/// The grant with which ingest calls the vault, in its slot 1.
const INGEST: u16 = 7;
/// The grant with which publish calls the vault.
const PUBLISH: u16 = 11;
/// The manager's channel to blk.
const BLK: u8 = 1;
/// The numbers of blk and of the ledger in the policy: their threads are told apart by where their
/// faults go.
const THREADS: [u8; 2] = [1, 2];
/// The right to receive, in the first word of an endpoint capability.
const RECEIVE: u64 = 1 << 56;

/// Words of a slot: the capability, the slots before and after it in the derivation tree.
const LOW: usize = 0;
const HIGH: usize = 1;
const BEFORE: usize = 2;
const AFTER: usize = 3;

const CHANGES: &[Change] = &[
    (
        "a method more",
        |hand| hand.flip(hand.grant(INGEST), HIGH, 1 << 21),
        &[
            "slot 1 of ingest holds the endpoint of vault (badge 0x8000000000bf0007, rights 0b1001), \
             and the endpoint of vault (badge 0x80000000009f0007, rights 0b1001) in the log",
        ],
    ),
    (
        "another generation of a root",
        |hand| hand.flip(hand.root(INGEST), HIGH, 1 << 48),
        &[
            "the root of grant 7 holds the endpoint of vault (badge 0x80010000009f0007, rights 0b1111), \
             and the endpoint of vault (badge 0x80000000009f0007, rights 0b1111) in the log",
        ],
    ),
    (
        "a right more",
        |hand| hand.flip(hand.grant(INGEST), LOW, RECEIVE),
        &[
            "slot 1 of ingest holds the endpoint of vault (badge 0x80000000009f0007, rights 0b1011), \
             and the endpoint of vault (badge 0x80000000009f0007, rights 0b1001) in the log",
        ],
    ),
    (
        "another object",
        |hand| hand.flip(hand.grant(INGEST), LOW, 1 << 4),
        &["slot 1 of ingest holds the endpoint of "],
    ),
    (
        "a grant gone",
        |hand| hand.put(hand.grant(INGEST), [0; 4]),
        &[
            "slot 1 of ingest is empty, and holds the endpoint of vault",
            "slot 1 of the Microkit CNode of 'vault' is not in the kernel's derivation tree",
            "slot 49 of the authority CNode of 'manager' is not in the kernel's derivation tree",
        ],
    ),
    (
        "a grant twice",
        |hand| hand.copy(hand.grant(INGEST), hand.beside(hand.grant(INGEST))),
        &[
            "slot 5 of ingest holds the endpoint of vault",
            "slot 5 of the grants CNode of 'ingest' is not in the kernel's derivation tree",
        ],
    ),
    (
        "a grant with another component",
        |hand| hand.copy(hand.grant(INGEST), hand.beside(hand.grant(PUBLISH))),
        &[
            "slot 4 of publish holds the endpoint of vault",
            "slot 4 of the grants CNode of 'publish' is not in the kernel's derivation tree",
        ],
    ),
    (
        "a grant among what Microkit hands out",
        |hand| hand.copy(hand.grant(INGEST), hand.beside(hand.channel(BLK))),
        &[
            "slot 140 of the Microkit CNode of 'blk' holds the endpoint of vault \
             (badge 0x80000000009f0007, rights 0b1001), and nothing in the distribution",
            "slot 140 of the Microkit CNode of 'blk' is not in the kernel's derivation tree",
        ],
    ),
    (
        "a grant with the first task",
        |hand| hand.copy(hand.grant(INGEST), hand.beside(hand.slots.first_cnode)),
        &[
            "of the first task's CNode holds the endpoint of vault",
            "of the first task's CNode is not in the kernel's derivation tree",
        ],
    ),
    (
        "a right more on a channel",
        |hand| hand.flip(hand.channel(BLK), LOW, RECEIVE),
        &[
            "slot 74 of the Microkit CNode of 'blk' holds the endpoint of manager \
             (badge 0x8000000000000001, rights 0b1011), and the endpoint of manager \
             (badge 0x8000000000000001, rights 0b1001) in the distribution",
        ],
    ),
    (
        "a thread with the CSpace of another",
        |hand| {
            let [blk, ledger] = THREADS.map(|number| hand.thread(number));
            let [_, _, before, after] = hand.words(blk);
            let [low, high, ..] = hand.words(ledger);
            hand.put(blk, [low, high, before, after]);
        },
        &[
            "the root CNode of 'ledger', and the root CNode of 'blk' in the distribution",
            "is in no distribution",
            "is in no distribution",
        ],
    ),
    (
        "a grant in the derivation tree, and in no CNode",
        |hand| {
            let (grant, nowhere) = (hand.grant(INGEST), hand.nowhere());
            let tree = hand.kernel.slot(&hand.memory, grant).unwrap();
            hand.copy(grant, nowhere);
            hand.put(grant, [0; 4]);
            hand.flip(tree.previous, AFTER, grant ^ nowhere);
            hand.flip(tree.next, BEFORE, grant ^ nowhere);
        },
        &[
            "slot 1 of ingest is empty",
            "is in the kernel's derivation tree and in no CNode",
        ],
    ),
    (
        "the words of a grant, as the kernel leaves them on its stack",
        |hand| hand.copy(hand.grant(INGEST), hand.nowhere()),
        &[],
    ),
];

/// A copy of a board's memory, and what lies where in it.
struct Hand<'a> {
    kernel: &'a Kernel,
    slots: &'a Slots,
    memory: Memory,
}

impl Hand<'_> {
    /// The slot of the grant with this index.
    fn grant(&self, index: u16) -> u64 {
        self.find(|it| is_grant(it, index) && it.rights != Rights::ALL)
    }

    /// The slot of its root.
    fn root(&self, index: u16) -> u64 {
        self.find(|it| is_grant(it, index) && it.rights == Rights::ALL)
    }

    /// The slot of the client's end of a channel of the manager.
    fn channel(&self, id: u8) -> u64 {
        self.find(|it| it.badge == Badge::channel(id).0)
    }

    /// The only slot whose capability is such.
    fn find(&self, is_such: impl Fn(&Capability) -> bool) -> u64 {
        let mut found = self.slots.iter().filter(|(_, it)| is_such(it));
        let (address, _) = found.next().unwrap();
        assert_eq!(found.next(), None);
        address
    }

    /// The first slot of the thread with this number.
    fn thread(&self, number: u8) -> u64 {
        let holders = self.slots.holders.iter();
        let mut threads = holders.filter(|(_, it)| it.kind == HolderKind::Tcb);
        let fault = Badge::fault(number).0;
        let is_its = |(_, it): (u64, &Capability)| it.kind == Kind::Endpoint && it.badge == fault;
        let own = threads.find(|(start, _)| self.slots.of(**start).any(is_its));
        *own.unwrap().0
    }

    /// An empty slot in the same CNode.
    fn beside(&self, slot: u64) -> u64 {
        let (start, _) = self.slots.place(slot).unwrap();
        let (last, _) = self.slots.of(start).last().unwrap();
        start + (last + 1) * SLOT
    }

    /// Zeroed memory that is in no CNode.
    fn nowhere(&self) -> u64 {
        let window = self.slots.first_cnode - self.kernel.physical(self.slots.first_cnode);
        let (start, bytes) = self.memory.written().last().unwrap();
        let pieces = bytes.chunks_exact(SLOT as usize).enumerate();
        let zeroed = pieces.filter(|(_, piece)| piece.iter().all(|byte| *byte == 0));
        let addresses = zeroed.map(|(number, _)| window + start + number as u64 * SLOT);
        let mut free = addresses.filter(|address| self.slots.place(*address).is_none());
        free.next().unwrap()
    }

    fn words(&self, slot: u64) -> [u64; 4] {
        let start = self.kernel.physical(slot);
        [LOW, HIGH, BEFORE, AFTER].map(|word| self.memory.word(start + word as u64 * 8))
    }

    fn put(&mut self, slot: u64, words: [u64; 4]) {
        let start = self.kernel.physical(slot);
        for (word, content) in (0..).zip(words) {
            assert!(self.memory.set_word(start + word * 8, content));
        }
    }

    fn copy(&mut self, from: u64, to: u64) {
        self.put(to, self.words(from));
    }

    fn flip(&mut self, slot: u64, word: usize, bits: u64) {
        let mut words = self.words(slot);
        words[word] ^= bits;
        self.put(slot, words);
    }
}

fn is_grant(capability: &Capability, index: u16) -> bool {
    let source = Badge(capability.badge).source();
    let is_endpoint = capability.kind == Kind::Endpoint;
    matches!(source, Source::Grant(grant) if is_endpoint && grant.index() == index)
}
