//! `portcullis ceiling`: the most that each component, guest and device can ever hold.

use clap::Args;
use portcullis_policy::ceiling::{Held, Holdings};
use portcullis_policy::diff::issued;
use portcullis_policy::model::{DomainId, Subject};
use portcullis_policy::relation::Holding;
use portcullis_policy::{Ceiling, Policy, Relation, text};
use portcullis_policy_format::When;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemArguments};
use crate::options::PolicyArgument;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
The slot is that of the component's grants CNode, whose slot s has CPtr (1 << 58) | s; the radix is \
the bits of that CNode. Guests and devices hold no grants and have none; --component takes their names \
too. Beside its grants stands what system.xml may give, what streams map, and of whom the manager's \
interface `inspect` or the grant log tells denials and faults, and what the manager reads of others.

The policy must hold, against its system description where there is one.

JSON: an array of {component, subject (component, guest or device), domain, boot, request, delegated, \
radix or null, grants [{slot, object, interface, methods, mode, when, lease, line}], static [{authority, \
kind, perms, line}]}; perms are those of a mapping, and the rights on a channel.

Example:
  portcullis ceiling policy/appliance.toml --component ingest";

/// Show the most that each component, guest and device can ever hold
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ShowCeiling {
    #[command(flatten)]
    policy: PolicyArgument,
    #[command(flatten)]
    system: SystemArguments,
    /// Only this component
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
}

#[derive(Serialize)]
struct Row {
    component: String,
    subject: &'static str,
    domain: String,
    boot: usize,
    request: usize,
    delegated: usize,
    radix: Option<u8>,
    grants: Vec<GrantRow>,
    r#static: Vec<StaticRow>,
}

#[derive(Serialize)]
struct GrantRow {
    slot: u32,
    object: String,
    interface: String,
    methods: Vec<String>,
    mode: &'static str,
    when: String,
    lease: Option<String>,
    line: u32,
}

#[derive(Serialize)]
struct StaticRow {
    authority: String,
    kind: &'static str,
    perms: Option<String>,
    line: Option<u32>,
}

impl Run for ShowCeiling {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let system = self.system.found(self.policy.path())?;
        let policy = load::policy(self.policy.path(), system.as_ref())?;
        let (ceiling, relation) = (Ceiling::of(&policy), Relation::declared(&policy));
        let asked = |name: &str| self.component.as_ref().is_none_or(|asked| asked == name);
        let rows: Vec<Row> = policy
            .subjects()
            .filter(|(subject, _)| asked(subject.name()))
            .map(|(subject, domain)| row(&policy, &ceiling, &relation, subject, domain))
            .collect();
        if let (Some(name), []) = (&self.component, rows.as_slice()) {
            let names = policy.subjects().map(|(subject, _)| subject.name());
            let help = text::suggestion(name, names, || "`portcullis ceiling` lists all".into());
            let message = format!("the policy has no component `{name}`; {help}");
            return Err(Failure::bad_input(message));
        }
        output.print(&rows, |rows| match self.component {
            Some(_) => rows.iter().map(one).collect(),
            None => summary(rows),
        })?;
        Ok(Verdict::Holds)
    }
}

fn row(
    policy: &Policy,
    ceiling: &Ceiling,
    relation: &Relation<'_>,
    subject: Subject<'_>,
    domain: DomainId,
) -> Row {
    let id = match subject {
        Subject::Component(name) => policy.component_named(name),
        Subject::Guest(_) | Subject::Device(_) => None,
    };
    let holdings = id.map(|id| ceiling.holdings(id));
    let count = |issued: fn(When) -> bool| holdings.map_or(0, |held| held.count(issued));
    let grants = holdings.map_or(&[][..], |held| &held.grants);
    let beside = relation.beside_grants();
    let beside = beside.filter(|fact| fact.subject == subject).copied();
    Row {
        component: subject.name().to_owned(),
        subject: subject.field(),
        domain: policy.domain(domain).name.clone(),
        boot: count(|when| when == When::Boot),
        request: count(|when| when == When::Request),
        delegated: count(|when| matches!(when, When::Delegated(_))),
        radix: holdings.map(Holdings::radix),
        grants: grants.iter().map(|held| grant(policy, held)).collect(),
        r#static: Holding::all(beside).iter().map(StaticRow::of).collect(),
    }
}

impl StaticRow {
    fn of(holding: &Holding<'_>) -> Self {
        Self {
            authority: holding.authority(),
            kind: holding.fact.kind.name(),
            perms: holding.rights(),
            line: holding.fact.cause.line(),
        }
    }
}

fn grant(policy: &Policy, held: &Held) -> GrantRow {
    let interface = policy.interface(held.interface);
    let methods = interface.methods.iter();
    GrantRow {
        slot: held.slot,
        object: policy.component(held.object).name.clone(),
        interface: interface.name.clone(),
        methods: methods
            .filter(|method| held.methods.contains(method.method))
            .map(|method| method.name.clone())
            .collect(),
        mode: held.mode.name(),
        when: issued(policy, held.when),
        lease: held.lease_ms.map(text::lease),
        line: policy.grants[held.rule].line(),
    }
}

fn summary(rows: &[Row]) -> String {
    let headers = [
        "component",
        "domain",
        ">boot",
        ">request",
        ">delegated",
        ">radix",
        ">beside",
    ];
    table(
        &headers,
        rows.iter().map(|row| {
            vec![
                row.title(),
                row.domain.clone(),
                row.boot.to_string(),
                row.request.to_string(),
                row.delegated.to_string(),
                row.radix.map_or_else(String::new, |bits| bits.to_string()),
                row.r#static.len().to_string(),
            ]
        }),
    )
}

impl Row {
    /// A component by its name; a guest or a device with what it is.
    fn title(&self) -> String {
        match self.radix {
            Some(_) => self.component.clone(),
            None => format!("{} {}", self.subject, self.component),
        }
    }
}

fn one(row: &Row) -> String {
    let mut text = format!("{}, domain {}", row.title(), row.domain);
    if let Some(radix) = row.radix {
        text += &format!(": grants CNode of {radix} bits\n\n{}", grants(&row.grants));
    }
    let beside = row.r#static.iter().map(|it| {
        vec![
            it.authority.clone(),
            it.kind.to_owned(),
            it.perms.clone().unwrap_or_default(),
            it.line.map_or_else(String::new, |line| line.to_string()),
        ]
    });
    let headers = ["beside its grants", "kind", "rights", ">line"];
    format!("{text}\n\n{}\n", table(&headers, beside))
}

fn grants(rows: &[GrantRow]) -> String {
    let headers = [
        ">slot",
        "object",
        "interface",
        "methods",
        "mode",
        "when",
        "lease",
        ">line",
    ];
    let cells = rows.iter().map(|grant| {
        vec![
            grant.slot.to_string(),
            grant.object.clone(),
            grant.interface.clone(),
            grant.methods.join(", "),
            grant.mode.to_owned(),
            grant.when.clone(),
            grant.lease.clone().unwrap_or_default(),
            grant.line.to_string(),
        ]
    });
    table(&headers, cells)
}
