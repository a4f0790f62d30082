//! The Microkit SDK on this machine.

use std::env;
use std::path::{Path, PathBuf};

use crate::{Board, Config, Error};

/// The version that everything here is written for.
const FOLDER: &str = "microkit-sdk-2.3.0";

/// One board and configuration of a Microkit SDK 2.3.0.
#[derive(Clone, Debug)]
pub struct Sdk {
    path: PathBuf,
    /// The board.
    pub board: Board,
    /// The configuration.
    pub config: Config,
}

impl Sdk {
    /// Looks for it in `$MICROKIT_SDK`, `~/.local/share` and `/opt`.
    pub fn find(board: Board, config: Config) -> Result<Self, Error> {
        let named = env::var_os("MICROKIT_SDK").map(PathBuf::from);
        let home = env::var_os("HOME").map(|it| Path::new(&it).join(".local/share").join(FOLDER));
        let places = [named, home, Some(Path::new("/opt").join(FOLDER))];
        let sdk = |path| Self {
            path,
            board,
            config,
        };
        let found = places.into_iter().flatten().map(sdk);
        found
            .into_iter()
            .find(|it| it.directory().is_dir())
            .ok_or(Error::NoSdk(board, config))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the board and configuration.
    pub fn directory(&self) -> PathBuf {
        let board = self.path.join("board").join(self.board.name());
        board.join(self.config.name())
    }
}
