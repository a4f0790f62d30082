//! Reads what verbs work on: policies, system descriptions, and what is wrong with them.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ed25519_dalek::SigningKey;
use portcullis_audit::files::{self, FileError, Said};
use portcullis_files::Refused;
use portcullis_policy::keys::{self, KeyError, KeyFileError, PRIVATE_HEADER};
use portcullis_policy::sdk::{self, SdkError};
use portcullis_policy::source::MAX_FILE;
use portcullis_policy::{Checked, Described, Policy, Problems, Source};
use portcullis_sdf::{Board, System};
use portcullis_text::Plain;

use crate::failure::{Failure, bounded, say};
use crate::problem::SystemProblem;

/// Name of a system description that is found without being named.
const SYSTEM_NAME: &str = "system.xml";
/// Extension of one, as Microkit's examples have it.
const SYSTEM_EXTENSION: &str = "system";

/// A system description and its text.
#[derive(Debug)]
pub(crate) struct SystemFile {
    pub(crate) system: System,
    pub(crate) source: Arc<Source>,
}

impl SystemFile {
    /// The description, for the checks.
    pub(crate) fn described(&self) -> Described<'_> {
        Described::new(&self.system, &self.source)
    }
}

/// Reads a file as a source.
pub(crate) fn source(path: &Path) -> Result<Arc<Source>, Failure> {
    match Source::read(path) {
        Ok(source) => Ok(Arc::new(source)),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            let path = Plain(path.display());
            Err(Failure::bad_input(format!(
                "{path} has more than {MAX_FILE} bytes: no policy or description that holds is as large"
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Failure::bad_input(
            format!("{} is not UTF-8 text", Plain(path.display())),
        )),
        Err(error) => Err(Failure::file("read", path, error)),
    }
}

/// The board that a system description is for, and where its files are.
#[derive(Args)]
pub(crate) struct BoardArguments {
    /// The Microkit SDK with which the image is built
    #[arg(long, value_name = "DIR", requires = "board")]
    sdk: Option<PathBuf>,
    /// The board, as the SDK names it
    #[arg(long, value_name = "NAME", requires = "sdk")]
    board: Option<String>,
    /// The SDK's configuration of the board
    #[arg(long, value_name = "NAME", requires = "sdk", default_value = "release")]
    config: String,
    /// A folder in which each `prefill_path` is looked for; can be repeated
    #[arg(long, value_name = "DIR")]
    search_path: Vec<PathBuf>,
}

impl BoardArguments {
    /// The board and its configuration, where they were named.
    pub(crate) fn name(&self) -> Option<String> {
        let board = self.board.as_ref()?;
        Some(format!("{board}, {}", self.config))
    }

    /// What is known of the board.
    pub(crate) fn read(&self) -> Result<Board, Failure> {
        let board = match (&self.sdk, &self.board) {
            (Some(sdk), Some(board)) => sdk::board(sdk, board, &self.config)?,
            _ => Board::default(),
        };
        for path in &self.search_path {
            fs::read_dir(path).map_err(|error| Failure::file("look for files in", path, error))?;
        }
        let paths = (!self.search_path.is_empty()).then(|| self.search_path.clone());
        Ok(Board {
            search_paths: paths,
            ..board
        })
    }
}

/// The system description that a policy is held against.
#[derive(Args)]
pub(crate) struct SystemOption {
    /// The system description. Without it, the one `system.xml` or `*.system` beside the policy is taken,
    /// or else that of the folder above, with a note
    #[arg(long, value_name = "FILE")]
    pub(crate) system: Option<PathBuf>,
}

/// The same, and its board.
#[derive(Args)]
pub(crate) struct SystemArguments {
    #[command(flatten)]
    pub(crate) of: SystemOption,
    #[command(flatten)]
    pub(crate) board: BoardArguments,
}

impl SystemOption {
    /// Where the description of a policy's system is: the one that is named, or else found.
    pub(crate) fn discover(&self, policy: &Path) -> Result<Discovered, Failure> {
        let path = self.system.clone();
        match path.is_some() {
            true => Ok(Discovered { path, note: None }),
            false => discover(policy),
        }
    }

    /// The description, read for this board, for a verb that needs one.
    pub(crate) fn needed(&self, policy: &Path, board: &Board) -> Result<SystemFile, Failure> {
        let Discovered { path, note } = self.discover(policy)?;
        let Some(path) = path else {
            return Err(Failure::bad_input(note.unwrap_or_default()));
        };
        say_note(note.as_deref());
        system_on(&path, board)
    }
}

impl SystemArguments {
    /// The description, if there is one, and what is to be said of how it was found.
    pub(crate) fn find(
        &self,
        policy: &Path,
    ) -> Result<(Option<SystemFile>, Option<String>), Failure> {
        let Discovered { path, note } = self.of.discover(policy)?;
        let board = self.board.read()?;
        let system = path.map(|path| system_on(&path, &board)).transpose()?;
        Ok((system, note))
    }

    /// The same, where the output has no place for that.
    pub(crate) fn found(&self, policy: &Path) -> Result<Option<SystemFile>, Failure> {
        let (system, note) = self.find(policy)?;
        say_note(note.as_deref());
        Ok(system)
    }
}

fn say_note(note: Option<&str>) {
    if let Some(note) = note {
        say(format_args!("note: {note}"));
    }
}

impl From<SdkError> for Failure {
    fn from(error: SdkError) -> Self {
        match error {
            SdkError::Unreadable { .. } => Self::could_not_run(error),
            _ => Self::bad_input(error),
        }
    }
}

/// Reads a system description for this board.
fn system_on(path: &Path, board: &Board) -> Result<SystemFile, Failure> {
    let source = source(path)?;
    match board.parse(source.text()) {
        Ok(system) => Ok(SystemFile { system, source }),
        Err(errors) => {
            let count = errors.iter().count() + errors.more();
            let problem = |error| {
                let source = Arc::clone(&source);
                SystemProblem { error, source }
            };
            let problems = errors.into_iter().map(problem);
            Err(Failure::BadInput(bounded(problems, count)))
        }
    }
}

/// The system description that belongs to a policy, and what to say of how it was found.
pub(crate) struct Discovered {
    pub(crate) path: Option<PathBuf>,
    pub(crate) note: Option<String>,
}

/// Finds the system description that lies beside a policy, or else in the folder above it. Several
/// beside it are an error: any choice would be a guess.
fn discover(policy: &Path) -> Result<Discovered, Failure> {
    let folder = policy.parent().unwrap_or(Path::new(""));
    let mut beside = descriptions(folder).map_err(|error| {
        Failure::could_not_run(format_args!(
            "cannot look for a system description beside {}: {error}; name it with --system",
            Plain(policy.display())
        ))
    })?;
    if beside.len() > 1 {
        let message = format!(
            "several system descriptions lie beside {}: {}; name one with --system",
            Plain(policy.display()),
            list(&beside)
        );
        return Err(Failure::bad_input(message));
    }
    if let Some(path) = beside.pop() {
        let (path, note) = (Some(path), None);
        return Ok(Discovered { path, note });
    }
    let above = match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent().unwrap_or(Path::new("")).to_path_buf(),
        _ => folder.join(".."),
    };
    let mut above = match descriptions(&above) {
        Ok(above) => above,
        Err(error) => {
            let note = Some(format!("{ALONE}; the folder above cannot be read: {error}"));
            return Ok(Discovered { path: None, note });
        }
    };
    let note = match above.as_slice() {
        [] => ALONE.to_owned(),
        [path] => format!(
            "no system description lies beside the policy: {}, of the folder above, was taken; \
             name it with --system if it is the right one",
            Plain(path.display())
        ),
        several => format!("{ALONE}; in the folder above lie {}", list(several)),
    };
    let path = above.pop().filter(|_| above.is_empty());
    let note = Some(note);
    Ok(Discovered { path, note })
}

/// What is said where no system description is named or found.
const ALONE: &str = "no system description lies beside the policy: the policy was checked alone, and \
                     no system was; name one with --system";

/// The system descriptions of a folder, by name; none where there is no such folder.
fn descriptions(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match folder {
        path if path.as_os_str().is_empty() => Path::new("."),
        path => path,
    };
    let entries = match fs::read_dir(listed) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(folder.join(entry?.file_name())));
    let mut found = paths.collect::<io::Result<Vec<_>>>()?;
    found.retain(|path| is_description(path));
    found.sort_unstable();
    Ok(found)
}

fn is_description(path: &Path) -> bool {
    let named = path.ends_with(SYSTEM_NAME) || path.extension() == Some(SYSTEM_EXTENSION.as_ref());
    named && path.is_file()
}

fn list(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| Plain(path.display()).to_string());
    paths.collect::<Vec<_>>().join(", ")
}

/// Reads a policy and checks it, alone or against a system.
pub(crate) fn check(
    path: &Path,
    system: Option<&SystemFile>,
) -> Result<Result<Policy, Problems>, Failure> {
    let source = source(path)?;
    let described = system.map(SystemFile::described);
    Ok(portcullis_policy::load(source, described))
}

/// Reads a policy and checks it against its system: what may be compiled, signed and run.
pub(crate) fn checked(path: &Path, system: SystemFile) -> Result<Checked, Failure> {
    let checked = Checked::new(source(path)?, system.system, system.source);
    checked.map_err(Failure::problems)
}

/// Reads a policy that must hold, by itself or against a system, for verbs that explain it.
pub(crate) fn policy(path: &Path, system: Option<&SystemFile>) -> Result<Policy, Failure> {
    check(path, system)?.map_err(Failure::bad_policy)
}

/// Reads a text that somebody named.
pub(crate) fn read_text(path: &Path, most: usize) -> Result<String, Failure> {
    files::read_text(path, Said::Named, most).map_err(|error| unread(path, error))
}

/// A file that cannot be read, or is none that may be.
pub(crate) fn unread(path: &Path, error: FileError) -> Failure {
    match error {
        FileError::Io(error) => Failure::file("read", path, error),
        error => Failure::bad_input(format!("{}: {error}", Plain(path.display()))),
    }
}

/// Whether there is anything under this name.
pub(crate) fn is_there(path: &Path) -> Result<bool, Failure> {
    portcullis_files::is_there(path).map_err(|error| Failure::file("look at", path, error))
}

/// A file beside another: its name with this behind.
pub(crate) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(extension);
    PathBuf::from(path)
}

/// Reads a private key. What is open to others and none is not to be closed.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    keys::read_private(path).map_err(|error| match error {
        KeyFileError::File(Refused::Open { .. }) if !is_private_key(path) => {
            let (path, error) = (path.to_owned(), KeyError::Header);
            Failure::bad_input(KeyFileError::Key { path, error })
        }
        KeyFileError::File(_) => Failure::could_not_run(error),
        KeyFileError::Key { .. } => Failure::bad_input(error),
    })
}

/// Whether a file begins as that of a private key does.
fn is_private_key(path: &Path) -> bool {
    let mut begin = [0; PRIVATE_HEADER.len()];
    let file = files::open(path, Said::Named);
    let read = file.is_ok_and(|mut file| file.read_exact(&mut begin).is_ok());
    read && begin == PRIVATE_HEADER.as_bytes()
}
