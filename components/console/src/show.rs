//! What each command shows, from the manager's answers.

use portcullis_kernel::{Refusal, Syscalls};
use portcullis_log::Decoded;
use portcullis_manager_api::{BootIdOrigin, Status};
use portcullis_policy_format::Policy;

use crate::Serial;
use crate::command::{Question, USAGE};
use crate::console::Screen;
use crate::inspect::Source;
use crate::record::{self, Line};
use crate::table::{Named, Padded, Table};
use crate::text::{Counted, Grouped};
use crate::why::{Unknown, Verdict};

/// Columns of a component's name, where the width is not measured.
const NAME: usize = 16;

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

/// Where answers come from, and where they are shown.
#[derive(Debug)]
pub(crate) struct Show<'a, 'p, K, S> {
    pub(crate) kernel: &'a mut K,
    pub(crate) source: &'a Source<'p>,
    pub(crate) screen: &'a mut Screen<S>,
}

impl<K: Syscalls, S: Serial> Show<'_, '_, K, S> {
    /// What stands on the screen first: the policy, and every grant in force.
    pub(crate) fn banner(&mut self) -> Result<(), Refusal> {
        let status = self.source.inspect.status(self.kernel)?;
        self.screen.line(format_args!(
            "Portcullis: policy {}, version {}: {} in force between {}",
            self.source.policy.name(),
            status.version,
            Counted(status.grants.into(), "grant"),
            Counted(status.components.into(), "component"),
        ));
        if status.boot_id != BootIdOrigin::Random {
            let why = status.boot_id;
            self.screen
                .line(format_args!("Portcullis: the id of this boot is {why}"));
        }
        self.screen.line(format_args!(""));
        self.grants(None)?;
        self.screen.line(format_args!(""));
        Ok(())
    }

    /// The table of grants in force, of all or of one component.
    pub(crate) fn grants(&mut self, of: Option<&str>) -> Result<(), Refusal> {
        let mut table = Table::new();
        let mut count = 0;
        self.walk(of, |_, grant| {
            count += 1;
            table.measure(grant);
        })?;
        if count == 0 {
            match of {
                Some(name) => match Unknown::component(&self.source.policy, name) {
                    Err(unknown) => self.screen.line(format_args!("{unknown}")),
                    Ok(_) => self
                        .screen
                        .line(format_args!("no grant in force of or to '{name}'")),
                },
                None => self.screen.line(format_args!("no grant in force")),
            }
            return Ok(());
        }
        let table = table.fit();
        self.screen.line(format_args!("{}", table.titles()));
        self.walk(of, |screen, grant| {
            screen.line(format_args!("{}", table.row(grant)));
            for row in table.more(grant) {
                screen.line(format_args!("{row}"));
            }
        })
    }

    /// Visits the grants in force that a component holds or serves, until ^C is typed.
    fn walk(
        &mut self,
        of: Option<&str>,
        mut visit: impl FnMut(&mut Screen<S>, &Named<'_>),
    ) -> Result<(), Refusal> {
        let mut index = Some(0);
        while let Some(at) = index
            && let Some(view) = self.source.inspect.grant(self.kernel, at)?
            && !self.stopped()
        {
            let named = Named::new(&self.source.policy, view);
            if of.is_none_or(|name| named.subject == name || named.object == name) {
                visit(self.screen, &named);
            }
            index = view.index.checked_add(1);
        }
        Ok(())
    }

    fn stopped(&mut self) -> bool {
        let stopped = self.screen.interrupted();
        if stopped {
            self.screen.line(format_args!("stopped"));
        }
        stopped
    }

    pub(crate) fn components(&mut self) -> Result<(), Refusal> {
        let policy = &self.source.policy;
        self.screen.line(format_args!(
            " #  {}  {}  holds  serves",
            Padded("component", NAME),
            Padded("domain", NAME)
        ));
        for (number, component) in (0..).zip(policy.components()) {
            if self.stopped() {
                break;
            }
            let domain = policy.domains().nth(component.domain.into());
            let counts = self.source.inspect.component(self.kernel, number)?;
            self.screen.line(format_args!(
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
    pub(crate) fn log(&mut self, count: u64) -> Result<(), Refusal> {
        let Status { records, .. } = self.source.inspect.status(self.kernel)?;
        self.screen.line(format_args!("{}", record::TITLES));
        for sequence in records.saturating_sub(count)..records {
            if self.stopped() {
                break;
            }
            match self.source.inspect.record(self.kernel, sequence) {
                Ok(Decoded::Record(record)) => {
                    let line = Line(&record, &self.source.policy);
                    self.screen.line(format_args!("{line}"));
                }
                // The manager is of another version than the console.
                Ok(Decoded::Unknown(_)) => {
                    self.screen
                        .line(format_args!("{sequence:>6}  of an unknown kind"));
                }
                Err(Refusal::Object(_)) => self.screen.line(format_args!(
                    "{sequence:>6}  no longer in the manager's memory: see portcullis log show"
                )),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    pub(crate) fn why(&mut self, question: &Question<'_>) -> Result<(), Refusal> {
        let verdict = Verdict::of(self.kernel, self.source, question)?;
        self.screen.line(format_args!("{verdict}"));
        Ok(())
    }

    pub(crate) fn status(&mut self) -> Result<(), Refusal> {
        let status = self.source.inspect.status(self.kernel)?;
        let (policy, version) = (self.source.policy.name(), status.version);
        for line in [
            format_args!("policy      {policy}, version {version}"),
            format_args!("components  {}", status.components),
            format_args!("grants      {} in force", Grouped(status.grants.into())),
            format_args!(
                "grant log   {} since boot, {} durable",
                Counted(status.records, "record"),
                Grouped(status.durable)
            ),
            format_args!("boot id     {}", status.boot_id),
        ] {
            self.screen.line(line);
        }
        Ok(())
    }
}
