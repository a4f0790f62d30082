//! Reads a policy from its text into plain data, and checks nothing.

use toml::{Table, Value};

use crate::case::{CapKind, Component, Dma, Flow, Grant, Mode, Perms, Policy, Static, What, Who};

/// Reads a policy that holds; `Err` says what this reader does not understand.
pub fn policy(text: &str) -> Result<Policy, String> {
    let table: Table = text.parse().map_err(|error| format!("{error}"))?;
    let mut policy = Policy::default();
    for (name, _) in named(&table, "domains") {
        policy.domains.push(name.clone());
    }
    for (name, methods) in named(&table, "interfaces") {
        let methods = methods.as_table().ok_or("an interface is a table")?;
        let number = |value: &Value| value.as_integer().and_then(|it| u8::try_from(it).ok());
        let methods = methods
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), number(value)?)));
        policy.interfaces.push((name.clone(), methods.collect()));
    }
    for (name, value) in named(&table, "components") {
        let (domain, offers) = (text_of(value, "domain")?, list(value, "offers"));
        policy.components.push(Component {
            name: name.clone(),
            domain,
            offers,
        });
    }
    for (kind, who) in [
        ("guests", Who::Guest as fn(String) -> Who),
        ("devices", Who::Device),
    ] {
        for (name, value) in named(&table, kind) {
            policy
                .subjects
                .push((who(name.clone()), text_of(value, "domain")?));
            let registers = list(value, "registers").into_iter();
            let registers = registers.map(|region| (name.clone(), region));
            policy.registers.extend(registers);
        }
    }
    for rule in rules(&table, "flows") {
        let modes: Result<_, _> = list(rule, "modes").iter().map(|it| mode(it)).collect();
        policy.flows.push(Flow {
            from: text_of(rule, "from")?,
            to: text_of(rule, "to")?,
            modes: modes?,
        });
    }
    for rule in rules(&table, "grants") {
        policy.grants.push(grant(rule)?);
        policy.is_opaque |= rule.get("records").is_some();
    }
    for rule in rules(&table, "static") {
        policy.statics.push(static_line(rule)?);
    }
    for rule in rules(&table, "never") {
        policy
            .nevers
            .push((text_of(rule, "from")?, text_of(rule, "to")?));
    }
    Ok(policy)
}

fn named<'t>(table: &'t Table, name: &str) -> impl Iterator<Item = (&'t String, &'t Value)> {
    table
        .get(name)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

fn rules<'t>(table: &'t Table, name: &str) -> impl Iterator<Item = &'t Value> {
    table
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn optional(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn text_of(value: &Value, field: &str) -> Result<String, String> {
    optional(value, field).ok_or_else(|| format!("`{field}` is missing in {value}"))
}

fn list(value: &Value, field: &str) -> Vec<String> {
    let items = value
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn mode(word: &str) -> Result<Mode, String> {
    match word {
        "call" => Ok(Mode::Call),
        "send" => Ok(Mode::Send),
        "notify" => Ok(Mode::Notify),
        "stream" => Ok(Mode::Stream),
        _ => Err(format!("no mode `{word}`")),
    }
}

fn grant(rule: &Value) -> Result<Grant, String> {
    Ok(Grant {
        subject: text_of(rule, "subject")?,
        object: text_of(rule, "object")?,
        interface: text_of(rule, "interface")?,
        methods: list(rule, "methods"),
        mode: mode(&text_of(rule, "mode")?)?,
        region: optional(rule, "region"),
        on_request: text_of(rule, "when")? == "request",
        lease: rule.get("lease").is_some(),
        delegate: list(rule, "delegate"),
    })
}

fn static_line(rule: &Value) -> Result<Static, String> {
    let text = |field| optional(rule, field);
    let number = |field| {
        rule.get(field)
            .and_then(Value::as_integer)
            .map(i64::unsigned_abs)
    };
    let who = match (text("component"), text("guest"), text("device")) {
        (Some(name), None, None) => Who::Pd(name),
        (None, Some(name), None) => Who::Guest(name),
        (None, None, Some(name)) => Who::Device(name),
        _ => return Err(format!("whose line is {rule}?")),
    };
    let what = if let Some(region) = text("region") {
        What::Region(region, Perms::of(&text_of(rule, "perms")?))
    } else if let Some(number) = number("irq") {
        What::Irq(number)
    } else if let Some(base) = number("ioport") {
        What::Ports(base, number("size").ok_or("ports without a size")?)
    } else if let Some(child) = text("child") {
        What::Child(child)
    } else if let Some(peer) = text("channel") {
        What::Channel(peer, text("mode").is_none_or(|mode| mode == "call"))
    } else if let Some((kind, of)) = text("cap").as_ref().and_then(|it| it.split_once(" of ")) {
        let kinds = [CapKind::Tcb, CapKind::Sc, CapKind::Vspace];
        let kind = kinds.into_iter().find(|it| it.to_string() == kind);
        What::Cap(
            kind.ok_or_else(|| format!("no capability in {rule}"))?,
            of.to_owned(),
        )
    } else if let Some(vm) = text("vm") {
        What::Vm(vm)
    } else if rule.get("smc").is_some() {
        What::Smc
    } else {
        return Err(format!("what does {rule} allow?"));
    };
    let dma = match text("dma").as_deref() {
        None => None,
        Some("none") => Some(Dma::None),
        Some("unbounded") => Some(Dma::Unbounded),
        Some(word) => return Err(format!("no DMA is {word}")),
    };
    Ok(Static { who, what, dma })
}
