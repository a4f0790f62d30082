//! Keys as `portcullis keygen` makes them, and as other verbs read them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use assert_cmd::Command;

/// What a verb that ends with this code says on standard error.
fn said(directory: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let ended = command.current_dir(directory).args(arguments).assert();
    let ended = ended.code(code);
    let text = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
    let words = text.split_whitespace().filter(|word| *word != "│");
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn no_file_is_made_where_one_of_them_is_there() {
    for there in ["k.key", "k.key.pub", "k.key.vkey"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // A link that leads nowhere is there too.
        symlink("nowhere", path.join(there)).unwrap();
        let why = said(path, &["keygen", "k.key", "--name", "example.com/w"], 2);
        assert!(why.contains(there), "{why}");
        assert_eq!(fs::read_dir(path).unwrap().count(), 1, "{there}");
    }
}

#[test]
fn a_name_that_reorders_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["example.com/\u{202e}w", "a\u{200b}b", "a\u{7}"] {
        let why = said(directory.path(), &["keygen", "k.key", "--name", name], 2);
        assert!(why.contains("--name") && why.contains("U+"), "{why}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// What is no key is not to be closed: the remedy would be for another file.
#[test]
fn an_open_file_that_is_no_private_key_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    said(path, &["keygen", "k.key", "--name", "example.com/w"], 0);
    fs::write(path.join("text"), "no key").unwrap();
    let open = Permissions::from_mode(0o644);
    for name in ["text", "k.key"] {
        fs::set_permissions(path.join(name), open.clone()).unwrap();
    }
    let witness = |key| {
        let sign = ["log", "witness", "--name", "example.com/w", "--key", "v"];
        [&sign[..], &["--signing-key", key]].concat()
    };
    let why = said(path, &witness("text"), 2);
    assert!(why.contains("this is not a private key"), "{why}");
    let why = said(path, &witness("k.key"), 3);
    assert!(why.contains("chmod 600"), "{why}");
    let why = said(path, &["fsck", "--vault-key", "text"], 2);
    assert!(why.contains("a vault's key has 32"), "{why}");
}
