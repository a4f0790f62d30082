//! Files that are whole for whoever opens them, also while they are made anew.
//!
//! Tests that run side by side build the same image, and QEMU may load it meanwhile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, process};

use microkit_tool::loader::Loader;
use microkit_tool::sel4::Arch;
use miette::{IntoDiagnostic, Result, WrapErr};
use serde::Serialize;

/// Writes the image that the loader boots.
pub fn image(loader: &Loader, arch: Arch, path: &Path) -> Result<()> {
    replace(path, |new| {
        match arch {
            Arch::Riscv64 => loader.write_uimage(new),
            _ => loader.write_image(new),
        }
        Ok(())
    })
}

/// Writes facts as JSON.
pub fn json(facts: &impl Serialize, path: &Path) -> Result<()> {
    let json = serde_json::to_vec_pretty(facts).into_diagnostic()?;
    replace(path, |new| fs::write(new, &json).into_diagnostic())
}

/// Has `write` make a file of this process alone, and puts that in its place.
fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name: OsString = path.into();
    name.push(format!(".{}.new", process::id()));
    let new = PathBuf::from(name);
    write(&new)
        .and_then(|()| fs::rename(&new, path).into_diagnostic())
        .wrap_err_with(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn who_opens_it_meanwhile_finds_the_old_file() {
        let folder = env::temp_dir().join(format!("portcullis-output-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("loader.img");
        fs::write(&path, "old").unwrap();
        let written = replace(&path, |new| {
            fs::write(new, "ne").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"old");
            fs::write(new, "new").into_diagnostic()
        });
        written.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
