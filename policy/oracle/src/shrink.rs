//! Makes a case that shows something as small as it goes, so that people can read it.

use crate::case::{Case, What, Who};
use crate::generate::symbols;

/// The smallest case that is reached by taking out one thing after the other while `shows` says yes.
pub fn shrink(case: &Case, shows: impl Fn(&Case) -> bool) -> Case {
    let mut smallest = case.clone();
    while let Some(smaller) = candidates(&smallest).into_iter().find(|it| shows(it)) {
        smallest = smaller;
    }
    smallest
}

/// The case with one thing less, in every way.
fn candidates(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    for pd in &case.system.pds {
        all.push(without_pd(case, &pd.name));
    }
    for region in &case.system.regions {
        all.push(without_region(case, &region.name));
    }
    macro_rules! each {
        ($($field:ident).+) => {
            for place in 0..case.$($field).+.len() {
                let mut smaller = case.clone();
                smaller.$($field).+.remove(place);
                all.push(smaller);
            }
        };
    }
    each!(policy.grants);
    each!(policy.statics);
    each!(policy.flows);
    each!(policy.nevers);
    each!(policy.interfaces);
    each!(policy.subjects);
    each!(policy.registers);
    each!(policy.domains);
    each!(policy.components);
    each!(system.channels);
    each!(system.devices);
    for place in 0..case.system.pds.len() {
        macro_rules! each_of {
            ($field:ident) => {
                for inner in 0..case.system.pds[place].$field.len() {
                    let mut smaller = case.clone();
                    smaller.system.pds[place].$field.remove(inner);
                    all.push(smaller);
                }
            };
        }
        each_of!(maps);
        each_of!(irqs);
        each_of!(ports);
        each_of!(paddrs);
        each_of!(caps);
        let mut plain = case.clone();
        let pd = &mut plain.system.pds[place];
        (pd.guest, pd.smc, pd.passive, pd.cpu, pd.domain) = (None, false, false, 0, None);
        all.push(plain);
        let mut orphan = case.clone();
        orphan.system.pds[place].parent = None;
        all.push(orphan);
    }
    for place in 0..case.policy.components.len() {
        for inner in 0..case.policy.components[place].offers.len() {
            let mut smaller = case.clone();
            smaller.policy.components[place].offers.remove(inner);
            all.push(smaller);
        }
    }
    for place in 0..case.policy.grants.len() {
        let mut smaller = case.clone();
        let grant = &mut smaller.policy.grants[place];
        (grant.lease, grant.on_request, grant.delegate) = (false, false, Vec::new());
        all.push(smaller);
    }
    let count = symbols(&mut case.clone()).len();
    for place in 0..count {
        let mut plain = case.clone();
        *symbols(&mut plain)[place].1 = None;
        all.push(plain);
    }
    let mut plain = case.clone();
    plain.system.schedule.clear();
    all.push(plain);
    let mut long = case.clone();
    long.policy.inline = false;
    all.push(long);
    for place in 0..case.policy.statics.len() {
        let mut silent = case.clone();
        silent.policy.statics[place].dma = None;
        all.push(silent);
    }
    all.retain(|it| it != case);
    all
}

fn without_pd(case: &Case, name: &str) -> Case {
    let mut smaller = case.clone();
    let guest = case.system.pd(name).and_then(|it| it.guest.as_ref());
    let guest = guest.map(|it| Who::Guest(it.name.clone()));
    let gone = |who: &Who| *who == Who::pd(name) || Some(who) == guest.as_ref();
    let system = &mut smaller.system;
    system
        .pds
        .retain(|it| it.name != name && it.parent.as_deref() != Some(name));
    system
        .channels
        .retain(|ends| ends.iter().all(|end| end.pd != name));
    system
        .pds
        .iter_mut()
        .for_each(|it| it.caps.retain(|cap| cap.of != name));
    let policy = &mut smaller.policy;
    policy.components.retain(|it| it.name != name);
    policy.subjects.retain(|(who, _)| !gone(who));
    policy
        .grants
        .retain(|it| it.subject != name && it.object != name);
    policy
        .grants
        .iter_mut()
        .for_each(|it| it.delegate.retain(|to| to != name));
    policy.statics.retain(|line| {
        let about = match &line.what {
            What::Child(other) | What::Channel(other, _) | What::Cap(_, other) => other == name,
            _ => false,
        };
        !about && !gone(&line.who)
    });
    smaller
}

fn without_region(case: &Case, name: &str) -> Case {
    let mut smaller = case.clone();
    smaller.system.regions.retain(|it| it.name != name);
    for pd in &mut smaller.system.pds {
        pd.maps.retain(|it| it.region != name);
        pd.paddrs.retain(|(_, region)| region != name);
        pd.guest
            .iter_mut()
            .for_each(|it| it.maps.retain(|map| map.region != name));
    }
    smaller
        .system
        .devices
        .iter_mut()
        .for_each(|it| it.maps.retain(|map| map.region != name));
    let policy = &mut smaller.policy;
    policy.registers.retain(|(_, region)| region != name);
    policy
        .statics
        .retain(|it| !matches!(&it.what, What::Region(region, _) if region == name));
    policy
        .grants
        .retain(|it| it.region.as_deref() != Some(name));
    smaller
}
