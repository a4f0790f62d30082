//! `portcullis sign`: signs a compiled policy in place.

use std::path::PathBuf;

use clap::Args;
use portcullis_audit::files::{self, Said};
use portcullis_policy::sign;
use portcullis_text::Plain;

use crate::Run;
use crate::compile::{Compiled, replace};
use crate::failure::{Failure, Verdict};
use crate::load::{read_key, unread};
use crate::output::Output;

const EXAMPLE: &str = "\
A signature that is there already is replaced. The policy's version and body stay as they are.

JSON: file, bytes, name, version, sha256, key_id.

Example:
  portcullis sign appliance.policy --signing-key policy.key";

/// Longest compiled policy, in bytes: that of [`MAX_GRANTS`](portcullis_policy_format::MAX_GRANTS) grants
/// has less than half.
const COMPILED_MAX: usize = 8 << 20;

/// Sign a compiled policy
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Sign {
    /// The compiled policy
    file: PathBuf,
    /// The private key to sign with, as `portcullis keygen` writes it
    #[arg(long, value_name = "FILE", alias = "key")]
    signing_key: PathBuf,
}

impl Run for Sign {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let compiled = files::read(&self.file, Said::Named, COMPILED_MAX)
            .map_err(|error| unread(&self.file, error))?;
        let key = read_key(&self.signing_key)?;
        let signed = sign(&compiled, &key).map_err(|error| {
            let file = Plain(self.file.display());
            Failure::bad_input(format!("{file}: {error}"))
        })?;
        replace(&self.file, &signed)?;
        output.print(&Compiled::of(self.file, &signed)?, Compiled::human)?;
        Ok(Verdict::Holds)
    }
}
