//! Reads what verbs work on: policies, system descriptions, and what is wrong with them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, Report, SourceCode};
use portcullis_policy::{Described, Policy, Problems, Source};
use portcullis_sdf::{System, Target};

use crate::failure::Failure;

/// Name of a system description that is found without being named.
const SYSTEM_NAME: &str = "system.xml";

/// A system description and its text.
#[derive(Debug)]
pub(crate) struct SystemFile {
    pub(crate) system: System,
    pub(crate) source: Arc<Source>,
}

/// Something wrong with a system description.
#[derive(Debug)]
struct SystemProblem {
    error: portcullis_sdf::Error,
    source: Arc<Source>,
}

/// Reads a file as a source.
pub(crate) fn source(path: &Path) -> Result<Arc<Source>, Failure> {
    match Source::read(path) {
        Ok(source) => Ok(Arc::new(source)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Failure::bad_input(
            format!("{} is not UTF-8 text", path.display()),
        )),
        Err(error) => Err(Failure::file("read", path, error)),
    }
}

/// Reads a system description.
pub(crate) fn system(path: &Path) -> Result<SystemFile, Failure> {
    let source = source(path)?;
    match portcullis_sdf::parse(source.text(), &Target::ANY) {
        Ok(system) => Ok(SystemFile { system, source }),
        Err(errors) => {
            let report = |error| {
                let source = Arc::clone(&source);
                Report::new(SystemProblem { error, source })
            };
            Err(Failure::BadInput(errors.into_iter().map(report).collect()))
        }
    }
}

/// Reads the system description at `path`, or else one beside or above the policy, if there is one.
pub(crate) fn system_for(
    policy: &Path,
    path: Option<&Path>,
) -> Result<Option<SystemFile>, Failure> {
    match path.map(Path::to_path_buf).or_else(|| find_system(policy)) {
        Some(path) => system(&path).map(Some),
        None => Ok(None),
    }
}

fn find_system(policy: &Path) -> Option<PathBuf> {
    let folder = policy.parent()?;
    let above = match folder.components().next_back() {
        Some(Component::Normal(_)) => folder.parent()?.to_path_buf(),
        _ => folder.join(".."),
    };
    [folder.to_path_buf(), above]
        .into_iter()
        .map(|folder| folder.join(SYSTEM_NAME))
        .find(|path| path.is_file())
}

/// Reads a policy and checks it, alone or against a system.
pub(crate) fn check(
    path: &Path,
    system: Option<&SystemFile>,
) -> Result<Result<Policy, Problems>, Failure> {
    let source = source(path)?;
    let described = system.map(|file| Described {
        system: &file.system,
        source: &file.source,
    });
    Ok(portcullis_policy::load(source, described))
}

/// Reads a policy that must hold by itself, for verbs that explain it.
pub(crate) fn policy(path: &Path) -> Result<Policy, Failure> {
    check(path, None)?.map_err(Failure::problems)
}

impl std::fmt::Display for SystemProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error.message())
    }
}

impl std::error::Error for SystemProblem {}

impl Diagnostic for SystemProblem {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(self.error.help()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let here = LabeledSpan::new_primary_with_span(Some("here".into()), self.error.span.clone());
        let related = self.error.related.clone();
        let related = related.map(|span| LabeledSpan::new_with_span(Some("and here".into()), span));
        Some(Box::new(std::iter::once(here).chain(related)))
    }
}
