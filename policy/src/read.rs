//! Reads the policy language: TOML to a [`Policy`] with every name resolved.
//!
//! Reading goes on after a mistake, so that all of a file's mistakes are reported at once. What has
//! a mistake is left out of the policy, which is then not checked.

mod fault;
mod fields;
mod grants;
mod names;
mod rules;
mod statics;
mod vocabulary;

pub use fault::ReadFault;

use std::sync::Arc;

use miette::Diagnostic;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keys;
use crate::model::{Place, Policy};
use crate::problem::{Found, Problem};
use crate::source::Source;
use fields::{Field, Fields, Text, number, text, texts};
use names::Names;

/// What reading a policy gives.
#[derive(Debug)]
pub struct Reading {
    /// What could be understood.
    pub policy: Policy,
    /// What could not.
    pub problems: Found,
}

/// Name of a policy that does not say its own.
const UNNAMED: &str = "unnamed";
/// Version of a policy that does not say its own: the first that a manager takes.
const FIRST_VERSION: u32 = 1;

/// Syntax errors that are reported.
const MOST_SYNTAX: usize = 5;

const NAME: Field = ("name", "name = \"my-appliance\"");
const VERSION: Field = ("version", "version = 1");
const SUCCESSOR_KEYS: Field = ("successor_keys", "successor_keys = [\"1f0a...\"]");
const FIELDS: &[Field] = &[
    NAME,
    VERSION,
    SUCCESSOR_KEYS,
    ("domains", ""),
    ("interfaces", ""),
    ("components", ""),
    ("guests", ""),
    ("devices", ""),
    ("flows", ""),
    ("grants", ""),
    ("static", ""),
    ("never", ""),
];

/// Reads a policy.
pub fn read(source: Arc<Source>) -> Reading {
    let mut reader = Reader {
        names: Names::default(),
        problems: Found::default(),
        policy: Policy {
            source: Arc::clone(&source),
            name: UNNAMED.to_owned(),
            version: FIRST_VERSION,
            successors: Vec::new(),
            domains: Vec::new(),
            interfaces: Vec::new(),
            components: Vec::new(),
            guests: Vec::new(),
            devices: Vec::new(),
            flows: Vec::new(),
            grants: Vec::new(),
            statics: Vec::new(),
            nevers: Vec::new(),
        },
        source: Arc::clone(&source),
    };
    let (document, errors) = DeTable::parse_recoverable(source.text());
    if errors.is_empty() {
        reader.document(&document);
    } else {
        // What a parser makes of broken syntax is a guess; checking a guess misleads.
        let mut last = None;
        for error in errors {
            // The parser can stumble twice over one thing, and over everything in what is no TOML.
            let this = Some((error.message().to_owned(), error.span()));
            if this != last && reader.problems.count() < MOST_SYNTAX {
                reader.syntax(&error);
            }
            last = this;
        }
    }
    Reading {
        policy: reader.policy,
        problems: reader.problems,
    }
}

/// A policy in the making.
struct Reader {
    source: Arc<Source>,
    policy: Policy,
    names: Names,
    problems: Found,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl Reader {
    fn document(&mut self, document: &Spanned<DeTable<'_>>) {
        let place = self.source.place(0..0);
        let top = Fields::of_table(self, "a policy", FIELDS, document.get_ref(), place);
        if let Some(name) = top
            .optional("name")
            .and_then(|value| text(self, NAME, value))
        {
            self.check_name("policy", name.value, &name.place);
            self.policy.name = name.value.to_owned();
        }
        let highest = u32::MAX.into();
        let version = top.optional("version");
        if let Some(version) = version.and_then(|value| number(self, VERSION, value, 1, highest)) {
            self.policy.version = version as u32;
        }
        if let Some(keys) = top.optional("successor_keys") {
            let keys = texts(self, SUCCESSOR_KEYS, keys).unwrap_or_default();
            self.policy.successors = keys.iter().filter_map(|it| self.public_key(it)).collect();
        }
        self.domains(top.optional("domains"));
        self.interfaces(top.optional("interfaces"));
        self.components(top.optional("components"));
        self.guests(top.optional("guests"));
        self.devices(top.optional("devices"));
        self.flows(top.optional("flows"));
        self.grants(top.optional("grants"));
        self.statics(top.optional("static"));
        self.nevers(top.optional("never"));
    }

    fn public_key(&mut self, text: &Text<'_>) -> Option<[u8; 32]> {
        let key = keys::public(text.value);
        let what = match &key {
            None => "is no public key",
            Some(key) if key.is_weak() => {
                "is a key of small order, of which no signature is accepted"
            }
            Some(key) => return Some(key.to_bytes()),
        };
        let found = text.value.to_owned();
        self.report(&text.place, "here", ReadFault::PublicKey { found, what });
        None
    }

    /// The rules of a `[[list]]`.
    fn rules<'t, 'i>(&mut self, name: &str, value: Option<&'t Value<'i>>) -> &'t [Value<'i>] {
        match value.map(|value| (value, value.get_ref())) {
            None => &[],
            Some((_, DeValue::Array(rules))) => rules,
            Some((value, other)) => {
                let example = format!("[[{name}]]");
                self.wrong_kind(
                    name,
                    "a list of rules",
                    &example,
                    value,
                    fields::kind(other),
                );
                &[]
            }
        }
    }

    /// The named tables of a `[table]`, in source order.
    fn entries<'t, 'i>(
        &mut self,
        name: &str,
        example: &str,
        value: Option<&'t Value<'i>>,
    ) -> Vec<(&'t str, Place, &'t Value<'i>)> {
        let table = match value.map(|value| (value, value.get_ref())) {
            None => return Vec::new(),
            Some((_, DeValue::Table(table))) => table,
            Some((value, other)) => {
                self.wrong_kind(name, "a table", example, value, fields::kind(other));
                return Vec::new();
            }
        };
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), self.source.place(key.span()), value))
            .collect();
        entries.sort_by_key(|(_, place, _)| place.span.start);
        entries
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let place = self.source.place(error.span().unwrap_or(0..0));
        let message = error.message().to_owned();
        self.report(&place, "here", ReadFault::Syntax { message });
    }

    fn wrong_kind(
        &mut self,
        field: &str,
        expected: &'static str,
        example: &str,
        value: &Value<'_>,
        found: &'static str,
    ) {
        let place = self.place(value);
        self.report(
            &place,
            format!("this is {found}"),
            ReadFault::WrongKind {
                field: field.to_owned(),
                found,
                expected,
                example: example.to_owned(),
            },
        );
    }

    fn place<T>(&self, value: &Spanned<T>) -> Place {
        self.source.place(value.span())
    }

    fn report(
        &mut self,
        place: &Place,
        label: impl Into<String>,
        fault: impl Diagnostic + Send + Sync + 'static,
    ) {
        let problem = Problem::unreadable(&self.source, place, label, fault);
        self.problems.push(problem);
    }
}
