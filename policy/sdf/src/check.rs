//! What must hold between the elements of a description.
//!
//! Runs on a system whose every element was read without fault, so each finding stands for itself.

mod memory;
mod structure;
mod unique;

use crate::{Error, Fault, Span, System, Target};

/// Everything that is wrong with the system as a whole.
pub(crate) fn check(system: &System, target: &Target) -> Vec<Error> {
    let mut found = Findings::default();
    unique::check(system, &mut found);
    memory::check(system, target, &mut found);
    structure::check(system, target, &mut found);
    found.0
}

/// The errors found so far.
#[derive(Default)]
struct Findings(Vec<Error>);

impl Findings {
    fn note(&mut self, span: &Span, fault: Fault) {
        self.0.push(Error {
            span: span.clone(),
            related: None,
            fault,
        });
    }

    /// Notes a clash between two things: the second in the text is the offender.
    fn clash(&mut self, span: &Span, with: &Span, fault: Fault) {
        self.0.push(Error {
            span: span.clone(),
            related: Some(with.clone()),
            fault,
        });
    }
}
