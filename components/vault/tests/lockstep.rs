//! The vault beside a model of it, under random operations and power cuts.
//!
//! After each cut the recovered vault must hold every object, release and record that was
//! acknowledged, as it was acknowledged; what was under way may be there or not, but whole.

mod common;

use std::collections::BTreeMap;

use common::{content, get, is_disk_error, open, put, with_memory};
use portcullis_blk::testing::FaultyDisk;
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{CHUNK, Memory, ObjectDigest, Store, StoreError};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

#[derive(Clone, PartialEq, Eq, Debug)]
struct Object {
    content: Vec<u8>,
    name: String,
    released: bool,
    recorded: Option<u64>,
}

type Model = BTreeMap<ObjectDigest, Object>;

#[derive(Clone, Debug)]
enum Step {
    /// Puts one of a few contents, so that some come twice.
    Put {
        seed: u64,
        size: usize,
        released: bool,
    },
    /// Records the n-th object, modulo their number.
    Record { nth: usize, index: u64 },
    /// Begins an object and does not end it.
    Abandon { size: usize },
    /// Opens the vault anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0..40usize, 4_000..4_200usize, CHUNK - 20..CHUNK + 5_000];
    prop_oneof![
        5 => (0..12u64, size, any::<bool>())
            .prop_map(|(seed, size, released)| Step::Put { seed, size, released }),
        3 => (0..9usize, 0..100u64).prop_map(|(nth, index)| Step::Record { nth, index }),
        1 => (1..90_000usize).prop_map(|size| Step::Abandon { size }),
        1 => Just(Step::Restart),
    ]
}

/// Does a step on the model: what the vault holds once the step is acknowledged.
fn advance(model: &Model, step: &Step) -> Model {
    let mut model = model.clone();
    match step {
        Step::Put {
            seed,
            size,
            released,
        } => {
            let content = content(*seed, *size);
            let digest = Sha256::digest(&content).into();
            let name = name(*seed, *released);
            let object = model.entry(digest).or_insert_with(|| Object {
                content,
                name: name.clone(),
                released: *released,
                recorded: None,
            });
            if *released && !object.released {
                object.released = true;
                object.name = name;
            }
        }
        Step::Record { nth, index } => {
            let length = model.len().max(1);
            if let Some(object) = model.values_mut().nth(nth % length) {
                object.recorded.get_or_insert(*index);
            }
        }
        Step::Abandon { .. } | Step::Restart => {}
    }
    model
}

fn name(seed: u64, released: bool) -> String {
    format!("{}/{seed}", if released { "public" } else { "private" })
}

/// Does a step on the vault; `false` where the disk failed.
fn perform(store: &mut Store<'_>, disk: &mut FaultyDisk, model: &Model, step: &Step) -> bool {
    let result = match step {
        Step::Put {
            seed,
            size,
            released,
        } => {
            let name = name(*seed, *released);
            put(
                store,
                disk,
                &content(*seed, *size),
                &name,
                *released,
                50_000,
            )
            .map(drop)
        }
        Step::Record { nth, index } => match model.keys().nth(nth % model.len().max(1)) {
            Some(digest) => store.record(disk, digest, *index),
            None => Ok(()),
        },
        Step::Abandon { size } => {
            let begun = store.create(disk, common::OWNER, *size as u64, false, "abandoned");
            let piece = SharedRegion::new(size / 2);
            begun.and_then(|()| {
                store
                    .write(disk, common::OWNER, (size / 2) as u64, &piece)
                    .map(drop)
            })
        }
        Step::Restart => Ok(()),
    };
    match result {
        Ok(()) => true,
        Err(error) => {
            assert!(is_disk_error(&error), "{step:?}: {error:?}");
            false
        }
    }
}

/// Whether the vault on `disk` holds exactly what `model` says, byte for byte.
fn check(disk: &FaultyDisk, memory: &mut Memory, model: &Model) -> Result<(), String> {
    let mut disk = disk.clone();
    let (mut store, opened) = open(&mut disk, memory);
    let opened = opened.map_err(|error| format!("{error}"))?;
    if opened.void > 0 || opened.objects != model.len() {
        return Err(format!("{opened:?}, but {} in the model", model.len()));
    }
    for (digest, object) in model {
        let stat = store
            .stat(&mut disk, digest)
            .map_err(|error| format!("{error}"))?;
        if (stat.released, stat.recorded) != (object.released, object.recorded) {
            return Err(format!("{stat:?}, but {object:?}"));
        }
        let read = get(&mut store, &mut disk, digest, 1 << 18);
        let expected = if object.released && object.recorded.is_some() {
            Ok(object.content.clone())
        } else {
            Err(StoreError::NotReleased)
        };
        if read != expected {
            return Err(format!("content of {}", object.name));
        }
    }
    released_names(&mut store, &mut disk, model)
}

fn released_names(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    model: &Model,
) -> Result<(), String> {
    let mut cursor = 0;
    let mut names = Vec::new();
    while let Ok(released) = store.released(disk, cursor) {
        cursor = released.next;
        names.push(released.name.to_string());
    }
    let available = |object: &&Object| object.released && object.recorded.is_some();
    let mut expected: Vec<_> = model.values().filter(available).collect();
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    names.sort();
    let matches = names.iter().eq(expected.iter().map(|object| &object.name));
    matches
        .then_some(())
        .ok_or_else(|| format!("released: {names:?}"))
}

/// Runs the steps until the power goes; the model as acknowledged, and as it would be with the step
/// that was under way.
fn run(disk: &mut FaultyDisk, memory: &mut Memory, steps: &[Step]) -> (Model, Model) {
    let mut model = Model::new();
    let (mut store, opened) = open(disk, memory);
    if opened.is_err() {
        return (model.clone(), model);
    }
    for step in steps {
        if matches!(step, Step::Restart) {
            drop(store);
            let opened;
            (store, opened) = open(disk, memory);
            if opened.is_err() {
                return (model.clone(), model);
            }
            continue;
        }
        let next = advance(&model, step);
        if !perform(&mut store, disk, &model, step) {
            return (model, next);
        }
        model = next;
    }
    (model.clone(), model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_vault_holds_what_the_model_holds(steps in prop::collection::vec(step(), 1..14)) {
        with_memory(move |memory| {
            let mut disk = FaultyDisk::new(500);
            let (model, _) = run(&mut disk, memory, &steps);
            check(&disk, memory, &model).unwrap();
        });
    }

    #[test]
    fn a_cut_anywhere_loses_nothing_acknowledged(
        steps in prop::collection::vec(step(), 1..6),
        seed in any::<u64>(),
    ) {
        with_memory(move |memory| {
            let mut whole = FaultyDisk::new(300);
            run(&mut whole, memory, &steps);
            for operation in 0..whole.operations() {
                let mut disk = FaultyDisk::new(300);
                disk.plan.power_off = Some(operation);
                let (acknowledged, under_way) = run(&mut disk, memory, &steps);
                assert!(disk.is_off());
                let mut random = content(seed ^ operation, disk.unflushed_sectors()).into_iter();
                let keeps: [&mut dyn FnMut(usize) -> bool; 3] = [
                    &mut |_| true,
                    &mut |_| false,
                    &mut |_| random.next().is_some_and(|byte| byte & 1 == 0),
                ];
                for keep in keeps {
                    let after = disk.cut(keep);
                    let lost = check(&after, memory, &acknowledged);
                    if let Err(reason) = lost {
                        let other = check(&after, memory, &under_way);
                        assert_eq!(other, Ok(()), "operation {operation}: {reason}");
                    }
                }
            }
        });
    }
}
