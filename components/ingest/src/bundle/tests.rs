//! The bundle format under every byte of damage, and under bytes that were never a bundle.

use std::string::ToString;
use std::vec::Vec;

use portcullis_model::testing::SharedRegion;
use proptest::prelude::*;

use super::*;

/// A document: its path, and its content or why there is none.
type Document = (DocumentPath, Result<Vec<u8>, Missing>);

fn path(text: &str) -> DocumentPath {
    DocumentPath::new(text).unwrap()
}

/// Packs as a packer does.
fn pack(documents: &[Document]) -> Vec<u8> {
    let mut layout = Layout::new(documents.len() as u32);
    let mut bytes = std::vec![0; layout.size() as usize];
    bytes[..HEADER_SIZE].copy_from_slice(&encode_header(documents.len() as u32));
    for (index, (path, content)) in documents.iter().enumerate() {
        let (size, content) = match content {
            Ok(content) => {
                let offset = layout.place(content.len() as u64).unwrap();
                bytes.resize(layout.size() as usize, 0);
                bytes[offset as usize..][..content.len()].copy_from_slice(content);
                let sha256 = Sha256::digest(content).into();
                (content.len() as u64, Content::Present { offset, sha256 })
            }
            Err(missing) => (7, Content::Missing(*missing)),
        };
        let path = path.clone();
        let entry = Entry {
            path,
            size,
            content,
        };
        bytes[entry_offset(index as u32) as usize..][..ENTRY_SIZE]
            .copy_from_slice(&encode_entry(&entry));
    }
    bytes
}

/// Unpacks, checking everything that the format checks.
fn unpack(bytes: &[u8]) -> Option<Vec<Document>> {
    let memory = SharedRegion::with(bytes);
    let bundle = Bundle::open(&memory).ok()?;
    let mut documents = Vec::new();
    for index in 0..bundle.count() {
        let entry = bundle.entry(&memory, index).ok()?;
        let content = match entry.content {
            Content::Missing(reason) => Err(reason),
            Content::Present { offset, sha256 } => {
                let mut content = std::vec![0; entry.size as usize];
                memory.read(offset as usize, &mut content).ok()?;
                if sha256 != <[u8; 32]>::from(Sha256::digest(&content)) {
                    return None;
                }
                Ok(content)
            }
        };
        documents.push((entry.path, content));
    }
    Some(documents)
}

fn sample() -> Vec<Document> {
    std::vec![
        (path("empty"), Ok(Vec::new())),
        (path("public/a"), Ok(b"thirteen byte".to_vec())),
        (path("loop"), Err(Missing::LinkLoop)),
        (path("eight"), Ok(b"12345678".to_vec())),
    ]
}

#[test]
fn documents_come_back() {
    assert_eq!(unpack(&pack(&sample())), Some(sample()));
    assert_eq!(unpack(&pack(&[])), Some(Vec::new()));
}

#[test]
fn a_region_may_be_larger_than_its_bundle() {
    let mut bytes = pack(&sample());
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    assert_eq!(unpack(&bytes), Some(sample()));
}

#[test]
fn every_changed_byte_is_noticed() {
    let bytes = pack(&sample());
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            assert_eq!(unpack(&damaged), None, "byte {at} ^ {change:#x}");
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = pack(&sample());
    for length in 0..bytes.len() {
        assert_eq!(unpack(&bytes[..length]), None, "cut to {length}");
    }
}

#[test]
fn a_damaged_entry_takes_no_other_with_it() {
    let mut bytes = pack(&sample());
    bytes[entry_offset(1) as usize] ^= 1;
    let memory = SharedRegion::with(&bytes);
    let bundle = Bundle::open(&memory).unwrap();
    assert_eq!(bundle.entry(&memory, 1), Err(EntryError::Damaged));
    for index in [0, 2, 3] {
        assert!(bundle.entry(&memory, index).is_ok(), "{index}");
    }
    assert_eq!(bundle.entry(&memory, 4), Err(EntryError::Index(4)));
}

/// An entry that its packer made wrong, with a check that matches.
fn forged(change: impl Fn(&mut RawEntry)) -> Result<Entry, EntryError> {
    let mut bytes = pack(&[(path("a"), Ok(b"content".to_vec()))]);
    let at = HEADER_SIZE..HEADER_SIZE + ENTRY_SIZE;
    let mut raw = RawEntry::read_from_bytes(&bytes[at.clone()]).unwrap();
    change(&mut raw);
    raw.check = raw.computed_check();
    bytes[at].copy_from_slice(raw.as_bytes());
    let memory = SharedRegion::with(&bytes);
    Bundle::open(&memory).unwrap().entry(&memory, 0)
}

#[test]
fn each_wrong_entry_is_named() {
    let region = HEADER_SIZE + ENTRY_SIZE + 8;
    let out = |offset, size| {
        Err(EntryError::OutOfBounds {
            offset,
            size,
            region,
        })
    };
    let start = contents_offset(1);
    assert_eq!(forged(|raw| raw.size = U64::new(9)), out(start, 9));
    assert_eq!(
        forged(|raw| raw.size = U64::MAX_VALUE),
        out(start, u64::MAX)
    );
    assert_eq!(forged(|raw| raw.offset = U64::MAX_VALUE), out(u64::MAX, 7));
    assert_eq!(
        forged(|raw| raw.offset = U64::new(0)),
        Err(EntryError::Misplaced(0))
    );
    assert_eq!(
        forged(|raw| raw.offset = U64::new(start + 1)),
        Err(EntryError::Misplaced(start + 1))
    );
    assert_eq!(
        forged(|raw| raw.size = U64::new(6)),
        Err(EntryError::Padding)
    );
    assert_eq!(forged(|raw| raw.content = 13), Err(EntryError::Unknown));
    assert_eq!(forged(|raw| raw.reserved[4] = 1), Err(EntryError::Unknown));
    assert_eq!(
        forged(|raw| raw.path_length = U16::new(257)),
        Err(EntryError::PathLength(257))
    );
    assert_eq!(
        forged(|raw| raw.path_length = U16::new(0)),
        Err(EntryError::Path(PathError::Empty))
    );
    assert_eq!(
        forged(|raw| raw.path[0] = b'/'),
        Err(EntryError::Path(PathError::Absolute))
    );
}

#[test]
fn what_is_no_bundle_is_named() {
    let open = |bytes: &[u8]| Bundle::open(&SharedRegion::with(bytes));
    assert_eq!(open(&[0; 4096]), Err(BundleError::NotABundle));
    assert_eq!(
        open(b""),
        Err(BundleError::Truncated {
            expected: 24,
            found: 0
        })
    );
    let mut bytes = encode_header(u32::MAX);
    assert_eq!(
        open(&bytes),
        Err(BundleError::Truncated {
            expected: 24 + 320 * u64::from(u32::MAX),
            found: 24
        })
    );
    bytes[8] = 2;
    assert_eq!(open(&bytes), Err(BundleError::Format(2)));
}

#[test]
fn every_reason_has_its_number_and_words_of_its_own() {
    let words: std::collections::BTreeSet<_> = Missing::ALL.map(|it| it.to_string()).into();
    assert_eq!(words.len(), Missing::ALL.len());
    for (number, missing) in (1..).zip(Missing::ALL) {
        assert_eq!(missing as u8, number);
    }
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let content = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Ok),
        1 => prop::sample::select(&Missing::ALL[..]).prop_map(Err),
    ];
    let name = "[a-z]{1,8}(/[a-zä]{1,8}){0,3}".prop_map(|name| path(&name));
    prop::collection::vec((name, content), 0..6)
}

proptest! {
    #[test]
    fn any_documents_come_back(documents in documents()) {
        prop_assert_eq!(unpack(&pack(&documents)), Some(documents));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(unpack(&bytes), None);
    }

    /// Past the checks, where random bytes never come: fields of an entry that matches its check.
    #[test]
    fn any_entry_is_read_without_panic(fields in any::<[u8; 64]>(), name in any::<[u8; 8]>()) {
        let entry = forged(|raw| {
            raw.as_mut_bytes()[..64].copy_from_slice(&fields);
            raw.path[..8].copy_from_slice(&name);
            raw.reserved = [0; 5];
            raw.path_length = U16::new(u16::from(fields[0]) % 9);
            raw.content %= 13;
        });
        if let Ok(Entry { size, content: Content::Present { offset, .. }, .. }) = entry {
            prop_assert!(offset + size <= (HEADER_SIZE + ENTRY_SIZE + 8) as u64);
        }
    }
}
