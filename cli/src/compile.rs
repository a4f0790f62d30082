//! `portcullis compile`: from a policy to what the manager reads at boot.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_files::Mode;
use portcullis_policy::keys::KeyId;
use portcullis_policy::{compile, sign};
use portcullis_policy_format as format;
use portcullis_text::Plain;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemArguments, read_key};
use crate::options::PolicyArgument;
use crate::output::Output;

const EXAMPLE: &str = "\
The policy is checked first, alone and against the system; one that does not hold is not compiled. \
Without --signing-key the result is unsigned, and no manager takes it until `portcullis sign`.

JSON: file, bytes, name, version, sha256, key_id or null.

Example:
  portcullis compile policy/appliance.toml --system system.xml \\
      --signing-key policy.key -o appliance.policy";

/// Compile a policy for a system, and sign it
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Compile {
    #[command(flatten)]
    policy: PolicyArgument,
    #[command(flatten)]
    system: SystemArguments,
    /// The file to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The private key to sign with, as `portcullis keygen` writes it
    #[arg(long, value_name = "FILE", alias = "key")]
    signing_key: Option<PathBuf>,
}

/// A compiled policy, as JSON shows it.
#[derive(Serialize)]
pub(crate) struct Compiled {
    file: PathBuf,
    bytes: usize,
    name: String,
    version: u32,
    sha256: String,
    key_id: Option<String>,
}

impl Run for Compile {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let board = self.system.board.read()?;
        let system = self.system.of.needed(self.policy.path(), &board)?;
        let mut compiled = compile(&load::checked(self.policy.path(), system)?);
        if let Some(key) = &self.signing_key {
            let key = read_key(key)?;
            compiled = sign(&compiled, &key).map_err(Failure::bad_input)?;
        }
        replace(&self.output, &compiled)?;
        output.print(&Compiled::of(self.output, &compiled)?, Compiled::human)?;
        Ok(Verdict::Holds)
    }
}

impl Compiled {
    /// What the bytes of `file` say.
    pub(crate) fn of(file: PathBuf, bytes: &[u8]) -> Result<Self, Failure> {
        let policy = format::Policy::inspect(bytes).map_err(Failure::bad_input)?;
        let signed = policy.header().key_id != [0; 8];
        Ok(Self {
            file,
            bytes: bytes.len(),
            name: policy.name().to_owned(),
            version: policy.version(),
            sha256: portcullis_policy::keys::hexadecimal(policy.sha256()),
            key_id: signed.then(|| KeyId(policy.header().key_id).to_string()),
        })
    }

    pub(crate) fn human(&self) -> String {
        let key = match &self.key_id {
            Some(id) => format!("signed by key {id}"),
            None => String::from("unsigned"),
        };
        format!(
            "{}: {}, version {}, {} bytes, {key}\nsha256 {}",
            Plain(self.file.display()),
            self.name,
            self.version,
            self.bytes,
            self.sha256
        )
    }
}

/// Puts a file in the place of what was there, so that no reader sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    portcullis_files::replace(path, content, Mode::Public)
        .map_err(|error| Failure::file("write", path, error))
}
