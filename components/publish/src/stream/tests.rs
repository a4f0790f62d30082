//! The stream under wrap-around, overrun, damage, and a writer that lies.

use std::string::ToString;
use std::vec::Vec;

use portcullis_model::testing::SharedRegion;
use proptest::prelude::*;

use super::*;

/// A region whose ring is the smallest, plus `more` bytes.
fn memory(more: usize) -> SharedRegion {
    SharedRegion::new(RING_OFFSET + RING_MIN + more)
}

fn begin(number: u64, path: &str, size: u64) -> Begin {
    Begin {
        number,
        path: DocumentPath::new(path).unwrap(),
        size,
        sha256: [number as u8; 32],
    }
}

fn data(writer: &mut Writer<SharedRegion>, bytes: &[u8]) -> Result<usize, OutOfRange> {
    writer.data(&SharedRegion::with(bytes), 0, bytes.len())
}

/// A frame that owns its bytes.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few, in tests")]
enum Owned {
    Begin(Begin),
    Data(Vec<u8>),
    End,
    Round(Round),
}

impl Owned {
    fn write(&self, writer: &mut Writer<SharedRegion>) {
        match self {
            Owned::Begin(object) => writer.begin(object).unwrap(),
            Owned::Data(bytes) => assert_eq!(data(writer, bytes), Ok(bytes.len())),
            Owned::End => writer.end().unwrap(),
            Owned::Round(round) => writer.round(*round).unwrap(),
        }
    }
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Begin(object) => Owned::Begin(object),
            Frame::Data(bytes) => Owned::Data(bytes.to_vec()),
            Frame::End => Owned::End,
            Frame::Round(round) => Owned::Round(round),
        }
    }
}

/// Everything that there is to read after one poll.
fn drain(reader: &mut Reader<SharedRegion>) -> (Vec<Owned>, Option<Lost>) {
    let mut frames = Vec::new();
    let mut buffer = [0; PAYLOAD_MAX];
    let lost = reader.poll().err();
    if lost.is_some() {
        assert_eq!(reader.next(&mut buffer), Ok(None));
        return (frames, lost);
    }
    loop {
        match reader.next(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame.into()),
            Ok(None) => return (frames, None),
            Err(lost) => {
                assert_eq!(reader.next(&mut [0; PAYLOAD_MAX]), Ok(None));
                return (frames, Some(lost));
            }
        }
    }
}

fn samples() -> Vec<Owned> {
    std::vec![
        Owned::Begin(begin(0, "public/a", 9)),
        Owned::Data(b"nine byte".to_vec()),
        Owned::End,
        Owned::Begin(begin(1, "public/empty", 0)),
        Owned::End,
        Owned::Round(Round { objects: 2 }),
    ]
}

#[test]
fn frames_come_back_in_order() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory).unwrap();
    assert_eq!(drain(&mut reader), (std::vec![], None));
    for frame in samples() {
        frame.write(&mut writer);
    }
    assert_eq!(drain(&mut reader), (samples(), None));
    assert_eq!(drain(&mut reader), (std::vec![], None));
}

#[test]
fn the_longest_begin_fits_a_frame() {
    let memory = memory(0);
    let longest = Owned::Begin(Begin {
        number: u64::MAX,
        path: DocumentPath::new(&"x".repeat(crate::PATH_MAX)).unwrap(),
        size: u64::MAX,
        sha256: [0xff; 32],
    });
    longest.write(&mut Writer::new(memory.clone()).unwrap());
    let mut reader = Reader::new(memory).unwrap();
    assert_eq!(drain(&mut reader), (std::vec![longest], None));
}

#[test]
fn a_writer_that_signals_when_due_is_never_overrun() {
    let memory = memory(200);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory).unwrap();
    let mut read = 0;
    for index in 0..200usize {
        if writer.is_due() {
            let (frames, lost) = drain(&mut reader);
            assert_eq!(lost, None);
            read += frames.len();
            writer.signalled();
        }
        data(&mut writer, &std::vec![7; index * 37 % (PAYLOAD_MAX + 1)]).unwrap();
    }
    assert_eq!(read + drain(&mut reader).0.len(), 200);
}

#[test]
fn data_beyond_one_frame_is_left_to_the_caller() {
    let mut writer = Writer::new(memory(0)).unwrap();
    assert_eq!(data(&mut writer, &[1; PAYLOAD_MAX + 1]), Ok(PAYLOAD_MAX));
}

#[test]
fn an_overrun_is_noticed_and_what_follows_is_read() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory).unwrap();
    for _ in 0..3 {
        data(&mut writer, &[1; PAYLOAD_MAX]).unwrap();
    }
    let bytes = 3 * (HEADER_SIZE + PAYLOAD_MAX) as u64;
    assert_eq!(
        drain(&mut reader),
        (std::vec![], Some(Lost::Overrun { bytes }))
    );
    writer.end().unwrap();
    assert_eq!(drain(&mut reader), (std::vec![Owned::End], None));
}

#[test]
fn a_frame_that_is_overwritten_while_it_is_read_is_an_overrun() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory).unwrap();
    data(&mut writer, &[1; PAYLOAD_MAX]).unwrap();
    reader.poll().unwrap();
    for _ in 0..2 {
        data(&mut writer, &[2; PAYLOAD_MAX]).unwrap();
    }
    let bytes = (HEADER_SIZE + PAYLOAD_MAX) as u64;
    assert_eq!(
        reader.next(&mut [0; PAYLOAD_MAX]),
        Err(Lost::Overrun { bytes })
    );
}

#[test]
fn every_changed_byte_is_noticed() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    for frame in samples() {
        frame.write(&mut writer);
    }
    let bytes = memory.bytes();
    let end = RING_OFFSET + writer.position as usize;
    for at in (0..8).chain(RING_OFFSET..end) {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            let mut reader = Reader::new(SharedRegion::with(&damaged)).unwrap();
            damaged[at] ^= change;
            reader.region = SharedRegion::with(&damaged);
            let (frames, lost) = drain(&mut reader);
            assert!(lost.is_some(), "byte {at} ^ {change:#x} was not noticed");
            assert_eq!(frames, samples()[..frames.len()], "byte {at} ^ {change:#x}");
        }
    }
}

#[test]
fn a_frame_of_an_earlier_lap_is_none() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory.clone()).unwrap();
    data(&mut writer, &[1; 8]).unwrap();
    assert_eq!(drain(&mut reader).0.len(), 1);
    // The writer claims another lap that it never wrote: the old frame lies where a new one would.
    writer.region.store(POSITION, writer.ring + 32).unwrap();
    reader.skip_to(writer.ring);
    let position = writer.ring;
    assert_eq!(
        drain(&mut reader),
        (
            std::vec![],
            Some(Lost::Damaged {
                position,
                bytes: 32
            })
        )
    );
}

#[test]
fn a_position_that_goes_back_is_noticed() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    let mut reader = Reader::new(memory.clone()).unwrap();
    data(&mut writer, &[1; 8]).unwrap();
    drain(&mut reader);
    memory.clone().store(POSITION, 3).unwrap();
    let lost = Lost::Position { from: 32, to: 3 };
    assert_eq!(drain(&mut reader), (std::vec![], Some(lost)));
    assert_eq!(lost.to_string(), "the stream jumped from byte 32 to 3");
}

#[test]
fn a_reader_that_starts_late_starts_with_what_comes_next() {
    let memory = memory(0);
    let mut writer = Writer::new(memory.clone()).unwrap();
    for _ in 0..3 {
        data(&mut writer, &[1; PAYLOAD_MAX]).unwrap();
    }
    let mut reader = Reader::new(memory.clone()).unwrap();
    assert!(!reader.is_at_start());
    // A writer that starts late goes on, too.
    let mut writer = Writer::new(memory).unwrap();
    writer.end().unwrap();
    assert_eq!(drain(&mut reader), (std::vec![Owned::End], None));
}

#[test]
fn a_region_too_small_for_a_ring_is_refused() {
    let small = SharedRegion::new(RING_OFFSET + RING_MIN - 1);
    assert!(Writer::new(small.clone()).is_err());
    assert!(Reader::new(small).is_err());
    assert!(Reader::new(SharedRegion::new(0)).is_err());
}

fn frames() -> impl Strategy<Value = Vec<Owned>> {
    let frame = prop_oneof![
        (any::<u64>(), "[a-z]{1,9}(/[a-zü]{1,9}){0,2}", any::<u64>())
            .prop_map(|(number, path, size)| Owned::Begin(begin(number, &path, size))),
        prop::collection::vec(any::<u8>(), 0..600).prop_map(Owned::Data),
        Just(Owned::End),
        any::<u64>().prop_map(|objects| Owned::Round(Round { objects })),
    ];
    prop::collection::vec(frame, 0..60)
}

proptest! {
    #[test]
    fn any_frames_come_back(frames in frames(), more in 0..100usize) {
        let memory = memory(more);
        let mut writer = Writer::new(memory.clone()).unwrap();
        let mut reader = Reader::new(memory).unwrap();
        let mut read = Vec::new();
        for frame in &frames {
            if writer.is_due() {
                read.extend(drain(&mut reader).0);
                writer.signalled();
            }
            frame.write(&mut writer);
        }
        read.extend(drain(&mut reader).0);
        prop_assert_eq!(read, frames);
    }

    /// A hostile writer may put anything anywhere; what is read is bounded by the ring.
    #[test]
    fn any_memory_is_read_without_panic_and_in_bounds(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in RING_OFFSET..RING_OFFSET + 400,
        positions in prop::collection::vec(
            prop_oneof![any::<u64>(), 0..2 * RING_MIN as u64, Just(u64::MAX - 7), Just(0)],
            1..5,
        ),
    ) {
        let mut memory = memory(0);
        let mut writer = Writer::new(memory.clone()).unwrap();
        for frame in samples() {
            frame.write(&mut writer);
        }
        let mut reader = Reader::new(memory.clone()).unwrap();
        memory.write(at, &bytes).unwrap();
        for position in positions {
            memory.store(POSITION, position).unwrap();
            let (frames, _) = drain(&mut reader);
            prop_assert!(frames.len() <= RING_MIN / HEADER_SIZE);
        }
    }
}
