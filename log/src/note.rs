//! Signed notes (C2SP signed-note): a text, and Ed25519 signatures over it.
//!
//! The container of checkpoints. A note may carry signatures of keys that the reader does not know
//! (witnesses, other algorithms): they are checked for form and ignored. Everything is read where
//! it lies and bounded by [`NOTE_MAX`] and [`SIGNATURES_MAX`]; nothing is allocated.

use core::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey, VerifyingKey};
use heapless::String;
use sha2::{Digest, Sha256};

/// Longest note that is read, in bytes: a checkpoint with a hundred signatures has 20,000.
pub const NOTE_MAX: usize = 65_536;
/// Most signatures of a note, as in Go's `sumdb/note`.
pub const SIGNATURES_MAX: usize = 100;

/// Longest text that a witness signs, in bytes: a checkpoint, extension lines included.
pub const COSIGNED_MAX: usize = 1024;
/// Latest time that a witness signs, in seconds since 1970: C2SP tlog-cosignature.
const TIME_MAX: u64 = i64::MAX as u64;
/// Bytes of what a witness puts before the text: two lines, with a time of up to 20 digits.
const COSIGNED_HEADER: usize = 41;
/// What a signature line starts with: an em dash and a space.
const DASH: &str = "\u{2014} ";
/// Base64 characters that are decoded at once; a multiple of four, so that padding comes last.
const CHUNK: usize = 128;

/// Tells keys of the same name apart.
pub type KeyId = [u8; 4];

/// What an Ed25519 key signs; the number is its mark in keys and key ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The text itself.
    Text = 1,
    /// The time and the text: `cosignature/v1` of C2SP tlog-cosignature.
    Cosignature = 4,
}

/// A public key and the name it signs under: the text `name+hash+key`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verifier<'a> {
    name: &'a str,
    key: VerifyingKey,
    kind: Kind,
}

/// Why a text is not a verifier key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifierError {
    /// It is not three parts, separated by `+`.
    Parts,
    /// The name is empty, or has a space or a plus sign.
    Name,
    /// The hash is not that of name and key: one of them was changed.
    Hash,
    /// The key is not in base64, or not of Ed25519 (mark 1, of a witness 4, then 32 bytes that are a
    /// point).
    Key,
}

impl<'a> Verifier<'a> {
    /// The key `key` under the name `name`.
    pub fn new(name: &'a str, key: VerifyingKey) -> Result<Self, VerifierError> {
        Self::of_kind(name, key, Kind::Text)
    }

    /// The key of a witness, which signs with [`cosign`].
    pub fn witness(name: &'a str, key: VerifyingKey) -> Result<Self, VerifierError> {
        Self::of_kind(name, key, Kind::Cosignature)
    }

    fn of_kind(name: &'a str, key: VerifyingKey, kind: Kind) -> Result<Self, VerifierError> {
        if name_is_sound(name) {
            Ok(Self { name, key, kind })
        } else {
            Err(VerifierError::Name)
        }
    }

    /// Reads `name+hash+key`.
    pub fn parse(text: &'a str) -> Result<Self, VerifierError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierError::Parts);
        };
        let mut bytes = [0; 36];
        let length = STANDARD
            .decode_slice(key, &mut bytes)
            .map_err(|_| VerifierError::Key)?;
        let (kind, key) = match bytes.get(..length) {
            Some([1, key @ ..]) => (Kind::Text, key),
            Some([4, key @ ..]) => (Kind::Cosignature, key),
            _ => return Err(VerifierError::Key),
        };
        let key = VerifyingKey::try_from(key).map_err(|_| VerifierError::Key)?;
        let verifier = Self::of_kind(name, key, kind)?;
        let plain = hash
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let id = u32::from_str_radix(hash, 16).map(u32::to_be_bytes);
        if hash.len() == 8 && plain && id == Ok(verifier.id()) {
            Ok(verifier)
        } else {
            Err(VerifierError::Hash)
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The key.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Whether it is a witness's, which signs the time too.
    pub fn is_witness(&self) -> bool {
        self.kind == Kind::Cosignature
    }

    /// Its id: SHA-256(name || 0x0A || mark || key), first four bytes.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new()
            .chain_update(self.name)
            .chain_update([b'\n', self.kind as u8])
            .chain_update(self.key.as_bytes())
            .finalize();
        core::array::from_fn(|i| digest[i])
    }

    /// Whether `signature`, what follows the key id on a signature line, is this key's over `text`; with
    /// the time that a witness signed, which is 0 for others.
    fn verifies(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_last_chunk()?;
        let signature = Ed25519::from_bytes(signature);
        let verifies = |text: &str| self.key.verify_strict(text.as_bytes(), &signature).is_ok();
        match (self.kind, <[u8; 8]>::try_from(time)) {
            (Kind::Text, Err(_)) if time.is_empty() => verifies(text).then_some(0),
            (Kind::Cosignature, Ok(time)) => {
                let time = u64::from_be_bytes(time);
                let signed = cosigned(text, time).ok().filter(|_| time <= TIME_MAX)?;
                verifies(&signed).then_some(time)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Verifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut marked = [self.kind as u8; 33];
        marked[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+", self.name, u32::from_be_bytes(self.id()))?;
        write_base64(f, &marked)
    }
}

/// Writes the signature line of `key` under `name` over `text`.
pub fn sign(out: &mut impl Write, text: &str, name: &str, key: &SigningKey) -> fmt::Result {
    let signature = key.sign(text.as_bytes()).to_bytes();
    write_signature(out, name, &key.verifying_key(), &signature)
}

/// Writes a signature line that was made before.
pub fn write_signature(
    out: &mut impl Write,
    name: &str,
    key: &VerifyingKey,
    signature: &[u8; 64],
) -> fmt::Result {
    let verifier = Verifier::new(name, *key).map_err(|_| fmt::Error)?;
    let mut bytes = [0; 68];
    bytes[..4].copy_from_slice(&verifier.id());
    bytes[4..].copy_from_slice(signature);
    write_line(out, name, &bytes)
}

/// Writes the signature line of a witness: that it saw `text` at `time`, in seconds since 1970.
/// Fails where the text has more than [`COSIGNED_MAX`] bytes.
pub fn cosign(
    out: &mut impl Write,
    text: &str,
    name: &str,
    key: &SigningKey,
    time: u64,
) -> fmt::Result {
    let verifier = Verifier::witness(name, key.verifying_key()).map_err(|_| fmt::Error)?;
    let signature = key.sign(cosigned(text, time)?.as_bytes()).to_bytes();
    let mut bytes = [0; 76];
    bytes[..4].copy_from_slice(&verifier.id());
    bytes[4..12].copy_from_slice(&time.to_be_bytes());
    bytes[12..].copy_from_slice(&signature);
    write_line(out, name, &bytes)
}

/// What a witness signs.
fn cosigned(
    text: &str,
    time: u64,
) -> Result<String<{ COSIGNED_HEADER + COSIGNED_MAX }>, fmt::Error> {
    let mut signed = String::new();
    write!(signed, "cosignature/v1\ntime {time}\n{text}")?;
    Ok(signed)
}

fn write_line(out: &mut impl Write, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(out, "{DASH}{name} ")?;
    write_base64(out, bytes)?;
    out.write_char('\n')
}

/// A note, read where it lies. Holding one proves that it is well formed, and nothing about who
/// signed it: see [`Note::verify`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note<'a> {
    text: &'a str,
    signatures: &'a str,
}

/// One signature line of a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's id.
    pub id: KeyId,
    /// Key id and signature in base64.
    pub base64: &'a str,
}

/// Why a note is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteError {
    /// It has more than [`NOTE_MAX`] bytes.
    TooLong {
        /// Bytes that it has.
        length: usize,
    },
    /// It is not UTF-8, or has a control character other than a newline.
    Text,
    /// No empty line and signatures follow the text.
    Unsigned,
    /// This line (from 1, among the signatures) is not a signature.
    Line(usize),
    /// There are more than [`SIGNATURES_MAX`] signatures.
    TooMany,
    /// A signature with the name and id of a known key does not verify.
    Invalid,
    /// No known key signed it.
    Unknown,
}

impl<'a> Note<'a> {
    /// Reads a note.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        let length = bytes.len();
        if length > NOTE_MAX {
            return Err(NoteError::TooLong { length });
        }
        if bytes.iter().any(|byte| *byte < b' ' && *byte != b'\n') {
            return Err(NoteError::Text);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        let split = note.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, signatures) = note.split_at(split + 1);
        let signatures = signatures.strip_prefix('\n').ok_or(NoteError::Unsigned)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number > SIGNATURES_MAX {
                return Err(NoteError::TooMany);
            }
            parse_signature(line).ok_or(NoteError::Line(number))?;
        }
        Ok(Self { text, signatures })
    }

    /// The text that was signed, with the newline at its end.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The signatures, in order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'a>> {
        self.signatures.lines().filter_map(parse_signature)
    }

    /// Checks the signatures of the keys in `known`; gives back how many of these keys signed.
    /// Signatures of other keys are ignored; a wrong one of a known key is an error, and so is a
    /// note that no known key signed.
    pub fn verify(&self, known: &[Verifier<'_>]) -> Result<usize, NoteError> {
        let mut signed = 0;
        for verifier in known {
            match self.signed_by(verifier) {
                Ok(_) => signed += 1,
                Err(NoteError::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        if signed > 0 {
            Ok(signed)
        } else {
            Err(NoteError::Unknown)
        }
    }

    /// Checks the signature of one key; gives back the time that a witness says it signed at, in seconds
    /// since 1970, and 0 of another key.
    pub fn signed_by(&self, verifier: &Verifier<'_>) -> Result<u64, NoteError> {
        let id = verifier.id();
        // Of several signatures of one key only the first counts, as in Go's `sumdb/note`.
        let mut theirs = self.signatures().filter(|it| it.id == id);
        let signature = theirs.find(|it| it.name == verifier.name);
        let signature = signature.ok_or(NoteError::Unknown)?;
        // Key id, the time of a witness, the signature, and what decode_slice wants beyond.
        let mut bytes = [0; 78];
        let length = STANDARD
            .decode_slice(signature.base64, &mut bytes)
            .unwrap_or(0);
        let found = bytes.get(4..length).unwrap_or_default();
        let time = verifier.verifies(self.text, found);
        time.ok_or(NoteError::Invalid)
    }
}

fn parse_signature(line: &str) -> Option<Signature<'_>> {
    let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
    if !name_is_sound(name) {
        return None;
    }
    let mut id = None;
    let mut length = 0;
    let mut chunks = base64.as_bytes().chunks(CHUNK).peekable();
    while let Some(chunk) = chunks.next() {
        let mut bytes = [0; CHUNK / 4 * 3];
        let decoded = STANDARD.decode_slice(chunk, &mut bytes).ok()?;
        if chunks.peek().is_some() && decoded != bytes.len() {
            return None;
        }
        length += decoded;
        id = id.or_else(|| bytes.first_chunk().copied());
    }
    // A signature has at least one byte beside the key id.
    if length < 5 {
        return None;
    }
    Some(Signature {
        name,
        id: id?,
        base64,
    })
}

fn name_is_sound(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

fn write_base64(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    let mut buffer = [0; CHUNK];
    let length = STANDARD
        .encode_slice(bytes, &mut buffer)
        .map_err(|_| fmt::Error)?;
    let text = buffer
        .get(..length)
        .and_then(|bytes| str::from_utf8(bytes).ok());
    out.write_str(text.ok_or(fmt::Error)?)
}

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parts => "a verifier key is name+hash+key",
            Self::Name => "a key's name must not be empty, nor have spaces or plus signs",
            Self::Hash => "the verifier key's hash is not that of its name and key",
            Self::Key => "the verifier key is not an Ed25519 key in base64",
        })
    }
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => {
                write!(
                    f,
                    "the note has {length} bytes, and {NOTE_MAX} is the most that is read"
                )
            }
            Self::Text => f.write_str("the note is not UTF-8, or has a control character"),
            Self::Unsigned => {
                f.write_str("the note does not end with an empty line and signature lines")
            }
            Self::Line(number) => write!(f, "the note's signature line {number} is malformed"),
            Self::TooMany => write!(f, "the note has more than {SIGNATURES_MAX} signatures"),
            Self::Invalid => f.write_str("a signature of a known key does not verify"),
            Self::Unknown => f.write_str("no known key signed the note"),
        }
    }
}

impl core::error::Error for VerifierError {}
impl core::error::Error for NoteError {}
