//! What each command shows, from the manager's answers.

use portcullis_kernel::{Refusal, Syscalls};
use portcullis_manager_api::Status;
use portcullis_policy_format::Policy;

use crate::Serial;
use crate::command::{Question, USAGE};
use crate::console::Screen;
use crate::inspect::Source;
use crate::record::{self, Line};
use crate::table::{Named, Padded, Table};
use crate::text::{Counted, Grouped};
use crate::why::Verdict;

/// Columns of a component's name, where the width is not measured.
const NAME: usize = 16;

/// What stands on the screen first: the policy, and every grant in force.
pub(crate) fn banner<S: Serial>(
    kernel: &mut impl Syscalls,
    source: &Source<'_>,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    let status = source.inspect.status(kernel)?;
    screen.line(format_args!(
        "Portcullis: policy {}, version {}: {} in force between {}",
        source.policy.name(),
        status.version,
        Counted(status.grants.into(), "grant"),
        Counted(status.components.into(), "component"),
    ));
    screen.line(format_args!(""));
    grants(kernel, source, screen, None)?;
    screen.line(format_args!(""));
    Ok(())
}

/// What stands on the screen while boot grants wait for the log.
pub(crate) fn waiting<S: Serial>(policy: &Policy<'_>, screen: &mut Screen<S>) {
    screen.line(format_args!(
        "Portcullis: policy {}, version {}, is accepted; nothing else starts until the grant log is \
         on the disk",
        policy.name(),
        policy.version(),
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
    source: &Source<'_>,
    screen: &mut Screen<S>,
    of: Option<&str>,
) -> Result<(), Refusal> {
    let mut table = Table::new();
    let mut count = 0;
    walk(kernel, source, screen, of, |_, grant| {
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
    walk(kernel, source, screen, of, |screen, grant| {
        screen.line(format_args!("{}", table.row(grant)));
        for row in table.more(grant) {
            screen.line(format_args!("{row}"));
        }
    })
}

/// Visits the grants in force that a component holds or serves, until ^C is typed.
fn walk<S: Serial>(
    kernel: &mut impl Syscalls,
    source: &Source<'_>,
    screen: &mut Screen<S>,
    of: Option<&str>,
    mut visit: impl FnMut(&mut Screen<S>, &Named<'_>),
) -> Result<(), Refusal> {
    let mut index = Some(0);
    while let Some(at) = index
        && let Some(view) = source.inspect.grant(kernel, at)?
    {
        if stopped(screen) {
            break;
        }
        let named = Named::new(&source.policy, view);
        if of.is_none_or(|name| named.subject == name || named.object == name) {
            visit(screen, &named);
        }
        index = view.index.checked_add(1);
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
    source: &Source<'_>,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    screen.line(format_args!(
        " #  {}  {}  holds  serves",
        Padded("component", NAME),
        Padded("domain", NAME)
    ));
    for (number, component) in (0..).zip(source.policy.components()) {
        if stopped(screen) {
            break;
        }
        let domain = source.policy.domains().nth(component.domain.into());
        let counts = source.inspect.component(kernel, number)?;
        screen.line(format_args!(
            "{number:>2}  {}  {}  {:>5}  {:>6}",
            Padded(component.name, NAME),
            Padded(domain.map_or("", |it| it.name), NAME),
            counts.holds,
            counts.serves,
        ));
    }
    Ok(())
}

/// The last records of this boot. Times are in the stored log (`portcullis log show`).
pub(crate) fn log<S: Serial>(
    kernel: &mut impl Syscalls,
    source: &Source<'_>,
    screen: &mut Screen<S>,
    count: u64,
) -> Result<(), Refusal> {
    let Status { records, .. } = source.inspect.status(kernel)?;
    screen.line(format_args!("{}", record::TITLES));
    for sequence in records.saturating_sub(count)..records {
        if stopped(screen) {
            break;
        }
        match source.inspect.record(kernel, sequence) {
            Ok(record) => screen.line(format_args!("{}", Line(&record, &source.policy))),
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
    source: &Source<'_>,
    screen: &mut Screen<S>,
    question: &Question<'_>,
) -> Result<(), Refusal> {
    let verdict = Verdict::of(kernel, source.inspect, &source.policy, question)?;
    screen.line(format_args!("{verdict}"));
    Ok(())
}

pub(crate) fn status<S: Serial>(
    kernel: &mut impl Syscalls,
    source: &Source<'_>,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    let status = source.inspect.status(kernel)?;
    screen.line(format_args!(
        "policy      {}, version {}",
        source.policy.name(),
        status.version
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
