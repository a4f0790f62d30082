//! What must hold between the elements of a description.
//!
//! Runs on a system whose every element was read without fault, so each finding stands for itself.

mod memory;
mod structure;
mod unique;

use crate::{Errors, Fault, Span, System, Target};

/// Everything that is wrong with the system as a whole.
pub(crate) fn check(system: &System, target: &Target) -> Errors {
    let mut found = Findings::default();
    unique::check(system, &mut found);
    memory::check(system, target, &mut found);
    structure::check(system, target, &mut found);
    found.0
}

/// The errors found so far.
#[derive(Default)]
struct Findings(Errors);

impl Findings {
    fn note(&mut self, span: &Span, fault: Fault) {
        self.0.push(span.clone(), None, fault);
    }

    /// Notes a clash between two things: the second in the text is the offender.
    fn clash(&mut self, span: &Span, with: &Span, fault: Fault) {
        self.0.push(span.clone(), Some(with.clone()), fault);
    }
}
