//! The same operations on the model and on a real kernel.
//!
//! A [`Plan`] is a sequence of operations with what the model says comes of each. [`Plan::orders`]
//! is what a machine with a real kernel is told to do, system call by system call, register by
//! register, and [`Plan::compare`] holds what it [reports](Report) against the model. Orders and
//! reports travel as lines of text: [`to_line`] and [`from_line`].
//!
//! What is compared, for each operation: which threads ended a system call, and of each the error,
//! the badge, the label, the length and every word; which faulted, and the address, the phase and
//! the details of the fault. Where a signal ends a receive, the kernel leaves the message info as it
//! was, and that is compared too. At the end the plan looks at what is left: which slots are filled,
//! who has which scheduling context, which threads are bound, who waits at the endpoints. A capability that came along with a message
//! is seen there, in its slot; what the message info says of it is not compared.
//!
//! The model does not schedule. Here the threads that go on, or make their system call again, do so as
//! the kernel has them: those with a scheduling context, the highest priority first, among equals the one that was made ready last
//! (`possibleSwitchTo` puts a thread before its equals).

mod compare;
mod plan;
mod wire;

pub use compare::Mismatch;
pub use plan::{Plan, Step};
pub use wire::{Call, Event, Order, Outcome, Report, Trap, from_line, to_line};
