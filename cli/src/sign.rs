//! `portcullis sign`: signs a compiled policy in place.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use ed25519_dalek::SigningKey;
use portcullis_policy::{keys, sign};

use portcullis_text::Plain;

use crate::Run;
use crate::compile::Compiled;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::output::Output;

const EXAMPLE: &str = "\
A signature that is there already is replaced. The policy's version and body stay as they are.

JSON: file, bytes, name, version, sha256, key_id.

Example:
  portcullis sign appliance.policy --signing-key policy.key";

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
        let compiled =
            std::fs::read(&self.file).map_err(|error| Failure::file("read", &self.file, error))?;
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

/// Reads a private key.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let source = load::source(path)?;
    keys::read_private(source.text())
        .map_err(|error| Failure::bad_input(format!("{}: {error}", Plain(path.display()))))
}

/// Writes a file beside its place and moves it there, so that no reader sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        use std::os::unix::fs::PermissionsExt;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| Failure::file("write", path, error))
}
