//! Checkpoints: the text that a log's key signs (C2SP tlog-checkpoint).
//!
//! A checkpoint names the log (its *origin*), its size and its root hash. The ledger signs the text
//! at every commit and keeps the signature in the [`Footer`]; whoever has the footer can write the
//! checkpoint out as a signed note, which public tools and witnesses read.

use core::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use heapless::String;
use zerocopy::little_endian::U64;

use crate::block::{Footer, LogId, LogKind};
use crate::merkle::Hash;

/// Longest origin of our logs, in bytes: `portcullis/`, 32 digits, `/`, a kind's name.
pub const ORIGIN_MAX: usize = 50;
/// Longest checkpoint text of our logs, in bytes: origin, 20 digits, 44 of base64, three newlines.
pub const TEXT_MAX: usize = ORIGIN_MAX + 20 + 44 + 3;

/// The origin line of a log's checkpoints, which is its key's name too.
pub fn origin(kind: LogKind, log: LogId) -> String<ORIGIN_MAX> {
    let mut origin = String::new();
    let written = origin
        .write_str("portcullis/")
        .and_then(|()| {
            log.0
                .iter()
                .try_for_each(|byte| write!(origin, "{byte:02x}"))
        })
        .and_then(|()| write!(origin, "/{}", kind.name()));
    written.expect("ORIGIN_MAX holds the longest origin; tested");
    origin
}

/// A checkpoint: a log at one of its sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint<'a> {
    /// Names the log.
    pub origin: &'a str,
    /// Number of records.
    pub size: u64,
    /// Merkle root over them.
    pub root: Hash,
    /// Further lines, each ended by a newline; none of ours has any.
    pub extensions: &'a str,
}

/// Why a text is not a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointError {
    /// The first line is empty or missing.
    Origin,
    /// The second line is not a size in decimal, without leading zeros.
    Size,
    /// The third line is not a SHA-256 hash in base64.
    Root,
    /// A further line is empty, or the last is not ended.
    Extension,
}

impl<'a> Checkpoint<'a> {
    /// Writes the text that is signed.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut root = [0; 44];
        let length = STANDARD
            .encode_slice(self.root, &mut root)
            .map_err(|_| fmt::Error)?;
        let root = root
            .get(..length)
            .and_then(|bytes| str::from_utf8(bytes).ok());
        let root = root.ok_or(fmt::Error)?;
        write!(
            out,
            "{}\n{}\n{root}\n{}",
            self.origin, self.size, self.extensions
        )
    }

    /// Reads the text of a note whose signatures were verified.
    pub fn parse(text: &'a str) -> Result<Self, CheckpointError> {
        let (origin, rest) = line(text).ok_or(CheckpointError::Origin)?;
        let (size, rest) = line(rest).ok_or(CheckpointError::Size)?;
        let (root, extensions) = line(rest).ok_or(CheckpointError::Root)?;
        Ok(Self {
            origin,
            size: parse_size(size).ok_or(CheckpointError::Size)?,
            root: parse_hash(root).ok_or(CheckpointError::Root)?,
            extensions: check_extensions(extensions)?,
        })
    }
}

impl Footer {
    /// The tree head of a log, signed with its key.
    pub fn sign(kind: LogKind, log: LogId, size: u64, root: &Hash, key: &SigningKey) -> Self {
        let signature = key.sign(text(kind, log, size, root).as_bytes());
        Self {
            tree_size: U64::new(size),
            root: *root,
            signature: signature.to_bytes(),
        }
    }

    /// Whether the log's key signed it.
    pub fn is_signed(&self, kind: LogKind, log: LogId, key: &VerifyingKey) -> bool {
        let text = text(kind, log, self.tree_size.get(), &self.root);
        key.verify_strict(text.as_bytes(), &Signature::from_bytes(&self.signature))
            .is_ok()
    }
}

/// The checkpoint text of one of our logs.
pub fn text(kind: LogKind, log: LogId, size: u64, root: &Hash) -> String<TEXT_MAX> {
    let origin = origin(kind, log);
    let checkpoint = Checkpoint {
        origin: &origin,
        size,
        root: *root,
        extensions: "",
    };
    let mut text = String::new();
    checkpoint
        .write(&mut text)
        .expect("TEXT_MAX holds the longest text; tested");
    text
}

/// Reads a SHA-256 hash in base64.
pub fn parse_hash(text: &str) -> Option<Hash> {
    // decode_slice wants room for what the length of the text could hold at most.
    let mut bytes = [0; 33];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    let (hash, rest) = bytes.get(..length)?.split_first_chunk()?;
    rest.is_empty().then_some(*hash)
}

fn line(text: &str) -> Option<(&str, &str)> {
    text.split_once('\n').filter(|(line, _)| !line.is_empty())
}

fn parse_size(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if plain && !padded {
        text.parse().ok()
    } else {
        None
    }
}

fn check_extensions(text: &str) -> Result<&str, CheckpointError> {
    let ended = text.is_empty() || text.ends_with('\n');
    if ended && text.split_terminator('\n').all(|line| !line.is_empty()) {
        Ok(text)
    } else {
        Err(CheckpointError::Extension)
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Origin => "the checkpoint's first line must name the log",
            Self::Size => {
                "the checkpoint's second line must be a size in decimal without leading zeros"
            }
            Self::Root => "the checkpoint's third line must be a SHA-256 hash in base64",
            Self::Extension => {
                "the checkpoint's further lines must not be empty, and the last must be ended"
            }
        })
    }
}

impl core::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits() {
        for kind in [LogKind::Grants, LogKind::Worm] {
            let text = text(kind, LogId([0xff; 16]), u64::MAX, &[0xff; 32]);
            let checkpoint = Checkpoint::parse(&text).unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (u64::MAX, [0xff; 32]));
            assert_eq!(checkpoint.origin, origin(kind, LogId([0xff; 16])));
        }
        assert_eq!(
            text(LogKind::Grants, LogId::default(), u64::MAX, &[0; 32]).len(),
            TEXT_MAX
        );
    }

    #[test]
    fn a_text_that_could_be_read_two_ways_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for (text, expected) in [
            (std::string::String::new(), CheckpointError::Origin),
            (std::format!("\n1\n{root}\n"), CheckpointError::Origin),
            (std::format!("log\n01\n{root}\n"), CheckpointError::Size),
            (std::format!("log\n+1\n{root}\n"), CheckpointError::Size),
            (std::format!("log\n\n{root}\n"), CheckpointError::Size),
            (
                std::format!("log\n18446744073709551616\n{root}\n"),
                CheckpointError::Size,
            ),
            (std::format!("log\n1\n{root}"), CheckpointError::Root),
            (
                std::format!("log\n1\n{}\n", &root[..43]),
                CheckpointError::Root,
            ),
            ("log\n1\nAA==\n".into(), CheckpointError::Root),
            (
                std::format!("log\n1\n{root}\n\n"),
                CheckpointError::Extension,
            ),
            (
                std::format!("log\n1\n{root}\nmore"),
                CheckpointError::Extension,
            ),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(expected), "{text:?}");
        }
        let text = std::format!("log\n0\n{root}\none\ntwo\n");
        assert_eq!(Checkpoint::parse(&text).unwrap().extensions, "one\ntwo\n");
    }
}
