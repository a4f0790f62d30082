//! Grants.

use portcullis_kernel::Mode;

use super::fault::ReadFault;
use super::fields::{Field, Fields, REASON, Text, texts};
use super::{Reader, Value};
use crate::model::{ComponentId, Delegate, Grant, GrantPlaces, MANAGER, Named, When};

const SUBJECT: Field = ("subject", "subject = \"ingest\"");
const OBJECT: Field = ("object", "object = \"ledger\"");
const INTERFACE: Field = ("interface", "interface = \"worm\"");
const METHODS: Field = ("methods", "methods = [\"append\"]");
const MODE: Field = ("mode", "mode = \"call\"");
const WHEN: Field = ("when", "when = \"boot\"");
const REGION: Field = ("region", "region = \"publish_edge\"");
const RECORDS: Field = ("records", "records = \"opaque\"");
const LEASE: Field = ("lease", "lease = \"30s\"");
const DELEGATE: Field = ("delegate", "delegate = [\"worker\"]");
const GRANT: &[Field] = &[
    SUBJECT, OBJECT, INTERFACE, METHODS, MODE, WHEN, REGION, RECORDS, LEASE, DELEGATE, REASON,
];

/// Units of a lease, in milliseconds. `ms` stands before `s`, which ends it.
const UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];
const DAY_MS: u32 = 24 * 60 * 60 * 1_000;

impl Reader {
    pub(super) fn grants(&mut self, value: Option<&Value<'_>>) {
        let rules = self.rules("grants", value);
        self.policy.grants.reserve(rules.len());
        for rule in rules {
            let grant = self.grant(rule);
            self.policy.grants.extend(grant);
        }
    }

    fn grant(&mut self, rule: &Value<'_>) -> Option<Grant> {
        let fields = Fields::open(self, "a grant", GRANT, rule)?;
        let mut places = GrantPlaces {
            rule: fields.place.clone(),
            ..GrantPlaces::default()
        };
        let subject = fields.text(self, SUBJECT);
        let subject = subject.and_then(|name| {
            places.subject = name.place.clone();
            self.component(&name)
        });
        let object = fields.text(self, OBJECT).and_then(|name| {
            places.object = name.place.clone();
            self.component(&name)
        });
        let interface = fields.text(self, INTERFACE).and_then(|name| {
            places.interface = name.place.clone();
            self.interface(&name)
        });
        let methods = fields.required(self, METHODS).and_then(|value| {
            places.methods = self.place(value);
            let names = texts(self, METHODS, value)?;
            self.methods(interface?, &names, &places.methods)
        });
        let mode = fields.text(self, MODE).and_then(|word| {
            places.mode = word.place.clone();
            self.mode(&word)
        });
        let when = fields.text(self, WHEN).and_then(|word| self.when(&word));
        let region = self.region_of_grant(&fields, mode);
        let is_opaque = self.records(&fields, subject, mode);
        let lease_ms = fields
            .optional_text(self, LEASE)
            .and_then(|lease| lease.map_or(Ok(None), |lease| self.lease(&lease).map(Some)));
        let delegate = self.delegates(&fields);
        let reason = fields.reason(self);
        Some(Grant {
            subject: subject?,
            object: object?,
            interface: interface?,
            methods: methods?,
            mode: mode?,
            when: when?,
            region: region.ok()?,
            is_opaque: is_opaque.ok()?,
            lease_ms: lease_ms.ok()?,
            delegate: delegate?,
            reason,
            places,
        })
    }

    fn when(&mut self, word: &Text<'_>) -> Option<When> {
        match word.value {
            "boot" => Some(When::Boot),
            "request" => Some(When::Request),
            _ => {
                self.unknown_word("time to issue a grant", word, &["boot", "request"]);
                None
            }
        }
    }

    /// The region of a stream: there exactly where the mode is `stream`.
    fn region_of_grant(
        &mut self,
        fields: &Fields<'_, '_>,
        mode: Option<Mode>,
    ) -> Result<Option<Named>, ()> {
        let region = fields.optional_text(self, REGION)?;
        if let Some(region) = &region {
            self.check_reference("region", region.value, &region.place);
        }
        match (region, mode) {
            (Some(region), Some(Mode::Stream) | None) => Ok(Some(Named {
                name: region.value.to_owned(),
                place: region.place,
            })),
            (Some(region), Some(_)) => {
                let fault = ReadFault::Misplaced {
                    field: "region",
                    with: "mode \"stream\"",
                    help: "remove it; a buffer that both map is a `[[static]]` rule for each",
                };
                self.report(&region.place, "not a stream", fault);
                Err(())
            }
            (None, Some(Mode::Stream)) => {
                // Reports that it is missing.
                fields.required(self, REGION);
                Err(())
            }
            (None, _) => Ok(None),
        }
    }

    /// Whether the keeper of the log is taken to act on no record: said on the manager's stream only.
    fn records(
        &mut self,
        fields: &Fields<'_, '_>,
        subject: Option<ComponentId>,
        mode: Option<Mode>,
    ) -> Result<bool, ()> {
        let Some(word) = fields.optional_text(self, RECORDS)? else {
            return Ok(false);
        };
        let is_log = |id| self.policy.component(id).name == MANAGER;
        let is_log = subject.is_none_or(is_log) && mode.is_none_or(|mode| mode == Mode::Stream);
        if word.value != "opaque" {
            self.unknown_word("way to take the records", &word, &["opaque"]);
            return Err(());
        }
        if !is_log {
            let fault = ReadFault::Misplaced {
                field: RECORDS.0,
                with: "the manager's stream",
                help: "remove it: only the keeper of the grant log gets records",
            };
            self.report(&word.place, "not the grant log", fault);
            return Err(());
        }
        Ok(true)
    }

    /// A lease in milliseconds.
    fn lease(&mut self, lease: &Text<'_>) -> Result<u32, ()> {
        let milliseconds = UNITS.iter().find_map(|(unit, milliseconds)| {
            let digits = lease.value.strip_suffix(unit)?;
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: u64 = plain.then(|| digits.parse().ok()).flatten()?;
            u32::try_from(count.checked_mul(*milliseconds)?).ok()
        });
        milliseconds.filter(|lease| *lease > 0).ok_or_else(|| {
            let fault = ReadFault::BadLease {
                found: lease.value.to_owned(),
                max_days: u32::MAX / DAY_MS,
            };
            self.report(&lease.place, "this lease", fault);
        })
    }

    fn delegates(&mut self, fields: &Fields<'_, '_>) -> Option<Vec<Delegate>> {
        let Some(value) = fields.optional(DELEGATE.0) else {
            return Some(Vec::new());
        };
        let names = texts(self, DELEGATE, value)?;
        let mut seen: Vec<ComponentId> = Vec::new();
        let mut delegates = Vec::with_capacity(names.len());
        for name in &names {
            let component = self.component(name)?;
            if seen.contains(&component) {
                self.twice("delegate", name);
                continue;
            }
            seen.push(component);
            let place = name.place.clone();
            delegates.push(Delegate { component, place });
        }
        Some(delegates)
    }
}
