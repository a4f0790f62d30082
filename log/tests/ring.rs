//! The ring between a manager and a ledger that do not trust each other.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_kernel::{
    Behind, Fault, Generation, Grant, MethodSet, Mode, OutOfRange, Principal, Region, RegionMut,
};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::ring::{ACKNOWLEDGED, HEAD, Reader, RingFault, SLOT, SLOTS_OFFSET, Writer};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, RECORD_MAX, Record, Time};
use proptest::prelude::*;

/// A region that both sides map.
#[derive(Clone)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    fn new(size: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![0; size])))
    }

    fn check(&self, offset: usize, length: usize) -> Result<(), OutOfRange> {
        let size = self.size();
        if offset.checked_add(length).is_some_and(|end| end <= size) {
            Ok(())
        } else {
            Err(OutOfRange {
                offset,
                length,
                size,
            })
        }
    }
}

impl Region for Shared {
    fn size(&self) -> usize {
        self.0.borrow().len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        self.check(offset, buffer.len())?;
        buffer.copy_from_slice(&self.0.borrow()[offset..offset + buffer.len()]);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let mut word = [0; 8];
        self.read(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

impl RegionMut for Shared {
    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), OutOfRange> {
        self.check(offset, bytes.len())?;
        self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn store(&mut self, offset: usize, word: u64) -> Result<(), OutOfRange> {
        self.write(offset, &word.to_le_bytes())
    }
}

struct Both {
    ring: Shared,
    acknowledgement: Shared,
    writer: Writer<Shared, Shared>,
    reader: Reader<Shared, Shared>,
}

fn ring(slots: usize) -> Both {
    let (ring, acknowledgement) = (Shared::new(SLOTS_OFFSET + slots * SLOT), Shared::new(4096));
    Both {
        writer: Writer::new(ring.clone(), acknowledgement.clone()).unwrap(),
        reader: Reader::new(ring.clone(), acknowledgement.clone()),
        ring,
        acknowledgement,
    }
}

fn record(sequence: u64) -> Record {
    Record {
        sequence,
        boot: BootId([1; 16]),
        time: Time::since_start(sequence),
        policy: 1,
        operation: Operation::Mint,
        grant: None,
        cause: Cause::Policy { line: 7 },
        outcome: Outcome::Done,
    }
}

fn pop(reader: &mut Reader<Shared, Shared>) -> Result<Option<Record>, RingFault> {
    let mut buffer = [0; RECORD_MAX];
    Ok(reader
        .pop(&mut buffer)?
        .map(|bytes| Record::decode(bytes).expect("a record")))
}

#[test]
fn a_full_ring_refuses_until_the_oldest_record_is_durable() {
    let mut both = ring(2);
    both.writer.push(&record(0)).unwrap();
    both.writer.push(&record(1)).unwrap();
    assert!(both.writer.push(&record(2)).is_err());
    assert_eq!(pop(&mut both.reader), Ok(Some(record(0))));
    assert!(
        both.writer.push(&record(2)).is_err(),
        "read is not yet durable"
    );
    both.reader.acknowledge().unwrap();
    both.writer.push(&record(2)).unwrap();
    assert_eq!(both.writer.head(), 3);
    assert_eq!(pop(&mut both.reader), Ok(Some(record(1))));
    assert_eq!(pop(&mut both.reader), Ok(Some(record(2))));
    assert_eq!(pop(&mut both.reader), Ok(None));
}

/// The record of this boot that the writer still has.
fn shown(both: &Both, sequence: u64) -> Option<Record> {
    let mut slot = [0; SLOT];
    Record::decode(both.writer.record(sequence, &mut slot)?)
}

#[test]
fn the_writer_reads_its_records_until_their_slots_are_reused() {
    let mut both = ring(2);
    assert_eq!(shown(&both, 0), None);
    both.writer.push(&record(0)).unwrap();
    both.writer.push(&record(1)).unwrap();
    assert_eq!(shown(&both, 0), Some(record(0)));
    assert_eq!(shown(&both, 1), Some(record(1)));
    pop(&mut both.reader).unwrap();
    both.reader.acknowledge().unwrap();
    assert_eq!(both.writer.acknowledged(), 1);
    both.writer.push(&record(2)).unwrap();
    assert_eq!(shown(&both, 0), None);
    assert_eq!(shown(&both, 2), Some(record(2)));
    for sequence in [3, u64::MAX] {
        assert_eq!(shown(&both, sequence), None);
    }
}

#[test]
fn a_closed_ring_takes_nothing_and_shows_what_is_durable() {
    let mut both = ring(4);
    both.writer.push(&record(0)).unwrap();
    both.writer.push(&record(1)).unwrap();
    pop(&mut both.reader).unwrap();
    both.reader.acknowledge().unwrap();
    both.reader.close();
    assert_eq!(both.writer.free(), 0);
    assert!(both.writer.push(&record(2)).is_err());
    assert_eq!((both.writer.head(), both.writer.acknowledged()), (2, 1));
}

#[test]
fn an_acknowledgement_that_lies_counts_as_none() {
    let mut both = ring(2);
    both.writer.push(&record(0)).unwrap();
    both.writer.push(&record(1)).unwrap();
    for lie in [3, u64::MAX] {
        both.acknowledgement.store(ACKNOWLEDGED, lie).unwrap();
        assert_eq!(both.writer.free(), 0);
    }
    both.acknowledgement.store(ACKNOWLEDGED, 2).unwrap();
    assert_eq!(both.writer.free(), 2);
    both.acknowledgement.store(ACKNOWLEDGED, 1).unwrap();
    assert_eq!(both.writer.free(), 2, "what was durable stays durable");
}

#[test]
fn a_reader_that_was_overrun_reads_nothing_more() {
    let mut both = ring(4);
    both.writer.push(&record(0)).unwrap();
    both.ring.store(HEAD, 5).unwrap();
    let fault = RingFault::Overrun {
        head: 5,
        acknowledged: 0,
    };
    assert_eq!(pop(&mut both.reader), Err(fault));
    both.ring.store(HEAD, 1).unwrap();
    assert_eq!(pop(&mut both.reader), Err(fault), "a fault is final");
}

#[test]
fn a_head_that_goes_back_is_a_fault() {
    let mut both = ring(4);
    both.writer.push(&record(0)).unwrap();
    pop(&mut both.reader).unwrap();
    both.ring.store(HEAD, 0).unwrap();
    assert_eq!(
        pop(&mut both.reader),
        Err(RingFault::Rewound { head: 0, read: 1 })
    );
}

#[test]
fn what_is_acknowledged_before_there_is_anything_is_not_believed() {
    let (ring, mut page) = (Shared::new(SLOTS_OFFSET + 4 * SLOT), Shared::new(4096));
    page.store(ACKNOWLEDGED, 1).unwrap();
    let mut writer = Writer::new(ring, page).unwrap();
    assert!(writer.push(&record(0)).is_err());
    assert_eq!((writer.free(), writer.acknowledged()), (0, 0));
}

#[test]
fn a_length_that_lies_is_a_fault() {
    for length in [0, RECORD_MAX as u64 + 1, u64::MAX] {
        let mut both = ring(4);
        both.writer.push(&record(0)).unwrap();
        both.ring
            .write(SLOTS_OFFSET, &length.to_le_bytes())
            .unwrap();
        assert_eq!(
            pop(&mut both.reader),
            Err(RingFault::Length {
                sequence: 0,
                length
            })
        );
    }
}

#[test]
fn a_region_without_room_for_a_slot_is_refused() {
    for size in [0, 8, SLOTS_OFFSET, SLOTS_OFFSET + SLOT - 1] {
        assert!(Writer::new(Shared::new(size), Shared::new(8)).is_err());
        let mut reader = Reader::new(Shared::new(size), Shared::new(8));
        assert!(matches!(
            pop(&mut reader),
            Ok(None) | Err(RingFault::Region(_))
        ));
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let word = any::<u64>;
    prop_oneof![
        word().prop_map(|label| Fault::Other { label }),
        (word(), word(), any::<bool>(), any::<u8>()).prop_map(
            |(ip, pointer, receiving, lookup)| {
                Fault::CapFault {
                    ip,
                    pointer,
                    receiving,
                    lookup,
                }
            }
        ),
        (word(), word()).prop_map(|(ip, number)| Fault::UnknownSyscall { ip, number }),
        (word(), word(), word()).prop_map(|(ip, number, code)| Fault::UserException {
            ip,
            number,
            code
        }),
        (word(), word()).prop_map(|(data, consumed)| Fault::Timeout { data, consumed }),
        (word(), word(), any::<bool>(), word()).prop_map(|(ip, address, instruction, status)| {
            Fault::VmFault {
                ip,
                address,
                instruction,
                status,
            }
        }),
    ]
}

/// Records as random as their type allows.
fn any_record() -> impl Strategy<Value = Record> {
    let operation = prop::sample::select(vec![
        Operation::Boot,
        Operation::Mint,
        Operation::Copy,
        Operation::Attenuate,
        Operation::Revoke,
        Operation::Expire,
        Operation::Deny,
        Operation::Fault,
        Operation::Update,
        Operation::Seal,
        Operation::History,
    ]);
    let mode = prop::sample::select(vec![Mode::Call, Mode::Send, Mode::Notify, Mode::Stream]);
    let place = any::<[u16; 5]>();
    let grant = (
        place,
        0_u16..1 << 14,
        any::<u32>(),
        mode,
        (any::<u64>(), prop::option::of(1..u64::MAX)),
        prop::option::of(1..u32::MAX),
    )
        .prop_map(
            |(
                [index, subject, slot, object, interface],
                generation,
                methods,
                mode,
                (id, parent),
                lease_ms,
            )| {
                GrantFields {
                    id,
                    index,
                    generation: Generation::new(generation).unwrap(),
                    grant: Grant {
                        subject,
                        slot,
                        object,
                        interface,
                        methods: MethodSet(methods),
                        mode,
                    },
                    parent,
                    lease_ms,
                }
            },
        );
    let log = prop::sample::select(vec![LogKind::Grants, LogKind::Worm]);
    let behind = prop::option::of(prop_oneof![
        any::<u16>().prop_map(Behind::Guest),
        any::<[u8; 32]>().prop_map(Behind::Key),
        any::<[u8; 32]>().prop_map(Behind::Token),
        Just(Behind::Host),
    ]);
    let cause = prop_oneof![
        any::<u32>().prop_map(|line| Cause::Policy { line }),
        (any::<u16>(), behind, prop::option::of(1..u32::MAX)).prop_map(
            |(component, behind, line)| Cause::Request {
                by: Principal { component, behind },
                line
            }
        ),
        any::<[[u8; 32]; 3]>().prop_map(|[policy, system, image]| Cause::Load {
            policy,
            system,
            image
        }),
        any::<u32>().prop_map(|grants| Cause::Complete { grants }),
        (any::<u16>(), any_fault())
            .prop_map(|(component, fault)| Cause::Fault { component, fault }),
        (any::<[u8; 16]>(), log, any::<u64>(), any::<[u8; 32]>()).prop_map(
            |(disk, log, size, root)| {
                let disk = LogId(disk);
                Cause::Leaves {
                    disk,
                    log,
                    size,
                    root,
                }
            }
        ),
    ];
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Forbidden),
        Just(Outcome::NotPermitted),
        Just(Outcome::Unavailable),
        any::<u8>().prop_map(Outcome::Error),
    ];
    (
        any::<(u64, u32)>(),
        any::<[u8; 16]>(),
        (any::<u64>(), prop::option::of(1..u64::MAX)),
        operation,
        prop::option::of(grant),
        cause,
        outcome,
    )
        .prop_map(
            |((sequence, policy), boot, (monotonic, utc), operation, grant, cause, outcome)| {
                Record {
                    sequence,
                    boot: BootId(boot),
                    time: Time { monotonic, utc },
                    policy,
                    operation,
                    grant,
                    cause,
                    outcome,
                }
            },
        )
}

proptest! {
    #[test]
    fn a_record_has_exactly_one_encoding(record in any_record()) {
        let encoded = record.encode();
        let bytes = encoded.record();
        prop_assert_eq!(Record::decode(bytes), Some(record));
        for end in 0..bytes.len() {
            prop_assert_eq!(Record::decode(&bytes[..end]), None);
        }
        let longer = [bytes, &[0]].concat();
        prop_assert_eq!(Record::decode(&longer), None);
    }

    #[test]
    fn bytes_that_decode_are_the_encoding(
        record in any_record(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = record.encode().record().to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Some(record) = Record::decode(&bytes) {
            let encoded = record.encode();
            prop_assert_eq!(encoded.record(), &bytes[..]);
        }
    }

    /// Whatever order the two sides run in, every record arrives once, in order, and none is
    /// overwritten before it is durable.
    #[test]
    fn records_arrive_once_and_in_order(slots in 1..5_usize, turns in prop::collection::vec(0..3_u8, 1..80)) {
        let mut both = ring(slots);
        let (mut pushed, mut popped, mut durable) = (0, 0, 0);
        for turn in turns {
            match turn {
                0 => {
                    let free = pushed - durable < slots as u64;
                    prop_assert_eq!(both.writer.push(&record(pushed)).is_ok(), free);
                    pushed += u64::from(free);
                }
                1 => {
                    let expected = (popped < pushed).then(|| record(popped));
                    prop_assert_eq!(pop(&mut both.reader), Ok(expected));
                    popped += u64::from(expected.is_some());
                }
                _ => {
                    both.reader.acknowledge().unwrap();
                    durable = popped;
                }
            }
        }
    }

    #[test]
    fn a_ring_of_any_bytes_is_read_or_refused(
        head in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 4 * SLOT),
    ) {
        let mut both = ring(4);
        both.ring.store(HEAD, head).unwrap();
        both.ring.write(SLOTS_OFFSET, &bytes).unwrap();
        let mut buffer = [0; RECORD_MAX];
        for _ in 0..6 {
            if !matches!(both.reader.pop(&mut buffer), Ok(Some(_))) {
                break;
            }
            both.reader.acknowledge().unwrap();
        }
    }
}
