//! The vault beside a model of it and a ledger, under random operations and a disk that fails.
//!
//! After a power cut, or a write or flush that failed or only said so, the recovered vault must hold
//! every object, record, release and removal that was acknowledged, as it was acknowledged; what was
//! under way may be there or not, but whole. After a write that was lost or went elsewhere without a
//! word, nothing is served that is not what was put, and every object that the ledger names and that
//! is not whole is reported.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Ledger, check, content, digest, get, is_disk_error, open, put, with_memory};
use portcullis_blk::testing::FaultyDisk;
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{Act, CHUNK, Memory, ObjectDigest, Store, StoreError};
use proptest::prelude::*;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Object {
    content: Vec<u8>,
    name: String,
    released: bool,
    recorded: Option<u64>,
    references: u32,
}

type Objects = BTreeMap<ObjectDigest, Object>;

/// What the vault holds, and what the ledger says.
#[derive(Clone, Default, Debug)]
struct Model {
    objects: Objects,
    ledger: Ledger,
}

#[derive(Clone, Debug)]
enum Step {
    /// Puts one of a few contents, so that some come twice.
    Put { seed: u64, size: usize },
    /// Has the ledger name the n-th object, modulo their number.
    Record { nth: usize, act: Act },
    /// Has the ledger remove it.
    Delete { nth: usize },
    /// Begins an object and does not end it.
    Abandon { size: usize },
    /// Opens the vault anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![
        0..40usize,
        4_000..4_200usize,
        CHUNK - 20..CHUNK + 5_000,
        Just(2 * CHUNK + 1)
    ];
    let act = prop_oneof![Just(Act::Kept), Just(Act::Released)];
    prop_oneof![
        5 => (0..8u64, size).prop_map(|(seed, size)| Step::Put { seed, size }),
        4 => (0..9usize, act).prop_map(|(nth, act)| Step::Record { nth, act }),
        1 => (0..9usize).prop_map(|nth| Step::Delete { nth }),
        1 => (1..90_000usize).prop_map(|size| Step::Abandon { size }),
        1 => Just(Step::Restart),
    ]
}

impl Model {
    fn nth(&self, nth: usize) -> Option<ObjectDigest> {
        let length = self.objects.len().max(1);
        self.objects.keys().nth(nth % length).copied()
    }

    /// The ledger's part of a step: done before the vault's.
    fn append(&mut self, step: &Step) {
        let (nth, act) = match step {
            Step::Record { nth, act } => (*nth, *act),
            Step::Delete { nth } => (*nth, Act::Removed),
            _ => return,
        };
        if let Some(digest) = self.nth(nth) {
            let index = self.ledger.0.len();
            self.ledger
                .append(&digest, &format!("{act:?} {index}"), act);
        }
    }

    /// What the vault holds once the step is acknowledged; its entry is the ledger's last.
    fn after(&self, step: &Step) -> Objects {
        let mut objects = self.objects.clone();
        let Some(last) = self.ledger.0.len().checked_sub(1) else {
            if let Step::Put { seed, size } = step {
                insert(&mut objects, *seed, *size);
            }
            return objects;
        };
        let entry = self.ledger.entry(last as u64);
        match step {
            Step::Put { seed, size } => insert(&mut objects, *seed, *size),
            Step::Record { .. } => {
                if let Some(object) = objects.get_mut(&entry.digest) {
                    let releases = entry.act == Act::Released && !object.released;
                    if releases || object.references == 0 {
                        object.name = entry.path.into();
                    }
                    object.released |= releases;
                    object.recorded.get_or_insert(last as u64);
                    object.references += 1;
                }
            }
            Step::Delete { .. } => {
                if let Some(object) = objects.get_mut(&entry.digest) {
                    object.references = object.references.saturating_sub(1);
                    if object.references == 0 {
                        objects.remove(&entry.digest);
                    }
                }
            }
            Step::Abandon { .. } | Step::Restart => {}
        }
        objects
    }
}

fn insert(objects: &mut Objects, seed: u64, size: usize) {
    let content = content(seed, size);
    objects.entry(digest(&content)).or_insert(Object {
        content,
        name: String::new(),
        released: false,
        recorded: None,
        references: 0,
    });
}

/// The vault's part of a step.
fn perform(
    store: &mut Store<'_>,
    disk: &mut FaultyDisk,
    model: &Model,
    step: &Step,
) -> Result<(), StoreError> {
    let last = model.ledger.0.len().checked_sub(1).map(|last| last as u64);
    match step {
        Step::Put { seed, size } => put(store, disk, &content(*seed, *size), 50_000).map(drop),
        Step::Record { .. } | Step::Delete { .. } if model.objects.is_empty() => Ok(()),
        Step::Record { .. } | Step::Delete { .. } => {
            let last = last.expect("the step appended an entry");
            model.ledger.follow(store, disk, last).map(drop)
        }
        Step::Abandon { size } => {
            store.create(common::OWNER, *size as u64)?;
            let half = SharedRegion::new(size / 2);
            let written = store.write(disk, common::OWNER, (size / 2) as u64, &half);
            written.map(drop)
        }
        Step::Restart => Ok(()),
    }
}

/// Whether the vault on `disk`, once it has caught up with the ledger, holds exactly these objects,
/// byte for byte.
fn holds(
    disk: &FaultyDisk,
    memory: &mut Memory,
    ledger: &Ledger,
    objects: &Objects,
) -> Result<(), String> {
    let mut disk = disk.clone();
    let (mut store, opened) = open(&mut disk, memory);
    let opened = opened.map_err(|error| error.to_string())?;
    if opened.void > 0 || opened.changes > 0 {
        return Err(format!("{opened:?}"));
    }
    let walk = ledger.catch_up(&mut store, &mut disk);
    let walk = walk.map_err(|error| error.to_string())?;
    if !walk.missing().is_empty() {
        return Err(format!("missing: {:?}", walk.missing()));
    }
    let mut listed = 0;
    let mut cursor = 0;
    while let Ok(object) = store.list(&mut disk, cursor) {
        cursor = object.next;
        listed += 1;
        let expected = objects.get(&object.digest).ok_or("an object too many")?;
        let found = (
            &*object.name,
            object.stat.released,
            object.stat.recorded,
            object.stat.references,
        );
        let Object {
            name,
            released,
            recorded,
            references,
            ..
        } = expected;
        if found != (name, *released, *recorded, *references) {
            return Err(format!("{found:?}"));
        }
        check(&mut store, &mut disk, &object.digest).map_err(|error| error.to_string())?;
        let read = get(&mut store, &mut disk, &object.digest, 1 << 18);
        let wanted = if *released {
            Ok(expected.content.clone())
        } else {
            Err(StoreError::NotReleased)
        };
        if read != wanted {
            return Err(format!("content of {name}"));
        }
    }
    (listed == objects.len())
        .then_some(())
        .ok_or_else(|| format!("{listed} objects"))
}

/// Runs the steps until the disk fails: the model as acknowledged, and what the vault would hold with
/// the step that was under way.
fn run(disk: &mut FaultyDisk, memory: &mut Memory, steps: &[Step]) -> (Model, Objects) {
    let mut model = Model::default();
    let (mut store, opened) = open(disk, memory);
    if opened.is_err() {
        return (model, Objects::new());
    }
    for step in steps {
        if matches!(step, Step::Restart) {
            drop(store);
            let opened;
            (store, opened) = open(disk, memory);
            let caught_up = opened.and_then(|_| model.ledger.catch_up(&mut store, disk).map(drop));
            if let Err(error) = caught_up {
                // Of a disk that is off, the superblocks cannot be read, which is as good as damage.
                assert!(disk.is_off() || is_disk_error(&error), "{error:?}");
                return (model.clone(), model.objects);
            }
            continue;
        }
        model.append(step);
        let next = model.after(step);
        if let Err(error) = perform(&mut store, disk, &model, step) {
            assert!(is_disk_error(&error), "{step:?}: {error:?}");
            return (model, next);
        }
        model.objects = next;
    }
    (model.clone(), model.objects)
}

/// As [`holds`], with or without the step that was under way.
fn holds_either(disk: &FaultyDisk, memory: &mut Memory, model: &Model, under_way: &Objects) {
    if let Err(reason) = holds(disk, memory, &model.ledger, &model.objects) {
        let other = holds(disk, memory, &model.ledger, under_way);
        assert_eq!(other, Ok(()), "{reason}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_vault_holds_what_the_model_holds(steps in prop::collection::vec(step(), 1..14)) {
        with_memory(move |memory| {
            let mut disk = FaultyDisk::new(700);
            let (model, _) = run(&mut disk, memory, &steps);
            assert_eq!(holds(&disk, memory, &model.ledger, &model.objects), Ok(()));
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
                let (model, under_way) = run(&mut disk, memory, &steps);
                assert!(disk.is_off());
                let mut random = content(seed ^ operation, disk.unflushed_sectors()).into_iter();
                let keeps: [&mut dyn FnMut(usize) -> bool; 3] = [
                    &mut |_| true,
                    &mut |_| false,
                    &mut |_| random.next().is_some_and(|byte| byte & 1 == 0),
                ];
                for keep in keeps {
                    holds_either(&disk.cut(keep), memory, &model, &under_way);
                }
            }
        });
    }

    #[test]
    fn a_write_or_flush_that_fails_loses_nothing_acknowledged(
        steps in prop::collection::vec(step(), 1..6),
        lies in any::<bool>(),
        kept in 0..130usize,
    ) {
        with_memory(move |memory| {
            let mut whole = FaultyDisk::new(300);
            run(&mut whole, memory, &steps);
            for operation in 0..whole.operations() {
                let mut disk = FaultyDisk::new(300);
                if lies {
                    disk.plan.lie = Some(operation);
                } else {
                    (disk.plan.fail, disk.plan.kept) = (Some(operation), kept);
                }
                let (model, under_way) = run(&mut disk, memory, &steps);
                disk.plan = Default::default();
                holds_either(&disk, memory, &model, &under_way);
                holds_either(&disk.cut(|_| false), memory, &model, &under_way);
            }
        });
    }

    #[test]
    fn a_write_that_is_lost_or_goes_elsewhere_is_never_served_and_never_silent(
        steps in prop::collection::vec(step(), 1..8),
        elsewhere in prop::option::of(0..300u64),
    ) {
        with_memory(move |memory| {
            let mut whole = FaultyDisk::new(300);
            run(&mut whole, memory, &steps);
            for operation in 0..whole.operations() {
                let mut disk = FaultyDisk::new(300);
                match elsewhere {
                    Some(block) => disk.plan.misdirected = Some((operation, block)),
                    None => disk.plan.lost = Some(operation),
                }
                let ledger = run_on(&mut disk, memory, &steps);
                nothing_is_silent(&mut disk, memory, &ledger, &steps);
            }
        });
    }
}

/// Runs the steps whatever they come to, with a restart where the vault takes no more; the ledger.
fn run_on(disk: &mut FaultyDisk, memory: &mut Memory, steps: &[Step]) -> Ledger {
    let mut model = Model::default();
    let (mut store, opened) = open(disk, memory);
    let mut opened = opened.is_ok();
    for step in steps {
        if matches!(step, Step::Restart) {
            drop(store);
            let result;
            (store, result) = open(disk, memory);
            opened = result.is_ok();
        }
        if !opened {
            continue;
        }
        // The ledger names what was acknowledged, as ingest would have it.
        let before = model.clone();
        model.append(step);
        match perform(&mut store, disk, &model, step) {
            Ok(()) => model.objects = model.after(step),
            // Appended and not followed: the entry stays where it named something to be taken in.
            Err(_) if matches!(step, Step::Delete { .. }) => model = before,
            Err(_) => {}
        }
    }
    model.ledger
}

fn nothing_is_silent(disk: &mut FaultyDisk, memory: &mut Memory, ledger: &Ledger, steps: &[Step]) {
    let (mut store, opened) = open(disk, memory);
    if opened.is_err() {
        // That is said, and nothing is served.
        return;
    }
    let Ok(walk) = ledger.catch_up(&mut store, disk) else {
        return;
    };
    let missing: BTreeSet<_> = walk
        .missing()
        .iter()
        .map(|missing| missing.digest)
        .collect();
    let contents: BTreeMap<_, _> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Put { seed, size } => Some(content(*seed, *size)),
            _ => None,
        })
        .map(|content| (digest(&content), content))
        .collect();
    let mut references = BTreeMap::<ObjectDigest, i32>::new();
    for index in 0..ledger.0.len() as u64 {
        let entry = ledger.entry(index);
        let count = references.entry(entry.digest).or_default();
        *count += if entry.act == Act::Removed { -1 } else { 1 };
    }
    for (digest, count) in references {
        if let Ok(read) = get(&mut store, disk, &digest, 50_000) {
            assert!(read == contents[&digest], "another content is served");
        }
        if count <= 0 || missing.contains(&digest) {
            continue;
        }
        match check(&mut store, disk, &digest) {
            Ok(()) => {}
            Err(error) => assert!(error.is_damage(), "{error:?}: not a word of {digest:?}"),
        }
    }
}
