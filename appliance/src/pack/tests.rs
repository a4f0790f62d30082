use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use portcullis_ingest::bundle::Bundle;
use portcullis_model::testing::SharedRegion;
use sha2::{Digest as _, Sha256};

use super::*;

/// A directory of documents, and the bundle that becomes of it.
struct Case {
    scratch: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("documents")).unwrap();
        Self { scratch }
    }

    fn documents(&self) -> PathBuf {
        self.scratch.path().join("documents")
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.documents().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn pack(&self) -> (Packed, SharedRegion) {
        let bundle = self.scratch.path().join("inbox.bundle");
        let packed = pack(&self.documents(), &bundle, &mut |done, total| {
            assert!(done <= total)
        });
        let region = SharedRegion::with(&fs::read(bundle).unwrap());
        (packed.unwrap(), region)
    }

    /// Packs; the result is each entry's path, and its content or why there is none.
    fn entries(&self) -> Vec<(String, Result<Vec<u8>, Missing>)> {
        use portcullis_kernel::Region as _;
        let (packed, region) = self.pack();
        let bundle = Bundle::open(&region).unwrap();
        assert_eq!(
            bundle.count() as usize,
            packed.documents as usize + packed.left_out.len()
        );
        let entries = (0..bundle.count()).map(|index| {
            let entry = bundle.entry(&region, index).unwrap();
            let content = match entry.content {
                Content::Missing(why) => Err(why),
                Content::Present { offset, sha256 } => {
                    let mut content = vec![0; entry.size as usize];
                    region.read(offset as usize, &mut content).unwrap();
                    assert_eq!(<[u8; 32]>::from(Sha256::digest(&content)), sha256);
                    Ok(content)
                }
            };
            (entry.path.as_str().to_owned(), content)
        });
        entries.collect()
    }

    fn left_out(&self) -> Vec<(String, Why)> {
        let (packed, _) = self.pack();
        packed
            .left_out
            .into_iter()
            .map(|it| (it.path, it.why))
            .collect()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn documents_come_sorted_and_whole() {
    let case = Case::new();
    case.write("b.txt", b"second");
    case.write("a/z", b"of a directory");
    case.write("a.txt", b"first");
    case.write("empty", b"");
    let wanted = [
        ("a/z", &b"of a directory"[..]),
        ("a.txt", b"first"),
        ("b.txt", b"second"),
        ("empty", b""),
    ];
    let wanted = wanted.map(|(path, content)| (path.to_owned(), Ok(content.to_vec())));
    assert_eq!(case.entries(), wanted);
}

#[test]
fn an_empty_directory_gives_an_empty_bundle() {
    assert_eq!(Case::new().entries(), []);
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let scratch = tempfile::tempdir().unwrap();
    let error = pack(
        &scratch.path().join("no"),
        &scratch.path().join("bundle"),
        &mut |_, _| (),
    );
    assert_eq!(error.unwrap_err().doing, "find");
}

#[test]
fn the_largest_document_fits_and_one_byte_more_is_left_out() {
    let case = Case::new();
    for (name, size) in [("largest", 64 << 20), ("too-large", (64 << 20) + 1)] {
        let file = File::create(case.documents().join(name)).unwrap();
        file.set_len(size).unwrap();
    }
    case.write("z", b"after");
    let (packed, _) = case.pack();
    assert_eq!((packed.documents, packed.bytes), (2, (64 << 20) + 5));
    let size = (64 << 20) + 1;
    assert_eq!(
        case.left_out(),
        [("too-large".to_owned(), Why::TooLarge { size })]
    );
}

/// Somebody named a state directory, one of a history that was left behind, or a folder above one.
#[test]
fn private_keys_are_no_documents() {
    let case = Case::new();
    drop(crate::State::open(&case.documents().join("below/state")).unwrap());
    // What only looks like one.
    case.write("vault.key", b"where the key of the vault is kept");
    case.write("below/notes/ledger.key", &[0; 33]);
    case.write("below/state/32", &[0; 32]);
    let key = "below/state/policy.key";
    let length = fs::metadata(case.documents().join(key)).unwrap().len() as usize;
    case.write("other", &vec![b'x'; length]);
    symlink("below/state/ledger.key", case.documents().join("link")).unwrap();
    fs::copy(
        case.documents().join(key),
        case.documents().join("copy.txt"),
    )
    .unwrap();
    let mut keys: Vec<_> = case.left_out();
    keys.retain(|(_, why)| *why == Why::Key);
    let keys: Vec<_> = keys.iter().map(|(path, _)| path.as_str()).collect();
    let [ledger, vault] = ["below/state/ledger.key", "below/state/vault.key"];
    assert_eq!(keys, [ledger, key, vault, "copy.txt", "link"]);
    let entries = case.entries();
    for name in [
        "vault.key",
        "below/notes/ledger.key",
        "below/state/32",
        "other",
    ] {
        let taken = entries
            .iter()
            .any(|(path, content)| path == name && content.is_ok());
        assert!(taken, "{name}");
    }
}

#[test]
fn names_that_no_document_can_have_are_left_out_escaped() {
    let case = Case::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(case.documents().join(name), b"x").unwrap();
    case.write("bell\u{7}", b"x");
    case.write("fine", b"x");
    let entries = case.entries();
    let paths: Vec<&str> = entries.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["bell\\u{7}", "caf\\xe9.txt", "fine"]);
    assert_eq!(entries[0].1, Err(Missing::BadName));
    assert_eq!(entries[1].1, Err(Missing::BadName));
    assert_eq!(entries[2].1, Ok(b"x".to_vec()));
}

#[test]
fn a_path_that_is_too_long_is_left_out_cut() {
    let case = Case::new();
    let most = portcullis_publish::PATH_MAX;
    let long = vec!["d".repeat(200); most / 200 + 1].join("/");
    case.write(&long, b"x");
    assert_eq!(
        case.entries(),
        [(long[..most].to_owned(), Err(Missing::BadName))]
    );
}

#[test]
fn links_are_followed_to_files_below_the_directory_only() {
    let case = Case::new();
    case.write("d/file", b"content");
    fs::write(case.scratch.path().join("outside"), b"secret").unwrap();
    let link = |target: &str, name: &str| symlink(target, case.documents().join(name)).unwrap();
    link("d/file", "to-file");
    link("..", "to-parent");
    link("../outside", "to-outside");
    link(".", "to-itself");
    link("d", "to-directory");
    link("gone", "dangling");
    link("loop-b", "loop-a");
    link("loop-a", "loop-b");
    let outside = fs::canonicalize(case.scratch.path()).unwrap();
    let wanted = [
        ("dangling", Why::Dangling),
        ("loop-a", Why::LinkLoop),
        ("loop-b", Why::LinkLoop),
        ("to-directory", Why::LinkToDirectory),
        ("to-itself", Why::LinkLoop),
        ("to-outside", Why::Outside(outside.join("outside"))),
        ("to-parent", Why::Outside(outside.clone())),
    ];
    assert_eq!(
        case.left_out(),
        wanted.map(|(path, why)| (path.to_owned(), why))
    );
    let entries = case.entries();
    let (_, content) = entries.iter().find(|(path, _)| path == "to-file").unwrap();
    assert_eq!(content, &Ok(b"content".to_vec()));
}

#[test]
fn what_is_no_file_is_left_out() {
    let case = Case::new();
    let pipe = case.documents().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(case.documents().join("socket")).unwrap();
    let wanted = [
        ("pipe", Why::NotAFile("a named pipe")),
        ("socket", Why::NotAFile("a socket")),
    ];
    assert_eq!(
        case.left_out(),
        wanted.map(|(path, why)| (path.to_owned(), why))
    );
}

#[test]
fn an_unreadable_file_is_left_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = Case::new();
    case.write("closed", b"x");
    case.write("open", b"y");
    let closed = case.documents().join("closed");
    fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    let denied = Why::Unreadable(io::ErrorKind::PermissionDenied);
    if is_root() {
        println!("permissions do not hold root back: only that nothing is lost was checked");
        assert_eq!(case.entries().len(), 2);
    } else {
        assert_eq!(case.left_out(), [("closed".to_owned(), denied)]);
    }
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_is_left_out() {
    for change in [1, 300_000] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("document");
        fs::write(&path, vec![7; 200_000]).unwrap();
        let source = walk::Source {
            path: path.clone(),
            size: 200_000,
        };
        let bundle = tempfile::tempfile().unwrap();
        let copied = content::copy(&source, &bundle, 0, &mut |_| {
            fs::write(&path, vec![8; change]).unwrap();
        });
        assert_eq!(copied.unwrap(), Err(Why::Changed));
    }
}

#[test]
fn the_same_documents_give_the_same_bundle() {
    let case = Case::new();
    case.write("one", b"1");
    case.write("two/three", b"23");
    let bundle = case.scratch.path().join("inbox.bundle");
    case.pack();
    let first = fs::read(&bundle).unwrap();
    case.pack();
    assert_eq!(fs::read(&bundle).unwrap(), first);
}
