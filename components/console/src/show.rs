//! What each command shows, from the manager's answers.

use portcullis_kernel::{Refusal, Syscalls};
use portcullis_manager_api::{Buffer, GrantView, Status, Verdict, Why};

use crate::Serial;
use crate::command::USAGE;
use crate::console::Screen;
use crate::inspect::Inspect;
use crate::record::{self, Line};
use crate::table::{Padded, Table};
use crate::text::{Counted, Grouped};

/// Columns of a component's name, where the width is not measured.
const NAME: usize = 16;

/// What stands on the screen first: the policy, and every grant in force.
pub(crate) fn banner<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    let mut buffer = [0; _];
    let status = inspect.status(kernel, &mut buffer)?;
    screen.line(format_args!(
        "Portcullis: policy {}, version {}: {} in force between {}",
        status.policy,
        status.version,
        Counted(status.grants.into(), "grant"),
        Counted(status.components.into(), "component"),
    ));
    screen.line(format_args!(""));
    grants(kernel, inspect, screen, None)?;
    screen.line(format_args!(""));
    Ok(())
}

/// What stands on the screen while boot grants wait for the log.
pub(crate) fn waiting<S: Serial>(status: &Status<'_>, screen: &mut Screen<S>) {
    screen.line(format_args!(
        "Portcullis: policy {}, version {}, is accepted; nothing else starts until the grant log is \
         on the disk",
        status.policy, status.version,
    ));
}

pub(crate) fn help<S: Serial>(screen: &mut Screen<S>) {
    for (usage, shows) in USAGE {
        screen.line(format_args!("{usage:<25}  {shows}"));
    }
}

/// The table of grants in force, of all or of one component.
pub(crate) fn grants<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
    of: Option<&str>,
) -> Result<(), Refusal> {
    let mut table = Table::new();
    let mut count = 0;
    walk(kernel, inspect, screen, of, |_, grant| {
        count += 1;
        table.measure(grant);
    })?;
    if count == 0 {
        match of {
            Some(name) => screen.line(format_args!("no grant in force of or to '{name}'")),
            None => screen.line(format_args!("no grant in force")),
        }
        return Ok(());
    }
    let table = table.fit();
    screen.line(format_args!("{}", table.titles()));
    walk(kernel, inspect, screen, of, |screen, grant| {
        screen.line(format_args!("{}", table.row(grant)));
        for row in table.more(grant) {
            screen.line(format_args!("{row}"));
        }
    })
}

/// Visits the grants in force that a component holds or serves, until ^C is typed.
fn walk<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
    of: Option<&str>,
    mut visit: impl FnMut(&mut Screen<S>, &GrantView<'_>),
) -> Result<(), Refusal> {
    let mut buffer: Buffer = [0; _];
    let mut index = Some(0);
    while let Some(at) = index
        && let Some(grant) = inspect.grant(kernel, at, &mut buffer)?
    {
        if stopped(screen) {
            break;
        }
        if of.is_none_or(|name| grant.subject == name || grant.object == name) {
            visit(screen, &grant);
        }
        index = grant.index.checked_add(1);
    }
    Ok(())
}

fn stopped<S: Serial>(screen: &mut Screen<S>) -> bool {
    let stopped = screen.interrupted();
    if stopped {
        screen.line(format_args!("stopped"));
    }
    stopped
}

pub(crate) fn components<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    let mut buffer = [0; _];
    screen.line(format_args!(
        " #  {}  {}  holds  serves",
        Padded("component", NAME),
        Padded("domain", NAME)
    ));
    for number in 0..u16::MAX {
        let Some(component) = inspect.component(kernel, number, &mut buffer)? else {
            break;
        };
        if stopped(screen) {
            break;
        }
        screen.line(format_args!(
            "{number:>2}  {}  {}  {:>5}  {:>6}",
            Padded(component.name, NAME),
            Padded(component.domain, NAME),
            component.holds,
            component.serves,
        ));
    }
    Ok(())
}

/// The last records of this boot. Times are in the stored log (`portcullis log show`).
pub(crate) fn log<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
    count: u64,
) -> Result<(), Refusal> {
    let Status { records, .. } = inspect.status(kernel, &mut [0; _])?;
    screen.line(format_args!("{}", record::TITLES));
    for sequence in records.saturating_sub(count)..records {
        if stopped(screen) {
            break;
        }
        match inspect.record(kernel, sequence) {
            Ok(record) => {
                let line = Line::new(kernel, inspect, &record)?;
                screen.line(format_args!("{line}"));
            }
            Err(Refusal::Object(_)) => screen.line(format_args!(
                "{sequence:>6}  no longer in the manager's memory: see portcullis log show"
            )),
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
}

pub(crate) fn why<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
    why: &Why<'_>,
) -> Result<(), Refusal> {
    match inspect.why(kernel, why)? {
        Verdict::Allowed { line } => {
            screen.line(format_args!(
                "allowed: policy line {line}; the grant is in force"
            ));
        }
        Verdict::Unavailable { line } => screen.line(format_args!(
            "unavailable: policy line {line} allows it, but the grant is not in force"
        )),
        Verdict::Forbidden { line } => {
            screen.line(format_args!(
                "forbidden: the rule at policy line {line} says never"
            ));
        }
        Verdict::NotPermitted => {
            screen.line(format_args!("not permitted: no policy line allows it"));
        }
    }
    Ok(())
}

pub(crate) fn status<S: Serial>(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    let mut buffer = [0; _];
    let status = inspect.status(kernel, &mut buffer)?;
    screen.line(format_args!(
        "policy      {}, version {}",
        status.policy, status.version
    ));
    screen.line(format_args!("components  {}", status.components));
    screen.line(format_args!(
        "grants      {} in force",
        Grouped(status.grants.into())
    ));
    screen.line(format_args!(
        "grant log   {} since boot, {} durable",
        Counted(status.records, "record"),
        Grouped(status.durable)
    ));
    Ok(())
}
