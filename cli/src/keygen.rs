//! `portcullis keygen`: makes the key pair that policies are signed with.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_files::Mode;
use portcullis_log::note::Verifier;
use portcullis_policy::keys::{self, KeyId};
use portcullis_text::{CodePoints, Plain, misleads};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{beside, is_there};
use crate::output::Output;

const EXAMPLE: &str = "\
Files:
  FILE      the private key, mode 0600: one header line, then the 32-byte seed of \
            RFC 8032 as 64 hexadecimal digits
  FILE.pub  the public key: its 32 bytes and nothing else, as the manager's \
            region `policy_keys` holds them; to trust several keys, concatenate

  FILE.vkey with --name: the verifier key (name+hash+key, C2SP signed-note)

Examples:
  portcullis keygen policy.key
  portcullis keygen witness.key --name example.com/w1";

/// Make a key pair for signing policies; never overwrites a file
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Keygen {
    /// Where the private key goes; the public key goes to FILE.pub
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name that a witness signs under (`portcullis log witness`)
    #[arg(long, value_name = "NAME", alias = "witness")]
    name: Option<String>,
}

#[derive(Serialize)]
struct Made {
    private: PathBuf,
    public: PathBuf,
    key_id: String,
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verifier_key: Option<String>,
}

impl Run for Keygen {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        if let Some(name) = &self.name {
            is_legible(name)?;
        }
        let [public, verifier] = [".pub", ".vkey"].map(|it| beside(&self.file, it));
        // All of them before anything is written: a private key alone is no pair.
        let named = self.name.as_ref().map(|_| &verifier);
        for path in [Some(&self.file), Some(&public), named]
            .into_iter()
            .flatten()
        {
            if is_there(path)? {
                return Err(exists(path));
            }
        }
        let key = keys::generate().map_err(Failure::could_not_run)?;
        let verifier_key = match &self.name {
            Some(name) => {
                Some(Verifier::witness(name, key.verifying_key()).map_err(Failure::bad_input)?)
            }
            None => None,
        };
        let verifier_key = verifier_key.map(|it| it.to_string());
        create(
            &self.file,
            Mode::Private,
            keys::write_private(&key).as_bytes(),
        )?;
        create(&public, Mode::Public, key.verifying_key().as_bytes())?;
        if let Some(key) = &verifier_key {
            create(&verifier, Mode::Public, format!("{key}\n").as_bytes())?;
        }
        let made = Made {
            private: self.file,
            public,
            key_id: KeyId::of(&key.verifying_key()).to_string(),
            public_key: keys::hexadecimal(key.verifying_key().as_bytes()),
            verifier_key,
        };
        output.print(&made, |made| {
            let mut text = format!(
                "private key  {}\npublic key   {}\nkey id       {}",
                Plain(made.private.display()),
                Plain(made.public.display()),
                made.key_id
            );
            if let Some(key) = &made.verifier_key {
                text.push_str(&format!(
                    "\nverifier key {}\n             {key}",
                    Plain(verifier.display())
                ));
            }
            text
        })?;
        Ok(Verdict::Holds)
    }
}

/// A name that everybody sees who reads what it signed.
fn is_legible(name: &str) -> Result<(), Failure> {
    let Some(c) = name.chars().find(|c| misleads(*c)) else {
        return Ok(());
    };
    Err(Failure::bad_input(format_args!(
        "--name {}: {} hides or reorders text: leave it out",
        Plain(name),
        CodePoints(c.encode_utf8(&mut [0; 4]))
    )))
}

/// Creates a file that must not exist yet.
fn create(path: &Path, mode: Mode, content: &[u8]) -> Result<(), Failure> {
    portcullis_files::create(path, content, mode).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::file("write", path, error),
    })
}

fn exists(path: &Path) -> Failure {
    Failure::bad_input(format!(
        "{} exists, and a key is never overwritten: name another file, or move it away",
        Plain(path.display())
    ))
}
