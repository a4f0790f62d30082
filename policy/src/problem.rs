//! What is wrong with a policy, where, and what to do about it.
//!
//! Every check has an enum of its own faults, with their messages, codes and help. A [`Problem`] is
//! such a fault with its places in a source. Messages are read by people; programs read the code.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, SourceCode};
use portcullis_text::Message;

use crate::model::Place;
use crate::source::Source;

/// Something wrong with a policy, or between a policy and a system description.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    fault: Box<dyn Diagnostic + Send + Sync>,
    source: Arc<Source>,
    /// The first one is what the problem is about.
    labels: Vec<(Place, String)>,
}

/// What a problem is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The policy cannot be understood: syntax, fields, names that do not resolve.
    Unreadable,
    /// The policy can be understood, and something that it must keep does not hold.
    Broken,
}

/// What is wrong: at least one problem, in the order of the source, and at most [`MAX_PROBLEMS`].
#[derive(Debug)]
pub struct Problems(Found);

/// Problems that are kept: nobody reads more, and each takes memory.
pub const MAX_PROBLEMS: usize = 1_000;

/// Problems as they are found: no more than [`MAX_PROBLEMS`] are kept, the rest is counted.
#[derive(Default, Debug)]
pub struct Found {
    kept: Vec<Problem>,
    more: usize,
}

impl Found {
    /// Adds a problem, or counts it where there are too many.
    pub fn push(&mut self, problem: Problem) {
        if self.kept.len() < MAX_PROBLEMS {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Whether no more are kept: what is found now is only counted.
    pub fn is_full(&self) -> bool {
        self.kept.len() == MAX_PROBLEMS
    }

    /// Counts problems that were found and not made: there were too many before.
    pub fn count_more(&mut self, more: usize) {
        self.more += more;
    }

    /// How many were found.
    pub fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds those that another check found.
    pub fn append(&mut self, other: Self) {
        self.extend(other.kept);
        self.more += other.more;
    }
}

impl From<Vec<Problem>> for Found {
    fn from(problems: Vec<Problem>) -> Self {
        let mut found = Self::default();
        found.extend(problems);
        found
    }
}

impl From<Found> for Vec<Problem> {
    /// Those that are kept.
    fn from(found: Found) -> Self {
        found.kept
    }
}

impl Extend<Problem> for Found {
    fn extend<T: IntoIterator<Item = Problem>>(&mut self, problems: T) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

impl Problem {
    /// A fault that makes the policy unreadable, at `place`, which `label` explains.
    pub fn unreadable(
        source: &Arc<Source>,
        place: &Place,
        label: impl Into<String>,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) -> Self {
        Self::new(Kind::Unreadable, source, place, label, fault)
    }

    /// A fault of a policy that can be understood, at `place`, which `label` explains.
    pub fn broken(
        source: &Arc<Source>,
        place: &Place,
        label: impl Into<String>,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) -> Self {
        Self::new(Kind::Broken, source, place, label, fault)
    }

    fn new(
        kind: Kind,
        source: &Arc<Source>,
        place: &Place,
        label: impl Into<String>,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            fault: Box::new(fault),
            source: Arc::clone(source),
            labels: vec![(place.clone(), label.into())],
        }
    }

    /// The problem with one more place of the same source. A place that has a label already gets
    /// this one beside it.
    #[must_use]
    pub fn also(mut self, place: &Place, label: impl Into<String>) -> Self {
        let label = label.into();
        match self.labels.iter_mut().find(|(other, _)| other == place) {
            Some((_, text)) => *text = format!("{text}; {label}"),
            None => self.labels.push((place.clone(), label)),
        }
        self
    }

    /// What it is about.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The source that it is in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.labels[0].0
    }

    /// Every place with what it has to do with the problem.
    pub fn labels(&self) -> &[(Place, String)] {
        &self.labels
    }

    /// The fault's name for programs, such as `policy::unknown_field`.
    pub fn code_name(&self) -> String {
        self.fault
            .code()
            .map_or_else(String::new, |code| code.to_string())
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        self.fault
            .help()
            .map_or_else(String::new, |help| Message(help).to_string())
    }
}

impl Problems {
    /// The problems in the order of their sources; `None` where there is none.
    pub fn from_found(problems: impl Into<Found>) -> Option<Self> {
        let mut problems = problems.into();
        // In the order in which the sources were found: the policy's before the system description's.
        let mut sources: Vec<*const Source> = Vec::new();
        problems.kept.sort_by_cached_key(|problem| {
            let source = Arc::as_ptr(&problem.source);
            let rank = sources.iter().position(|own| *own == source);
            let rank = rank.unwrap_or_else(|| {
                sources.push(source);
                sources.len() - 1
            });
            let span = &problem.place().span;
            (rank, span.start, span.end)
        });
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.kept.iter()
    }

    /// How many there are, with those that are not kept.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Whether the policy cannot even be understood.
    pub fn is_unreadable(&self) -> bool {
        self.iter().any(|problem| problem.kind == Kind::Unreadable)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.kept.into_iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Message(&self.fault).fmt(f)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fault.code()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.fault.help()?;
        Some(Box::new(Message(help)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self
            .labels
            .iter()
            .enumerate()
            .map(|(number, (place, text))| {
                let span = self.source.shown(place);
                let text = Message(text).to_string();
                if number == 0 {
                    LabeledSpan::new_primary_with_span(Some(text), span)
                } else {
                    LabeledSpan::new_with_span(Some(text), span)
                }
            });
        Some(Box::new(labels))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.iter().enumerate() {
            let (line, column) = problem.source.line_column(problem.place());
            let newline = if number == 0 { "" } else { "\n" };
            let name = problem.source.name();
            write!(f, "{newline}{name}:{line}:{column}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::LogFault;

    fn problem(source: &Arc<Source>, at: usize) -> Problem {
        let file = String::new();
        let place = source.place(at..at + 1);
        Problem::broken(source, &place, "", LogFault::NoRing { file, needed: at })
    }

    /// As many as make a sort look at its comparisons again, from two sources by turns.
    #[test]
    fn problems_of_two_sources_are_sorted_by_source_and_place() {
        let text = " ".repeat(50);
        let [policy, system] =
            ["policy", "system"].map(|name| Arc::new(Source::new(name, text.as_str())));
        let of = |number: usize| [&policy, &system][number % 2];
        let found = (0..40).map(|number| problem(of(number), number * 7 % 40));
        let problems = Problems::from_found(found.collect::<Vec<_>>()).unwrap();
        let sorted = problems
            .iter()
            .map(|it| (it.source().name(), it.place().span.start));
        let numbers = |parity| (0..40).filter(move |it| it % 2 == parity);
        let expected = numbers(0).map(|it| ("policy", it));
        let expected = expected.chain(numbers(1).map(|it| ("system", it)));
        assert_eq!(sorted.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
