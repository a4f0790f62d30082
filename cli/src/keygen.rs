//! `portcullis keygen`: makes the key pair that policies are signed with.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_policy::keys::{self, KeyId};
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// Readable and writable by its owner alone.
const PRIVATE: u32 = 0o600;
/// Readable by everybody.
const PUBLIC: u32 = 0o644;

const EXAMPLE: &str = "\
Files:
  FILE      the private key, mode 0600: one header line, then the 32-byte seed of
            RFC 8032 as 64 hexadecimal digits
  FILE.pub  the public key: its 32 bytes and nothing else, as the manager's
            region `policy_keys` holds them; to trust several keys, concatenate

Example:
  portcullis keygen policy.key";

/// Make a key pair for signing policies; never overwrites a file
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Keygen {
    /// Where the private key goes; the public key goes to FILE.pub
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Made {
    private: PathBuf,
    public: PathBuf,
    key_id: String,
    public_key: String,
}

impl Run for Keygen {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let mut public = self.file.clone().into_os_string();
        public.push(".pub");
        let public = PathBuf::from(public);
        if public.exists() {
            return Err(exists(&public));
        }
        let key = keys::generate().map_err(Failure::could_not_run)?;
        create(&self.file, PRIVATE, keys::write_private(&key).as_bytes())?;
        create(&public, PUBLIC, key.verifying_key().as_bytes())?;
        let made = Made {
            private: self.file,
            public,
            key_id: KeyId::of(&key.verifying_key()).to_string(),
            public_key: keys::hexadecimal(key.verifying_key().as_bytes()),
        };
        output.print(&made, |made| {
            format!(
                "private key  {}\npublic key   {}\nkey id       {}",
                made.private.display(),
                made.public.display(),
                made.key_id
            )
        })?;
        Ok(Verdict::Holds)
    }
}

/// Creates a file that must not exist yet.
fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::file("write", path, error),
    })
}

fn exists(path: &Path) -> Failure {
    Failure::bad_input(format!(
        "{} exists, and a key is never overwritten: name another file, or move it away",
        path.display()
    ))
}
