//! `portcullis ceiling`: the most that each component can ever hold.

use clap::Args;
use portcullis_policy::ceiling::Held;
use portcullis_policy::diff::issued;
use portcullis_policy::{Ceiling, Policy, text};
use portcullis_policy_format::When;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load;
use crate::options::PolicyArgument;
use crate::output::{Output, table};

const EXAMPLE: &str = "\
The slot is that of the component's grants CNode, whose slot s has CPtr (1 << 58) | s; the radix is
the bits of that CNode.

JSON: an array of {component, domain, boot, request, delegated, radix, grants [{slot, object,
interface, methods, mode, when, lease, line}], static [{authority, perms, line}]}.

Example:
  portcullis ceiling policy/appliance.toml --component ingest";

/// Show the most that each component can ever hold
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ShowCeiling {
    #[command(flatten)]
    policy: PolicyArgument,
    /// Only this component
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
}

#[derive(Serialize)]
struct Row {
    component: String,
    domain: String,
    boot: usize,
    request: usize,
    delegated: usize,
    radix: u8,
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
    perms: Option<String>,
    line: u32,
}

impl Run for ShowCeiling {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let policy = load::policy(self.policy.path())?;
        let ceiling = Ceiling::of(&policy);
        if let Some(name) = &self.component
            && policy.component_named(name).is_none()
        {
            let names = policy.components.iter().map(|it| it.name.as_str());
            let help = text::suggestion(name, names, || "`portcullis ceiling` lists all".into());
            let message = format!("the policy has no component `{name}`; {help}");
            return Err(Failure::bad_input(message));
        }
        let rows: Vec<Row> = policy
            .component_ids()
            .map(|id| row(&policy, &ceiling, id))
            .filter(|row| {
                self.component
                    .as_ref()
                    .is_none_or(|name| *name == row.component)
            })
            .collect();
        output.print(&rows, |rows| match self.component {
            Some(_) => rows.iter().map(one).collect(),
            None => summary(rows),
        })?;
        Ok(Verdict::Holds)
    }
}

fn row(policy: &Policy, ceiling: &Ceiling, id: portcullis_policy::model::ComponentId) -> Row {
    use portcullis_policy::model::{Authority, Holder};
    let holdings = ceiling.holdings(id);
    let statics = policy
        .statics
        .iter()
        .filter(|rule| rule.holder == Holder::Component(id));
    Row {
        component: policy.component(id).name.clone(),
        domain: policy.domain(policy.domain_of(id)).name.clone(),
        boot: holdings.count(|when| when == When::Boot),
        request: holdings.count(|when| when == When::Request),
        delegated: holdings.count(|when| matches!(when, When::Delegated(_))),
        radix: holdings.radix(),
        grants: holdings
            .grants
            .iter()
            .map(|held| grant(policy, held))
            .collect(),
        r#static: statics
            .map(|rule| StaticRow {
                authority: text::authority(policy, &rule.authority),
                perms: match &rule.authority {
                    Authority::Region { perms, .. } => Some(perms.to_string()),
                    _ => None,
                },
                line: rule.place.line,
            })
            .collect(),
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
        ">static",
    ];
    table(
        &headers,
        rows.iter().map(|row| {
            vec![
                row.component.clone(),
                row.domain.clone(),
                row.boot.to_string(),
                row.request.to_string(),
                row.delegated.to_string(),
                row.radix.to_string(),
                row.r#static.len().to_string(),
            ]
        }),
    )
}

fn one(row: &Row) -> String {
    let title = format!(
        "{}, domain {}: grants CNode of {} bits",
        row.component, row.domain, row.radix
    );
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
    let grants = row.grants.iter().map(|grant| {
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
    let statics = row.r#static.iter().map(|rule| {
        vec![
            rule.authority.clone(),
            rule.perms.clone().unwrap_or_default(),
            rule.line.to_string(),
        ]
    });
    format!(
        "{title}\n\n{}\n\n{}\n",
        table(&headers, grants),
        table(&["system.xml gives", "perms", ">line"], statics)
    )
}
