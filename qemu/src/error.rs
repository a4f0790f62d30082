//! Why there is no image, or why it does not run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::{Board, Config};

/// Why there is no image, or why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No SDK, or none for this board and configuration.
    #[error(
        "no Microkit SDK 2.3.0 for {}, {}: scripts/setup --sdk downloads one; or put one into \
         ~/.local/share/microkit-sdk-2.3.0 or /opt/microkit-sdk-2.3.0, or name it in MICROKIT_SDK",
        .0.name(), .1.name()
    )]
    NoSdk(Board, Config),
    /// The compiler has no `core` for the board.
    #[error(
        "Rust has no core for {0}: rustup target add {0}, or apt-get install rustc-web rust-web-src"
    )]
    NoCore(&'static str),
    /// A program is not there.
    #[error("cannot start {program}: {error}; scripts/setup installs what is missing")]
    Start {
        /// Which.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// A program that builds ended badly.
    #[error("{doing}: {program} ended with {status}, see above")]
    Failed {
        /// What it was to do.
        doing: &'static str,
        /// Which.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The system description does not hold.
    #[error("{}: {errors}", path.display())]
    Description {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        errors: portcullis_sdf::Errors,
    },
    /// The board's RAM cannot be shared with QEMU, or not be read.
    #[error("the board's memory: {0}")]
    Memory(io::Error),
    /// It cannot be made out what the kernel's slots or the log hold.
    #[error("capscan: {0}")]
    Capscan(String),
    /// QEMU ended before what was waited for.
    #[error("QEMU ended before {awaited}{}", said(.last))]
    Ended {
        /// What was waited for.
        awaited: String,
        /// The last line on the serial line.
        last: Option<String>,
    },
    /// Nothing came in time.
    #[error("{seconds} seconds passed without {awaited}{}", said(.last))]
    Silent {
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// What was waited for.
        awaited: String,
        /// The last line on the serial line.
        last: Option<String>,
    },
}

impl Error {
    /// Whether the image ran and did not do what it should, and not that there was none.
    pub fn is_of_the_run(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. } | Self::Silent { .. } | Self::Capscan(_)
        )
    }

    /// For `map_err`: a file that cannot be read or written.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }
}

fn said(line: &Option<String>) -> String {
    match line {
        Some(line) => format!("; its last line was: {line}"),
        None => "; it printed nothing".to_owned(),
    }
}
