//! What the sequences came to, by kind of operation.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_kernel::{Invocation, KernelError, Syscall};
use portcullis_model::invocation::label;
use portcullis_model::testing::Operation;
use portcullis_model::testing::differential::{Plan, Step};
use portcullis_model::{Completion, LookupFault};

/// How often each kind of operation came to what.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Coverage {
    /// Adds the operations of a sequence.
    pub(crate) fn add(&mut self, plan: &Plan) {
        for step in &plan.steps[..plan.random] {
            let own = outcome(step);
            let own_kind = kind(&step.operation);
            self.count_one(own_kind, own);
            let actor = match &step.operation {
                Operation::Syscall(index, ..) => Some(*index),
                _ => None,
            };
            let by_message = matches!(step.operation, Operation::Syscall(..)) && step.donated;
            if by_message {
                self.count_one(DONATED, own_kind.to_owned());
            }
            for (thread, completion) in &step.expected {
                if Some(*thread) != actor {
                    self.count_one(WOKEN, came_to(completion, false));
                }
            }
        }
    }

    /// Fails where a kind of operation or an outcome is too rare for the comparison to mean anything.
    pub(crate) fn require(&self) {
        for kind in KINDS {
            let count = self
                .0
                .get(kind)
                .map_or(0, |outcomes| outcomes.values().sum());
            assert!(count >= 10, "only {count} operations were {kind}");
        }
        for outcome in OUTCOMES {
            let count = self.count(|it| it == outcome);
            assert!(count >= 10, "only {count} operations came to {outcome}");
        }
        for kind in SUCCEED {
            let count = self.0[kind].get("ok").copied().unwrap_or_default();
            assert!(
                count >= 10,
                "only {count} operations were {kind} and succeeded"
            );
        }
        let donations: u64 = self.0[DONATED].values().sum();
        assert!(
            donations >= 200,
            "only {donations} scheduling contexts moved"
        );
        let all = self.count(|_| true);
        let refused = self.count(|it| OUTCOMES[..REFUSALS].contains(&it));
        assert!(
            refused * 2 < all,
            "{refused} of {all} operations were refused"
        );
        let idle = self.count(|it| it == NOT_RUNNING);
        assert!(
            idle * 5 < all,
            "{idle} of {all} operations were of threads that waited"
        );
    }

    fn count_one(&mut self, kind: &'static str, outcome: String) {
        let outcomes = self.0.entry(kind).or_default();
        *outcomes.entry(outcome).or_default() += 1;
    }

    fn count(&self, is_counted: impl Fn(&str) -> bool) -> u64 {
        let is_operation = |kind: &str| kind != WOKEN && kind != DONATED;
        let operations = self.0.iter().filter(|(kind, _)| is_operation(kind));
        let all = operations.flat_map(|(_, outcomes)| outcomes);
        let counted = all.filter(|(outcome, _)| is_counted(outcome));
        counted.map(|(_, count)| count).sum()
    }
}

const NOT_RUNNING: &str = "not running";
/// System calls that another thread's operation ended.
const WOKEN: &str = "(ended by another)";
/// System calls that moved a scheduling context from one thread to another.
const DONATED: &str = "(moved a scheduling context)";

/// What operations come to: first the ways in which the kernel refuses.
const OUTCOMES: [&str; 17] = [
    "InvalidCapability",
    "IllegalOperation",
    "RangeError",
    "FailedLookup",
    "TruncatedMessage",
    "DeleteFirst",
    "fault InvalidRoot",
    "fault MissingCapability",
    "fault DepthMismatch",
    "fault GuardMismatch",
    "ok",
    "sent",
    "message",
    "signal",
    "nothing",
    "waits",
    NOT_RUNNING,
];
const REFUSALS: usize = 10;

/// Every kind of operation.
const KINDS: [&str; 33] = [
    "Call",
    "Send",
    "NBSend",
    "NBSendRecv",
    "NBSendWait",
    "Recv",
    "NBRecv",
    "ReplyRecv",
    "Wait",
    "NBWait",
    "Yield",
    "CNode Copy",
    "CNode Mint",
    "CNode Move",
    "CNode Mutate",
    "CNode Revoke",
    "CNode Delete",
    "CNode CancelBadgedSends",
    "CNode Rotate",
    "TCB SetPriority",
    "TCB SetMCPriority",
    "TCB SetSchedParams",
    "SchedContext Bind",
    "SchedContext UnbindObject",
    "SchedContext Unbind",
    "SchedContext YieldTo",
    "suspend",
    "resume",
    "redirect",
    "lend",
    "destroy",
    WOKEN,
    DONATED,
];

/// What must be done, and not only refused.
const SUCCEED: [&str; 6] = [
    "CNode Rotate",
    "TCB SetPriority",
    "TCB SetMCPriority",
    "SchedContext Bind",
    "SchedContext UnbindObject",
    "SchedContext Unbind",
];

fn kind(operation: &Operation) -> &'static str {
    let call = match operation {
        Operation::Syscall(_, call, _) => call,
        Operation::Suspend(_) => return "suspend",
        Operation::Resume(_) => return "resume",
        Operation::Redirect(_) => return "redirect",
        Operation::Lend(_) => return "lend",
        Operation::Destroy(_) => return "destroy",
        Operation::Restart(_) | Operation::Interrupt(_) => unreachable!("not in a plan"),
    };
    match call {
        Syscall::Call(_, message) => match message.label() {
            label::CNODE_ROTATE => "CNode Rotate",
            label::TCB_SET_PRIORITY => "TCB SetPriority",
            label::TCB_SET_MC_PRIORITY => "TCB SetMCPriority",
            label::TCB_SET_SCHED_PARAMS => "TCB SetSchedParams",
            label::CONTEXT_BIND => "SchedContext Bind",
            label::CONTEXT_UNBIND_OBJECT => "SchedContext UnbindObject",
            label::CONTEXT_UNBIND => "SchedContext Unbind",
            label::CONTEXT_YIELD_TO => "SchedContext YieldTo",
            _ => "Call",
        },
        Syscall::Send(..) => "Send",
        Syscall::NbSend(..) => "NBSend",
        Syscall::NbSendRecv { .. } => "NBSendRecv",
        Syscall::NbSendWait { .. } => "NBSendWait",
        Syscall::Recv { .. } => "Recv",
        Syscall::NbRecv { .. } => "NBRecv",
        Syscall::ReplyRecv { .. } => "ReplyRecv",
        Syscall::Wait(_) => "Wait",
        Syscall::NbWait(_) => "NBWait",
        Syscall::Yield => "Yield",
        Syscall::Invoke(invocation) => match invocation {
            Invocation::Copy { .. } => "CNode Copy",
            Invocation::Mint { .. } => "CNode Mint",
            Invocation::Move { .. } => "CNode Move",
            Invocation::Mutate { .. } => "CNode Mutate",
            Invocation::Revoke(_) => "CNode Revoke",
            Invocation::Delete(_) => "CNode Delete",
            Invocation::CancelBadgedSends(_) => "CNode CancelBadgedSends",
        },
    }
}

/// What came of the operation for the thread that did it.
fn outcome(step: &Step) -> String {
    let Operation::Syscall(index, call, _) = &step.operation else {
        return "done".to_owned();
    };
    if !step.began {
        return NOT_RUNNING.to_owned();
    }
    let own = step.expected.iter().find(|(thread, _)| thread == index);
    let Some((_, completion)) = own else {
        return "waits".to_owned();
    };
    came_to(
        completion,
        matches!(call, Syscall::Call(..) | Syscall::Invoke(_)),
    )
}

/// What a system call came to. `is_of_kernel` says whether it is a call, which the kernel answered.
fn came_to(completion: &Completion, is_of_kernel: bool) -> String {
    match completion {
        Completion::Done => "sent".to_owned(),
        Completion::Message { message, .. } if is_of_kernel => {
            match KernelError::from_code(message.label()) {
                Some(error) => format!("{error:?}"),
                None => "ok".to_owned(),
            }
        }
        Completion::Message { message, .. } if message.label() == 0 => "signal".to_owned(),
        Completion::Message { .. } => "message".to_owned(),
        Completion::Nothing => "nothing".to_owned(),
        Completion::Fault(fault) => match fault.lookup {
            LookupFault::InvalidRoot => "fault InvalidRoot",
            LookupFault::MissingCapability { .. } => "fault MissingCapability",
            LookupFault::DepthMismatch { .. } => "fault DepthMismatch",
            LookupFault::GuardMismatch { .. } => "fault GuardMismatch",
        }
        .to_owned(),
        Completion::Invoked(_) | Completion::Restarted | Completion::Unmodelled { .. } => {
            unreachable!("not in a plan")
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.count(|_| true);
        writeln!(
            f,
            "{all:8} operations, and what they came to for their threads:"
        )?;
        for (kind, outcomes) in &self.0 {
            let all: u64 = outcomes.values().sum();
            write!(f, "{all:8} {kind:24}")?;
            let mut outcomes: Vec<_> = outcomes.iter().collect();
            outcomes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (outcome, count) in outcomes {
                write!(f, " {outcome} {count},")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
