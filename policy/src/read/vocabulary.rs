//! Domains, interfaces and components.

use portcullis_kernel::Method;
use portcullis_policy_format::OnFault;

use super::fault::ReadFault;
use super::fields::{Field, Fields, Text, kind, number, text, texts};
use super::{Reader, Value};
use crate::model::{Component, ComponentId, Domain, DomainId, Interface, InterfaceId};
use crate::model::{InterfaceMethod, Named, Outsider, Place};
use crate::text::{one_of, suggestion};
use toml::de::DeValue;

const DOMAIN: Field = ("domain", "domain = \"vault\"");
const OFFERS: Field = ("offers", "offers = [\"worm\"]");
const ON_FAULT: Field = ("on_fault", "on_fault = \"restart\"");
const COMPONENT: &[Field] = &[DOMAIN, OFFERS, ON_FAULT];
const REGISTERS: Field = ("registers", "registers = [\"nic_regs\"]");
const GUEST: &[Field] = &[DOMAIN];
const DEVICE: &[Field] = &[DOMAIN, REGISTERS];

impl Reader {
    pub(super) fn domains(&mut self, value: Option<&Value<'_>>) {
        for (name, place, value) in self.entries("domains", "vault = {}", value) {
            self.check_name("domain", name, &place);
            // A domain has no fields yet; what it has anyway is reported.
            let _ = Fields::open(self, "a domain", &[], value);
            let id = DomainId(self.policy.domains.len() as u16);
            self.names.domains.insert(name.to_owned(), Some(id));
            let name = name.to_owned();
            self.policy.domains.push(Domain { name, place });
        }
    }

    pub(super) fn interfaces(&mut self, value: Option<&Value<'_>>) {
        for (name, place, value) in self.entries("interfaces", "[interfaces.worm]", value) {
            self.check_name("interface", name, &place);
            let id = InterfaceId(self.policy.interfaces.len() as u16);
            self.names.interfaces.insert(name.to_owned(), Some(id));
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                self.names.partial.insert(id);
            }
            let methods = self.interface_methods(id, name, value);
            self.policy.interfaces.push(Interface {
                name: name.to_owned(),
                methods,
                place,
            });
        }
    }

    fn interface_methods(
        &mut self,
        id: InterfaceId,
        interface: &str,
        value: &Value<'_>,
    ) -> Vec<InterfaceMethod> {
        let mut methods: Vec<InterfaceMethod> = Vec::new();
        for (name, place, value) in self.entries(interface, "append = 0", Some(value)) {
            self.check_name("method", name, &place);
            match self.method(interface, name, &place, value, &methods) {
                Some(method) => methods.push(InterfaceMethod {
                    name: name.to_owned(),
                    method,
                    place,
                }),
                None => {
                    self.names.partial.insert(id);
                }
            }
        }
        methods.sort_by_key(|method| method.method);
        methods
    }

    fn method(
        &mut self,
        interface: &str,
        name: &str,
        place: &Place,
        value: &Value<'_>,
        others: &[InterfaceMethod],
    ) -> Option<Method> {
        let highest = u64::from(Method::COUNT) - 1;
        let DeValue::Integer(_) = value.get_ref() else {
            let found = kind(value.get_ref());
            self.wrong_kind(name, "a method number", "append = 0", value, found);
            return None;
        };
        let number = number(self, (name, "append = 0"), value, 0, highest)?;
        let method = Method::new(number as u8).expect("`number` keeps to its range");
        if let Some(other) = others.iter().find(|other| other.method == method) {
            let fault = ReadFault::DuplicateMethodNumber {
                interface: interface.to_owned(),
                first: other.name.clone(),
                second: name.to_owned(),
                number: method.number(),
            };
            let problem =
                crate::problem::Problem::unreadable(&self.source, place, "the same number", fault)
                    .also(&other.place, format!("has number {}", method.number()));
            self.problems.push(problem);
            return None;
        }
        Some(method)
    }

    pub(super) fn components(&mut self, value: Option<&Value<'_>>) {
        for (name, place, value) in self.entries("components", "[components.ledger]", value) {
            self.check_name("component", name, &place);
            let component = self.component_entry(name, place, value);
            let id = ComponentId(self.policy.components.len() as u16);
            let declared = component.is_some().then_some(id);
            self.names.components.insert(name.to_owned(), declared);
            self.policy.components.extend(component);
        }
    }

    pub(super) fn guests(&mut self, value: Option<&Value<'_>>) {
        for (name, place, value) in self.entries("guests", "[guests.linux]", value) {
            self.check_name("guest", name, &place);
            let guest = self.outsider("a guest", GUEST, name, place, value);
            let declared = guest.is_some().then_some(self.policy.guests.len());
            self.names.guests.insert(name.to_owned(), declared);
            self.policy.guests.extend(guest);
        }
    }

    pub(super) fn devices(&mut self, value: Option<&Value<'_>>) {
        for (name, place, value) in self.entries("devices", "[devices.nic]", value) {
            self.check_name("device", name, &place);
            let device = self.outsider("a device", DEVICE, name, place, value);
            let declared = device.is_some().then_some(self.policy.devices.len());
            self.names.devices.insert(name.to_owned(), declared);
            self.policy.devices.extend(device);
        }
    }

    fn outsider(
        &mut self,
        what: &'static str,
        known: &'static [Field],
        name: &str,
        place: Place,
        value: &Value<'_>,
    ) -> Option<Outsider> {
        let fields = Fields::open(self, what, known, value).map(|mut fields| {
            fields.place = place.clone();
            fields
        });
        let domain = fields.as_ref().and_then(|it| it.text(self, DOMAIN));
        let domain = domain.and_then(|domain| self.domain(&domain));
        let registers = match &fields {
            Some(fields) if known.contains(&REGISTERS) => self.registers(fields),
            _ => Some(Vec::new()),
        };
        Some(Outsider {
            name: name.to_owned(),
            domain: domain?,
            registers: registers?,
            place,
        })
    }

    /// The regions of a device's registers. That there are none must be said.
    fn registers(&mut self, fields: &Fields<'_, '_>) -> Option<Vec<Named>> {
        let value = fields.required(self, REGISTERS)?;
        let names = texts(self, REGISTERS, value)?;
        let mut registers: Vec<Named> = Vec::new();
        for name in names {
            if registers.iter().any(|it| it.name == name.value) {
                self.twice(REGISTERS.0, &name);
                continue;
            }
            self.check_reference("region", name.value, &name.place);
            registers.push(Named {
                name: name.value.to_owned(),
                place: name.place,
            });
        }
        Some(registers)
    }

    fn component_entry(
        &mut self,
        name: &str,
        place: Place,
        value: &Value<'_>,
    ) -> Option<Component> {
        let mut fields = Fields::open(self, "a component", COMPONENT, value)?;
        fields.place = place.clone();
        let domain = fields.text(self, DOMAIN);
        let domain = domain.and_then(|domain| self.domain(&domain));
        let offers = fields.optional(OFFERS.0);
        let offers = offers.and_then(|offers| texts(self, OFFERS, offers));
        let offers = self.offers(&offers.unwrap_or_default());
        let on_fault = fields.optional(ON_FAULT.0);
        let on_fault = on_fault.and_then(|value| text(self, ON_FAULT, value));
        let on_fault = on_fault.and_then(|word| self.on_fault(&word));
        Some(Component {
            name: name.to_owned(),
            domain: domain?,
            offers,
            on_fault: on_fault.unwrap_or_default(),
            place,
        })
    }

    fn offers(&mut self, names: &[Text<'_>]) -> Vec<InterfaceId> {
        let mut offers = Vec::new();
        for name in names {
            match self.interface(name) {
                Some(id) if offers.contains(&id) => self.twice("offers", name),
                Some(id) => offers.push(id),
                None => {}
            }
        }
        offers
    }

    fn on_fault(&mut self, word: &Text<'_>) -> Option<OnFault> {
        match word.value {
            "stop" => Some(OnFault::Stop),
            "restart" => Some(OnFault::Restart),
            _ => {
                self.unknown_word("answer to a fault", word, &["stop", "restart"]);
                None
            }
        }
    }

    /// Reports a word that is not one of a few.
    pub(super) fn unknown_word(&mut self, what: &'static str, word: &Text<'_>, words: &[&str]) {
        let all = || format!("write {}", one_of(words));
        let help = suggestion(word.value, words.iter().copied(), all);
        self.report(
            &word.place,
            format!("no {what}"),
            ReadFault::UnknownWord {
                word: word.value.to_owned(),
                what,
                help,
            },
        );
    }
}
