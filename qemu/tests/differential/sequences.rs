//! The kinds of random sequences that the model and the kernel are compared on.

use portcullis_model::testing::OPERATION_BYTES;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Bytes that operations are decoded from.
pub(crate) type Sequence = Vec<[u8; OPERATION_BYTES]>;

/// Most operations of a sequence.
const LENGTH: usize = 60;

/// Every kind of sequence.
pub(crate) fn all_sequences() -> BoxedStrategy<Sequence> {
    prop_oneof![
        8 => random(),
        1 => vec(of_a_family(), 1..=LENGTH),
        1 => vec(of_a_queue(), 1..=LENGTH),
        2 => of_servers(),
    ]
    .boxed()
}

/// Any operations.
pub(crate) fn random() -> BoxedStrategy<Sequence> {
    vec(any::<[u8; OPERATION_BYTES]>(), 1..=LENGTH).boxed()
}

/// Calls of passive servers, which call each other: where donation is hardest to get right.
pub(crate) fn of_servers() -> BoxedStrategy<Sequence> {
    // The passive ones get a scheduling context, wait for a message, and lose it.
    let begin = SERVERS[..2].iter().flat_map(|&(thread, reply)| {
        [LEND, RECEIVE, LEND].map(|kind| through_all(kind, thread, reply))
    });
    let begin: Sequence = begin.collect();
    vec(of_a_server(), 1..=LENGTH)
        .prop_map(move |operations| [&begin[..], &operations].concat())
        .boxed()
}

/// The threads that serve an endpoint, and how an operation names the reply object of each.
const SERVERS: [(u8, u8); 3] = [(5, 0), (7, 1), (3, 2)];

// Kinds of operations, as `Operation::decode` numbers them.
const CALL: u8 = 0;
const REPLY: u8 = 13;
const RECEIVE: u8 = 18;
const REPLY_RECEIVE: u8 = 28;
const DELETE_REPLY: u8 = 53;
const REVOKE_ROOT: u8 = 54;
const REDIRECT: u8 = 61;
const INVOKE_CONTEXT: u8 = 67;
const UNBIND_CONTEXT: u8 = 72;
const SEND_RECEIVE: u8 = 76;
const LEND: u8 = 82;

/// How an operation names an endpoint that all have every right to.
const ALL: u8 = 9;
/// How an operation says that no capability goes along.
const NONE: u8 = u8::MAX;

/// An operation of this kind through the endpoint that all have every right to, with no message.
fn through_all(kind: u8, thread: u8, reply: u8) -> [u8; OPERATION_BYTES] {
    [kind, thread, ALL, reply, ALL, 0, 0, 0, u8::MAX, 1, 0, NONE]
}

/// An operation of a server, or one of another thread on what servers use.
fn of_a_server() -> impl Strategy<Value = [u8; OPERATION_BYTES]> {
    let serves = prop_oneof![
        3 => Just(REPLY_RECEIVE),
        2 => Just(CALL),
        1 => select(&[REPLY, RECEIVE]),
        1 => select(&[SEND_RECEIVE, LEND]),
    ];
    let other = prop_oneof![
        5 => Just(CALL),
        2 => Just(INVOKE_CONTEXT),
        1 => Just(UNBIND_CONTEXT),
        1 => select(&[DELETE_REPLY, DELETE_REPLY, REDIRECT, REDIRECT, REVOKE_ROOT]),
    ];
    let of = prop_oneof![(serves, select(&SERVERS)), (other, (any::<u8>(), 0..3_u8))];
    // Of up to four words: the kernel's fast path. Of more: the slow one.
    (of, any::<u8>(), select(&[1, 5, 5])).prop_map(|((kind, (thread, reply)), word, words)| {
        let mut bytes = through_all(kind, thread, reply);
        let [_, _, a, b, _, _, _, _, _, label, length, along] = &mut bytes;
        (*label, *length) = (word, words);
        match kind {
            DELETE_REPLY => (*a, *b) = (word, 7),
            REVOKE_ROOT => (*a, *b) = (2, 0),
            INVOKE_CONTEXT => (*a, *along) = (word, word),
            UNBIND_CONTEXT => *a = word,
            _ => {}
        }
        bytes
    })
}

/// Copies, mints, moves, revocations and deletions in few slots, all from one endpoint and mostly by
/// one badge: where the derivation tree is hardest to get right.
fn of_a_family() -> impl Strategy<Value = [u8; OPERATION_BYTES]> {
    let kind = select(&[37, 37, 38, 38, 39, 39, 40, 41, 42, 43, 45, 48, 49, 50, 51]);
    let (to, from) = (select(&[0, 1, 2, 5, 6, 7]), select(&[0, 0, 2, 2, 6, 7]));
    (kind, any::<u8>(), to, from, 0..4_u8, 0..150_u8).prop_map(
        |(kind, thread, to, from, badge, g)| {
            [kind, thread, 0, to, 0, from, 0, badge, g, 0, 0, NONE]
        },
    )
}

/// Messages through one endpoint, cancelled by their badge: where queues are hardest to get right.
fn of_a_queue() -> impl Strategy<Value = [u8; OPERATION_BYTES]> {
    let kind = select(&[0, 1, 7, 8, 18, 25, 55]);
    let (through, word) = (select(&[9, 9, 9, 8, 1]), any::<u8>());
    (kind, any::<u8>(), through, 0..4_u8, word).prop_map(|(kind, thread, through, b, word)| {
        [kind, thread, through, b, 0, 0, 0, 0, word, 40, 1, NONE]
    })
}
