//! What is wrong, as JSON shows it.

use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, Report, SourceCode};
use portcullis_policy::model::Place;
use portcullis_policy::{Problem, Source};
use portcullis_text::Message;
use serde::Serialize;

/// Something wrong with a system description.
#[derive(Debug)]
pub(crate) struct SystemProblem {
    pub(crate) error: portcullis_sdf::Error,
    pub(crate) source: Arc<Source>,
}

/// Something that is wrong; where that is no line of a text, `file`, `line` and `column` are null.
#[derive(Serialize)]
pub(crate) struct Found {
    code: String,
    message: String,
    help: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    labels: Vec<Label>,
}

#[derive(Serialize)]
struct Label {
    line: u32,
    column: u32,
    text: String,
}

impl Found {
    /// What a message says.
    pub(crate) fn of_report(report: &Report) -> Self {
        if let Some(problem) = report.downcast_ref::<Problem>() {
            return Self::of(problem);
        }
        if let Some(problem) = report.downcast_ref::<SystemProblem>() {
            return Self::of_system(problem);
        }
        let text = |part: Option<Box<dyn std::fmt::Display + '_>>| {
            part.map_or_else(String::new, |part| part.to_string())
        };
        Self {
            code: text(report.code()),
            message: report.to_string(),
            help: text(report.help()),
            file: None,
            line: None,
            column: None,
            labels: Vec::new(),
        }
    }

    /// What is wrong with a policy.
    pub(crate) fn of(problem: &Problem) -> Self {
        let source = problem.source();
        let (line, column) = source.line_column(problem.place());
        let label = |(place, text): &(Place, String)| {
            let (line, column) = source.line_column(place);
            let text = Message(text).to_string();
            Label { line, column, text }
        };
        Self {
            code: problem.code_name(),
            message: problem.to_string(),
            help: problem.remedy(),
            file: Some(source.name().to_owned()),
            line: Some(line),
            column: Some(column),
            labels: problem.labels().iter().map(label).collect(),
        }
    }

    fn of_system(problem: &SystemProblem) -> Self {
        let SystemProblem { error, source } = problem;
        let at = |span: &portcullis_sdf::Span| source.line_column(&source.place(span.clone()));
        let (line, column) = at(&error.span);
        let related = error.related.iter().map(|span| {
            let ((line, column), text) = (at(span), "and here".to_owned());
            Label { line, column, text }
        });
        Self {
            code: String::new(),
            message: problem.to_string(),
            help: Message(error.help()).to_string(),
            file: Some(source.name().to_owned()),
            line: Some(line),
            column: Some(column),
            labels: related.collect(),
        }
    }
}

impl std::fmt::Display for SystemProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Message(self.error.message()).fmt(f)
    }
}

impl std::error::Error for SystemProblem {}

impl Diagnostic for SystemProblem {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(Message(self.error.help())))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let shown =
            |span: &portcullis_sdf::Span| self.source.shown(&self.source.place(span.clone()));
        let here = LabeledSpan::new_primary_with_span(Some("here".into()), shown(&self.error.span));
        let related = self.error.related.as_ref().map(shown);
        let related = related.map(|span| LabeledSpan::new_with_span(Some("and here".into()), span));
        Some(Box::new(std::iter::once(here).chain(related)))
    }
}
