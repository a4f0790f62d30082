//! The granted interface `inspect`: everything can be seen, nothing changed.

use heapless::String;
use portcullis_kernel::{GrantBadge, Message, Method, MethodSet, Region, RegionMut, label};
use portcullis_manager_api::{
    Buffer, COMPONENT, ComponentView, GRANTS, GrantView, METHODS_MAX, NO_MORE, RECORD, STATUS,
    Status, UNAVAILABLE, Verdict, WHY, Why,
};
use portcullis_policy_format::{Grant, Policy};

use crate::deny::forbidden;
use crate::entry::State;
use crate::find::answer;
use crate::{Manager, Platform};

impl<P: Platform, R: RegionMut, A: Region> Manager<'_, P, R, A> {
    /// Answers the holder of a grant. Its badge includes the method; the manager checks that it is
    /// a grant in force, of this interface.
    pub(crate) fn serve_inspect(
        &mut self,
        badge: GrantBadge,
        method: Method,
        message: &mut Message,
    ) {
        let Some(policy) = self.policy().copied().filter(|_| self.is_inspector(badge)) else {
            return message.refuse(UNAVAILABLE);
        };
        let mut buffer: Buffer = [0; _];
        match method {
            GRANTS => match message.decode(&mut buffer) {
                Some(from) => self.show_grant(&policy, from, message),
                None => message.refuse(label::BAD_REQUEST),
            },
            COMPONENT => match message.decode(&mut buffer) {
                Some(number) => self.show_component(&policy, number, message),
                None => message.refuse(label::BAD_REQUEST),
            },
            RECORD => match message.decode(&mut buffer) {
                Some(sequence) => match self.journal.record(sequence) {
                    Some(record) => answer(message, &record),
                    None => message.refuse(NO_MORE),
                },
                None => message.refuse(label::BAD_REQUEST),
            },
            WHY => match message.decode(&mut buffer) {
                Some(why) => answer(message, &self.verdict(&policy, &why)),
                None => message.refuse(label::BAD_REQUEST),
            },
            STATUS => {
                let status = self.status(&policy);
                answer(message, &status);
            }
            _ => message.refuse(label::BAD_METHOD),
        }
    }

    fn is_inspector(&self, badge: GrantBadge) -> bool {
        self.grant_in_policy(badge.index()).is_some_and(|entry| {
            entry.state == State::InForce
                && entry.generation == badge.generation()
                && self.own == Some(entry.object.into())
                && self.inspect == Some(entry.interface)
        })
    }

    fn show_grant(&self, policy: &Policy<'_>, from: u16, message: &mut Message) {
        let mut later =
            (from..=u16::MAX).take_while(|index| self.grant_in_policy(*index).is_some());
        let Some(index) = later.find(|index| self.is_in_force(*index)) else {
            return message.refuse(NO_MORE);
        };
        let entry = self.grants.at(index);
        let interface = policy.interfaces().nth(entry.interface.into());
        let view = GrantView {
            index,
            generation: entry.generation.number(),
            subject: self.component_name(entry.subject.into()),
            slot: entry.slot,
            object: self.component_name(entry.object.into()),
            interface: interface.map_or("", |interface| interface.name),
            methods: &method_names(policy, entry.interface, entry.methods),
            mode: entry.mode,
            lease_ms: entry.lease_ms.map(core::num::NonZeroU32::get),
            line: entry.line,
        };
        answer(message, &view);
    }

    fn show_component(&self, policy: &Policy<'_>, number: u16, message: &mut Message) {
        let member = self.members.get(usize::from(number));
        let component = policy.components().nth(number.into());
        let (Some(member), Some(component)) = (member, component) else {
            return message.refuse(NO_MORE);
        };
        let domain = policy.domains().nth(member.domain.into());
        let view = ComponentView {
            name: component.name,
            domain: domain.map_or("", |domain| domain.name),
            holds: u16::try_from(member.holds).unwrap_or(u16::MAX),
            serves: u16::try_from(member.serves).unwrap_or(u16::MAX),
        };
        answer(message, &view);
    }

    /// Whether the policy lets the subject call the method of the object: the answer that
    /// `portcullis why` gives offline, with what is in force now.
    fn verdict(&self, policy: &Policy<'_>, why: &Why<'_>) -> Verdict {
        let subject = policy.component(why.subject);
        let object = policy.component(why.object);
        let (Some((subject, from)), Some((object, to))) = (subject, object) else {
            return Verdict::NotPermitted;
        };
        let member = &self.members[usize::from(subject)];
        let mut closed = None;
        for (index, grant) in member.grants() {
            if grant.object != object || !includes(policy, &grant, why.method) {
                continue;
            }
            let line = grant.line;
            if self.is_usable(index) {
                return Verdict::Allowed { line };
            }
            closed.get_or_insert(line);
        }
        if let Some(line) = closed {
            return Verdict::Unavailable { line };
        }
        match forbidden(policy, from.domain, to.domain, None) {
            Some(line) => Verdict::Forbidden { line },
            None => Verdict::NotPermitted,
        }
    }

    fn status<'s>(&mut self, policy: &Policy<'s>) -> Status<'s> {
        Status {
            policy: policy.name(),
            version: policy.version(),
            grants: self.in_force,
            components: policy.counts().components,
            records: self.journal.written(),
            durable: self.journal.durable(),
            sealed: self.is_sealed(),
        }
    }
}

/// Whether a grant includes a method: by its name, or as `interface.method`.
fn includes(policy: &Policy<'_>, grant: &Grant, name: &str) -> bool {
    let (interface, name) = match name.split_once('.') {
        Some((interface, name)) => (Some(interface), name),
        None => (None, name),
    };
    let sought = interface.map(|name| policy.interface(name).map(|(number, _)| number));
    if sought.is_some_and(|sought| sought != Some(grant.interface)) {
        return false;
    }
    policy.methods().any(|method| {
        method.interface == grant.interface
            && method.name == name
            && grant.methods.contains(method.method)
    })
}

/// The names of the methods as [`GrantView::methods`] has them.
fn method_names(policy: &Policy<'_>, interface: u16, set: MethodSet) -> String<METHODS_MAX> {
    const SEPARATOR: &str = ", ";
    const REST: &str = "...";
    let mut text = String::new();
    let mut included = policy
        .methods()
        .filter(|method| method.interface == interface && set.contains(method.method))
        .peekable();
    while let Some(method) = included.next() {
        let rest = if included.peek().is_some() {
            SEPARATOR.len() + REST.len()
        } else {
            0
        };
        let fits = text.len() + SEPARATOR.len() + method.name.len() + rest <= METHODS_MAX;
        let separator = if text.is_empty() { "" } else { SEPARATOR };
        let name = if fits { method.name } else { REST };
        // What does not fit was left room for.
        let _ = text.push_str(separator).and_then(|()| text.push_str(name));
        if !fits {
            break;
        }
    }
    text
}
