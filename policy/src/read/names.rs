//! Names and what they resolve to.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_kernel::MethodSet;
use portcullis_policy_format::MAX_NAME;
use portcullis_text::Plain;
use portcullis_text::identifier::{self, Distinct};

use super::Reader;
use super::fault::ReadFault;
use super::fields::Text;
use crate::model::{ComponentId, DomainId, InterfaceId, Place};
use crate::text::suggestion;

/// What is declared. `None`: declared, but with a mistake that was reported already.
#[derive(Default)]
pub(super) struct Names {
    pub(super) domains: BTreeMap<String, Option<DomainId>>,
    pub(super) interfaces: BTreeMap<String, Option<InterfaceId>>,
    pub(super) components: BTreeMap<String, Option<ComponentId>>,
    pub(super) guests: BTreeMap<String, Option<usize>>,
    pub(super) devices: BTreeMap<String, Option<usize>>,
    /// The names of each kind, which must differ to the eye.
    distinct: BTreeMap<&'static str, Distinct>,
    /// Interfaces of which a method had a mistake: a method that they do not have may be that one.
    pub(super) partial: BTreeSet<InterfaceId>,
}

impl Reader {
    /// The domain with this name; that there is none is reported.
    pub(super) fn domain(&mut self, name: &Text<'_>) -> Option<DomainId> {
        let found = self.names.domains.get(name.value).copied();
        self.resolved(found, "domain", name, "[domains]", |names| &names.domains)
    }

    /// The interface with this name; that there is none is reported.
    pub(super) fn interface(&mut self, name: &Text<'_>) -> Option<InterfaceId> {
        let found = self.names.interfaces.get(name.value).copied();
        self.resolved(found, "interface", name, "[interfaces.NAME]", |names| {
            &names.interfaces
        })
    }

    /// The component with this name; that there is none is reported.
    pub(super) fn component(&mut self, name: &Text<'_>) -> Option<ComponentId> {
        let found = self.names.components.get(name.value).copied();
        self.resolved(found, "component", name, "[components.NAME]", |names| {
            &names.components
        })
    }

    /// The guest with this name; that there is none is reported.
    pub(super) fn guest(&mut self, name: &Text<'_>) -> Option<usize> {
        let found = self.names.guests.get(name.value).copied();
        self.resolved(found, "guest", name, "[guests.NAME]", |names| &names.guests)
    }

    /// The device with this name; that there is none is reported.
    pub(super) fn device(&mut self, name: &Text<'_>) -> Option<usize> {
        let found = self.names.devices.get(name.value).copied();
        self.resolved(found, "device", name, "[devices.NAME]", |names| {
            &names.devices
        })
    }

    fn resolved<T>(
        &mut self,
        found: Option<Option<T>>,
        kind: &'static str,
        name: &Text<'_>,
        declared: &'static str,
        all: impl FnOnce(&Names) -> &BTreeMap<String, Option<T>>,
    ) -> Option<T> {
        if let Some(found) = found {
            return found;
        }
        if self.problems.is_full() {
            self.problems.count_more(1);
            return None;
        }
        let all = all(&self.names).keys().map(String::as_str);
        let declare = || format!("declare it under `{declared}`, or remove what names it");
        let fault = ReadFault::UnknownName {
            kind,
            name: name.value.to_owned(),
            help: suggestion(name.value, all, declare),
        };
        self.report(&name.place, format!("no such {kind}"), fault);
        None
    }

    /// The methods with these names, which must be several and different.
    pub(super) fn methods(
        &mut self,
        interface: InterfaceId,
        names: &[Text<'_>],
        place: &Place,
    ) -> Option<MethodSet> {
        if names.is_empty() {
            let fault = ReadFault::EmptyList {
                field: "methods",
                help: "name at least one method; a grant without methods grants nothing",
            };
            self.report(place, "no method", fault);
            return None;
        }
        let mut methods = MethodSet::EMPTY;
        let mut complete = true;
        for name in names {
            let known = &self.policy.interface(interface).methods;
            match known.iter().find(|known| known.name == name.value) {
                Some(known) if methods.contains(known.method) => self.twice("methods", name),
                Some(known) => methods = methods.with(known.method),
                None => {
                    complete = false;
                    self.unknown_method(interface, name);
                }
            }
        }
        (complete && !methods.is_empty()).then_some(methods)
    }

    fn unknown_method(&mut self, interface: InterfaceId, name: &Text<'_>) {
        if self.names.partial.contains(&interface) {
            return;
        }
        let interface = self.policy.interface(interface);
        let known = interface.methods.iter().map(|method| method.name.as_str());
        let declare = || format!("declare it under `[interfaces.{}]`", interface.name);
        let fault = ReadFault::UnknownName {
            kind: "method",
            name: name.value.to_owned(),
            help: suggestion(name.value, known, declare),
        };
        let label = format!("`{}` has no such method", interface.name);
        self.report(&name.place, label, fault);
    }

    /// Reports that an item of a list stands in it already.
    pub(super) fn twice(&mut self, field: &'static str, name: &Text<'_>) {
        let item = name.value.to_owned();
        self.report(
            &name.place,
            "stands in the list already",
            ReadFault::DuplicateItem { field, item },
        );
    }

    /// Reports a name that the compiled form cannot hold, or that passes for another.
    pub(super) fn check_name(&mut self, kind: &'static str, name: &str, place: &Place) {
        if name.len() > MAX_NAME {
            let problem = format!("has {} bytes", name.len());
            self.bad_name(kind, name, place, problem);
        } else {
            self.check_reference(kind, name, place);
        }
    }

    /// Reports the name of something in the system description that passes for another.
    pub(super) fn check_reference(&mut self, kind: &'static str, name: &str, place: &Place) {
        let alike = self.names.distinct.entry(kind).or_default();
        if name.is_empty() {
            self.bad_name(kind, name, place, String::from("is empty"));
        } else if let Some(fault) = identifier::fault(name).or_else(|| alike.add(name)) {
            self.bad_name(kind, name, place, fault.to_string());
        }
    }

    fn bad_name(&mut self, kind: &'static str, name: &str, place: &Place, problem: String) {
        let name = Plain(name).to_string();
        let max = MAX_NAME;
        let fault = ReadFault::BadName {
            kind,
            name,
            problem,
            max,
        };
        self.report(place, "this name", fault);
    }
}
