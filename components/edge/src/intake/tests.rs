//! Every object that a stream announces comes out once, whatever is missing.

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn path(number: u64) -> DocumentPath {
    DocumentPath::new(&std::format!("public/{number}")).unwrap()
}

fn begin(number: u64, content: &[u8]) -> Frame<'static> {
    Frame::Begin(Begin {
        number,
        path: path(number),
        size: content.len() as u64,
        sha256: Sha256::digest(content).into(),
    })
}

fn round(objects: u64) -> Frame<'static> {
    Frame::Round(Round { objects })
}

fn whole(number: u64, content: &[u8]) -> Event {
    Event::Whole(Listed {
        path: path(number),
        size: content.len() as u64,
        sha256: Sha256::digest(content).into(),
    })
}

fn take(intake: &mut Intake, frames: Vec<Frame<'_>>) -> Vec<Event> {
    frames
        .into_iter()
        .flat_map(|frame| intake.take(frame))
        .collect()
}

const fn tally(whole: u64, damaged: u64, lost: u64) -> Event {
    Event::Round(Tally {
        whole,
        damaged,
        lost,
    })
}

#[test]
fn whole_objects_come_out_in_order() {
    let mut intake = Intake::new(true);
    let events = take(
        &mut intake,
        std::vec![
            begin(0, b"ab"),
            Frame::Data(b"a"),
            Frame::Data(b"b"),
            Frame::End,
            begin(1, b""),
            Frame::End,
            round(2),
        ],
    );
    assert_eq!(events, [whole(0, b"ab"), whole(1, b""), tally(2, 0, 0)]);
    // The next round counts anew.
    let events = take(&mut intake, std::vec![begin(2, b""), Frame::End, round(3)]);
    assert_eq!(events, [whole(2, b""), tally(1, 0, 0)]);
}

#[test]
fn an_object_that_is_not_as_announced_is_damaged() {
    let found = Sha256::digest(b"ax").into();
    let announced = Sha256::digest(b"ab").into();
    for (frames, damage, message) in [
        (
            std::vec![Frame::Data(b"ax"), Frame::End],
            Damage::Digest { announced, found },
            "its sha256 is 5e85370e, announced was fb8e20fc",
        ),
        (
            std::vec![Frame::Data(b"a"), Frame::End],
            Damage::Short {
                announced: 2,
                received: 1,
            },
            "cut off after 1 of 2 B",
        ),
        (
            std::vec![Frame::Data(b"abc"), Frame::Data(b"d"), Frame::End],
            Damage::Long { announced: 2 },
            "longer than the 2 B announced",
        ),
    ] {
        let mut intake = Intake::new(true);
        let mut all = std::vec![begin(0, b"ab")];
        all.extend(frames);
        all.push(round(1));
        let events = take(&mut intake, all);
        assert_eq!(events, [Event::Damaged(path(0), damage), tally(0, 1, 0)]);
        assert_eq!(damage.to_string(), message);
    }
}

#[test]
fn an_object_that_another_interrupts_is_cut_off() {
    let mut intake = Intake::new(true);
    let events = take(
        &mut intake,
        std::vec![
            begin(0, b"ab"),
            begin(1, b""),
            Frame::End,
            begin(2, b"c"),
            round(3)
        ],
    );
    let short = |announced| Damage::Short {
        announced,
        received: 0,
    };
    assert_eq!(
        events,
        [
            Event::Damaged(path(0), short(2)),
            whole(1, b""),
            Event::Damaged(path(2), short(1)),
            tally(1, 2, 0),
        ]
    );
}

#[test]
fn what_the_stream_lost_is_counted() {
    let mut intake = Intake::new(true);
    assert_eq!(take(&mut intake, std::vec![begin(0, b"ab")]).len(), 0);
    let short = Damage::Short {
        announced: 2,
        received: 0,
    };
    assert_eq!(intake.lose().as_slice(), [Event::Damaged(path(0), short)]);
    assert_eq!(intake.lose().len(), 0);
    // What is left of object 0, then objects 3 and 6 of 8.
    let events = take(
        &mut intake,
        std::vec![
            Frame::Data(b"b"),
            Frame::End,
            begin(3, b""),
            Frame::End,
            begin(6, b""),
            Frame::End,
            round(8),
        ],
    );
    assert_eq!(
        events,
        [
            Event::Lost(2),
            whole(3, b""),
            Event::Lost(2),
            whole(6, b""),
            Event::Lost(1),
            tally(2, 1, 5),
        ]
    );
}

#[test]
fn a_stream_that_began_earlier_or_anew_has_lost_nothing() {
    let mut intake = Intake::new(false);
    let events = take(
        &mut intake,
        std::vec![
            Frame::Data(b"x"),
            Frame::End,
            begin(7, b""),
            Frame::End,
            round(8)
        ],
    );
    assert_eq!(events, [whole(7, b""), tally(1, 0, 0)]);
    let events = take(&mut intake, std::vec![begin(0, b""), Frame::End, round(1)]);
    assert_eq!(events, [whole(0, b""), tally(1, 0, 0)]);
}

#[derive(Clone, Debug)]
enum Step {
    Begin(u64, String),
    Data(Vec<u8>),
    End,
    Round(u64),
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop_oneof![9 => 0u64..20, 1 => any::<u64>()];
    prop_oneof![
        (number.clone(), "[a-c]{0,3}").prop_map(|(number, text)| Step::Begin(number, text)),
        prop::collection::vec(b'a'..=b'c', 0..3).prop_map(Step::Data),
        Just(Step::End),
        number.prop_map(Step::Round),
        Just(Step::Lose),
    ]
}

proptest! {
    /// In any order, each object that began comes out once, and what is whole has its digest.
    #[test]
    fn any_frames_account_for_every_object(steps in prop::collection::vec(step(), 0..60)) {
        let mut intake = Intake::new(true);
        let (mut begun, mut ended) = (0, 0);
        for step in &steps {
            let events = match step {
                Step::Begin(number, text) => {
                    begun += 1;
                    intake.take(begin(*number, text.as_bytes()))
                }
                Step::Data(bytes) => intake.take(Frame::Data(bytes)),
                Step::End => intake.take(Frame::End),
                Step::Round(objects) => intake.take(round(*objects)),
                Step::Lose => intake.lose(),
            };
            for event in events {
                ended += u64::from(matches!(event, Event::Whole(_) | Event::Damaged(..)));
                if let Event::Whole(object) = event {
                    let known = steps.iter().any(|step| matches!(
                        step,
                        Step::Begin(_, text) if object.sha256 == <[u8; 32]>::from(Sha256::digest(text))
                            && object.size == text.len() as u64
                    ));
                    prop_assert!(known);
                }
            }
        }
        prop_assert_eq!(begun, ended + u64::from(intake.object.is_some()));
    }
}
