//! Whether the manager is nobody's but its own, and nobody is the manager's.
//!
//! `never` rules do not look at paths through the manager, since it passes nothing on. That is true
//! only while no component controls it: holds its TCB, scheduling context or VSpace, is its parent, or
//! writes memory that it maps; and while it has nothing but its own memory. The exceptions are [`PeerPages`]:
//! the page on which the log's keeper acknowledges records, from which the manager takes nothing but a
//! count, and believes it only so far; and the pages of `boot_seed` and `utc_offset`, which a system may
//! do without: one component each states there what the boot's id is made of, and what time it is. No
//! grant depends on either. The page `lease_deadline` goes the other way: the manager alone writes it.
//!
//! Manager, keeper and clock find their memory by the symbols that `system.xml` sets. Each symbol has one
//! region and exact rights: a name alone protects nothing. No other symbol of the manager is set, and no
//! symbol of anybody's runtime ([`symbols`](super::symbols)).

use std::collections::{BTreeSet, HashSet};

use miette::Diagnostic;
use portcullis_sdf::{Map, PdId, Perms, RegionId, Spanned, System};
use thiserror::Error;

use super::{Check, Described, roles, symbols};
use crate::clock::{self, DEADLINE};
use crate::model::{MANAGER, Policy, Subject};
use crate::problem::Problem;
use crate::relation::{Cause, Fact, Kind, Object, Power, Registers, Relation, Rights, grant_log};

/// The symbols by which the manager finds its memory, with the rights it needs.
const MANAGERS: [(&str, Perms); 4] = [
    (POLICY, Perms::READ),
    ("policy_keys", Perms::READ),
    (RING, Perms::READ_WRITE),
    (ACKNOWLEDGEMENT, Perms::READ),
];
/// The symbols of pages that a system may do without: on each, one component states something.
const STATEMENTS: [(&str, Perms); 2] = [(SEED, Perms::READ), (UTC, Perms::READ)];
/// The symbol of the page, which a system may do without, that the manager writes for the clock.
const DEADLINES: (&str, Perms) = (DEADLINE, Perms::READ_WRITE);
/// That of the clock.
const CLOCKS: (&str, Perms) = (DEADLINE, Perms::READ);
/// Those of the component that keeps the grant log.
const KEEPERS: [(&str, Perms); 2] = [(RING, Perms::READ), (ACKNOWLEDGEMENT, Perms::READ_WRITE)];
/// The compiled policy.
pub(crate) const POLICY: &str = "policy";
/// The ring that carries the grant log.
const RING: &str = "grant_log";
/// The page on which its keeper says which records are durable.
pub(crate) const ACKNOWLEDGEMENT: &str = "grant_log_ack";
/// The page with random bytes, of which the boot's id is made.
pub(super) const SEED: &str = "boot_seed";
/// The page that says how far UTC is ahead of the counter.
const UTC: &str = "utc_offset";

/// Somebody controls the manager, or it controls somebody.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Error, Diagnostic)]
pub enum CustodyFault {
    /// Through a capability, or as its parent.
    #[error("{holder} would hold {authority}, and could make the manager do anything")]
    #[diagnostic(
        code(policy::manager_held),
        help("remove the rule: no component controls the manager")
    )]
    Held {
        /// The component.
        holder: String,
        /// What it would hold.
        authority: String,
    },
    /// Through memory.
    #[error("{holder} would write region `{region}`, which the manager maps")]
    #[diagnostic(
        code(policy::manager_memory_written),
        help(
            "give it perms = \"r\", or another region: the manager reads only one page that the keeper \
             of the grant log writes, on which it acknowledges records, and by the symbols boot_seed and \
             utc_offset one page each that one component writes"
        )
    )]
    Written {
        /// Who writes it.
        holder: String,
        /// The region.
        region: String,
    },
    /// The other way round: the manager controls another protection domain, or a guest.
    #[error("`{MANAGER}` would hold {authority}, and be told of its faults under another number")]
    #[diagnostic(
        code(policy::manager_parent),
        help(
            "give it another parent, or none: the manager is told of the faults of components by \
             their numbers, and would take this one's for another's"
        )
    )]
    Parent {
        /// What it would hold.
        authority: String,
    },
    /// Anything but its own memory.
    #[error("`{MANAGER}` {does}, and may have nothing but its own memory")]
    #[diagnostic(
        code(policy::manager_holds),
        help(
            "remove it: the manager maps the compiled policy, the keys, the ring of the grant log, the \
             page of its acknowledgement, and at most the pages boot_seed, utc_offset and \
             lease_deadline, each by its symbol, and needs nothing else"
        )
    )]
    Holds {
        /// What it has.
        does: String,
    },
    /// The manager can wait for a component.
    #[error("`{MANAGER}` would call `{peer}` on a static channel, and may wait for nobody")]
    #[diagnostic(
        code(policy::manager_calls),
        help("remove the rule: a component that does not answer must not stop the manager")
    )]
    Calls {
        /// Whom it calls.
        peer: String,
    },
    /// A symbol that is not set.
    #[error("nothing in `{pd}` sets the symbol `{symbol}`, by which it finds {what}")]
    #[diagnostic(
        code(policy::symbol_not_set),
        help(
            "write setvar_vaddr=\"{symbol}\", setvar_size=\"{symbol}_size\" and perms=\"{perms}\" on the \
             <map> of {what} in `{pd}`, and add that <map> where there is none"
        )
    )]
    NotSet {
        /// The protection domain.
        pd: String,
        /// The symbol.
        symbol: &'static str,
        /// What it should find there.
        what: &'static str,
        /// How it maps it.
        perms: Perms,
    },
    /// A symbol of which address and size are not those of one region.
    #[error(
        "in `{pd}`, `{symbol}_size` is not set to the size of the region that `{symbol}` is set to"
    )]
    #[diagnostic(
        code(policy::symbol_split),
        help(
            "write setvar_size=\"{symbol}_size\" on the <map> that has setvar_vaddr=\"{symbol}\""
        )
    )]
    Split {
        /// The protection domain.
        pd: String,
        /// The symbol.
        symbol: &'static str,
    },
    /// A symbol of a region that is mapped otherwise than its role says.
    #[error(
        "`{pd}` maps region `{region}` \"{found}\" as `{symbol}`, {what}, which it maps \"{perms}\""
    )]
    #[diagnostic(code(policy::symbol_rights), help("map it with perms=\"{perms}\""))]
    Rights {
        /// The protection domain.
        pd: String,
        /// The symbol.
        symbol: &'static str,
        /// The region.
        region: String,
        /// What it is.
        what: &'static str,
        /// How it is mapped.
        found: Perms,
        /// How it must be.
        perms: Perms,
    },
    /// A symbol of another region than its role says.
    #[error(
        "in `{pd}`, `{symbol}` is set to region `{region}`, which is not {what}: that is {expected}"
    )]
    #[diagnostic(
        code(policy::symbol_swapped),
        help(
            "set each symbol to the region of its own, the same in the manager, the log's keeper and the clock"
        )
    )]
    Swapped {
        /// The protection domain.
        pd: String,
        /// The symbol.
        symbol: &'static str,
        /// The region.
        region: String,
        /// What it should be.
        what: &'static str,
        /// The region that it is, in words.
        expected: String,
    },
    /// A symbol of the manager that is none of those by which it finds its memory.
    #[error(
        "a setvar sets `{symbol}` in `{MANAGER}`, where only the symbols of its regions may be set"
    )]
    #[diagnostic(
        code(policy::manager_symbol),
        help(
            "remove it: to set any other symbol changes the manager's program, or what Microkit tells \
             it of its channels"
        )
    )]
    ManagerSymbol {
        /// The symbol.
        symbol: String,
    },
    /// A symbol of a program's runtime.
    #[error("a setvar sets `{symbol}` in `{pd}`, a symbol of the runtime")]
    #[diagnostic(
        code(policy::runtime_symbol),
        help(
            "name a variable of the program's own: names that begin with \"_\", \"microkit_\" or \
             \"sel4_\", and the entry points, are those of Microkit and seL4, and setting one changes \
             how the component receives"
        )
    )]
    RuntimeSymbol {
        /// The protection domain.
        pd: String,
        /// The symbol.
        symbol: String,
    },
    /// The manager's symbols are looked up in a file that is not its program.
    #[error("the symbols of `{pd}` are looked up in `{path}`, and not in its program")]
    #[diagnostic(
        code(policy::symbols_elsewhere),
        help(
            "remove path_for_symbols: another file can say that a symbol lies where another does"
        )
    )]
    Elsewhere {
        /// The protection domain.
        pd: String,
        /// The other file.
        path: String,
    },
}

/// The pages that the manager reads and another component writes, by the names of their regions.
#[derive(Clone, Default, Debug)]
pub(crate) struct PeerPages<'a> {
    /// That on which the keeper of the grant log acknowledges.
    pub(crate) acknowledgement: Option<&'a str>,
    /// Those on which one component each states something, each with the symbol by which it is found.
    pub(crate) statements: Vec<(&'static str, &'a str)>,
}

impl<'a> PeerPages<'a> {
    /// As far as the policy alone tells: the page of acknowledgement by who writes it, the others by
    /// their names.
    pub(super) fn declared(policy: &'a Policy, declared: &Relation<'a>) -> Self {
        let regions = managers_regions(declared).into_iter();
        let statement = |region| {
            let mut symbols = STATEMENTS.iter().map(|(symbol, _)| *symbol);
            Some((symbols.find(|symbol| *symbol == region)?, region))
        };
        Self {
            acknowledgement: acknowledgement(policy, declared),
            statements: regions.filter_map(statement).collect(),
        }
    }

    /// Whether those who write a region, beside the manager, may. `keeper` keeps the grant log.
    fn allow(&self, region: &str, keeper: Option<&str>, writers: &[Subject<'_>]) -> bool {
        let [Subject::Component(writer)] = writers else {
            return writers.is_empty();
        };
        let acknowledges = self.acknowledgement == Some(region) && keeper == Some(writer);
        acknowledges || self.statements.iter().any(|(_, own)| *own == region)
    }
}

/// Checks what the policy allows, or what the system description gives. `said`: what was reported.
pub(super) fn check(
    check: &mut Check<'_>,
    relation: &Relation<'_>,
    pages: &PeerPages<'_>,
    said: &mut HashSet<CustodyFault>,
) {
    let mut report = |check: &mut Check<'_>, fact: &Fact<'_>, label, fault: CustodyFault| {
        if said.insert(fault.clone()) {
            check.at(&fact.cause, label, fault);
        }
    };
    for fact in relation.facts() {
        let (fault, label) = if let Some(fault) = controls(fact) {
            (fault, "control of the manager")
        } else if let Some(fault) = managers(fact) {
            (fault, "the manager's")
        } else {
            continue;
        };
        report(check, fact, label, fault);
    }
    let keeper = grant_log(check.policy).map(|(_, keeper)| &check.policy.component(keeper).name);
    for (region, writer, fact) in writers(relation, keeper.map(String::as_str), pages) {
        if controls(&fact).is_none() {
            let fault = CustodyFault::Written {
                holder: writer.to_string(),
                region: region.to_owned(),
            };
            report(check, &fact, "control of the manager", fault);
        }
    }
}

/// Who else can write what the manager maps: region, writer, and what lets them. Left out is who may:
/// see [`PeerPages`].
pub(crate) fn writers<'a>(
    relation: &Relation<'a>,
    keeper: Option<&str>,
    pages: &PeerPages<'_>,
) -> Vec<(&'a str, Subject<'a>, Fact<'a>)> {
    let mut found = Vec::new();
    let regions = managers_regions(relation);
    // Whoever writes through the manager is at fault, and whoever else may write is not for that.
    let own = relation.writers(&regions, |fact| !fact.is_managers());
    for (region, mut writers) in relation.writers(&regions, |_| true) {
        writers.remove(&Subject::Component(MANAGER));
        let all = own.get(region).into_iter().flat_map(|it| it.keys());
        let all: Vec<_> = all.copied().filter(|it| writers.contains_key(it)).collect();
        for (writer, fact) in writers {
            // Of several, the keeper may still acknowledge: the others are at fault.
            let own = [writer];
            let judged = if pages.acknowledgement == Some(region) {
                &own
            } else {
                &all[..]
            };
            if !all.contains(&writer) || !pages.allow(region, keeper, judged) {
                found.push((region, writer, fact));
            }
        }
    }
    found
}

/// What of a system description is refused here: who, and what they could do to what.
pub(super) fn refused<'a>(
    policy: &Policy,
    given: &Relation<'a>,
    described: Described<'a>,
    pages: &PeerPages<'_>,
) -> HashSet<(Subject<'a>, Object<'a>)> {
    let system = described.system;
    let is_refused = |fact: &&Fact<'_>| {
        let drives = fact.is_managers() && matches!(fact.object, Object::Memory(_));
        controls(fact).is_some() || managers(fact).is_some() || drives
    };
    let facts = given.facts().iter().filter(is_refused);
    let facts = facts.map(|fact| (fact.subject, fact.object));
    let keeper = grant_log(policy).map(|(_, keeper)| policy.component(keeper).name.as_str());
    let written = writers(given, keeper, pages);
    let written = written
        .iter()
        .map(|(_, _, fact)| (fact.subject, fact.object));
    let manager = system.pd_named(MANAGER);
    let surplus = manager.into_iter().flat_map(|it| surplus(system, it));
    let surplus = surplus.map(|map| {
        let region = &system.region(map.region.value).name.value;
        (Subject::Component(MANAGER), Object::Region(region))
    });
    facts.chain(written).chain(surplus).collect()
}

/// The region on which the keeper acknowledges, as far as the policy alone tells: the one that the
/// keeper writes and the manager only reads; of several, the one of that name.
fn acknowledgement<'a>(policy: &'a Policy, declared: &Relation<'a>) -> Option<&'a str> {
    let (_, keeper) = grant_log(policy)?;
    let keeper = Subject::Component(&policy.component(keeper).name);
    let regions = declared.regions();
    let rights = |region, subject| regions.get(&(region, subject)).map(|(rights, _)| *rights);
    let is_one = |region: &&'a str| {
        let manager = rights(region, Subject::Component(MANAGER));
        let keeper = rights(region, keeper);
        manager.is_some_and(|it| !it.has(Rights::WRITE))
            && keeper.is_some_and(|it| it.has(Rights::WRITE))
    };
    let found: Vec<_> = managers_regions(declared)
        .into_iter()
        .filter(is_one)
        .collect();
    let named = found.iter().find(|region| **region == ACKNOWLEDGEMENT);
    named.or(found.first()).copied()
}

fn managers_regions<'a>(relation: &Relation<'a>) -> BTreeSet<&'a str> {
    let mapped = relation
        .facts()
        .iter()
        .filter_map(|fact| match fact.object {
            Object::Region(region) if fact.is_managers() && fact.kind != Kind::Address => {
                Some(region)
            }
            _ => None,
        });
    mapped.collect()
}

/// That a fact is power over the manager.
pub(crate) fn controls(fact: &Fact<'_>) -> Option<CustodyFault> {
    let Object::Power(_, Subject::Component(MANAGER)) = fact.object else {
        return None;
    };
    (!fact.is_managers()).then(|| CustodyFault::Held {
        holder: fact.subject.to_string(),
        authority: fact.object.describe(),
    })
}

/// That a fact is the manager's, and one that it may not have.
pub(crate) fn managers(fact: &Fact<'_>) -> Option<CustodyFault> {
    match fact.object {
        _ if !fact.is_managers() => None,
        Object::Power(Power::Parent | Power::Monitor, _) => Some(CustodyFault::Parent {
            authority: fact.object.describe(),
        }),
        Object::Component(peer) if fact.kind == Kind::Channel && fact.rights.has(Rights::CALL) => {
            let peer = peer.to_owned();
            Some(CustodyFault::Calls { peer })
        }
        // Its own TCB is refused to everybody.
        Object::Power(_, of) if of == fact.subject => None,
        // Ports, and registers that it maps, are refused themselves.
        Object::Memory(Registers::Ports { .. }) => None,
        Object::Memory(_) if matches!(fact.cause, Cause::Element(_)) => None,
        Object::Power(..)
        | Object::Interrupt(_)
        | Object::Ports { .. }
        | Object::Firmware
        | Object::Memory(_) => Some(CustodyFault::Holds {
            does: fact.describe(),
        }),
        _ => None,
    }
}

/// The symbols of the manager, with the rights that it needs.
fn roles() -> impl Iterator<Item = (&'static str, Perms)> {
    MANAGERS.into_iter().chain(STATEMENTS).chain([DEADLINES])
}

/// The role of a mapping that sets one of the manager's symbols: its region, and the rights that it needs.
fn role(map: &Map) -> Option<(RegionId, Perms)> {
    let symbol = map.setvar_vaddr.as_ref()?;
    let role = roles().find(|(role, _)| symbol.value == *role);
    role.map(|(_, perms)| (map.region.value, perms))
}

/// The symbols by which the manager finds its memory, as far as this mapping sets them.
pub(super) fn needed_symbols(map: &Map) -> impl Iterator<Item = &Spanned<String>> {
    let is_role = |symbol: &str| roles().any(|(role, _)| symbol == role);
    let address = map.setvar_vaddr.as_ref();
    let size = map.setvar_size.as_ref();
    let size = size.filter(move |it| it.value.strip_suffix("_size").is_some_and(is_role));
    let address = address.filter(move |it| is_role(&it.value));
    address.into_iter().chain(size)
}

/// What the manager maps beside the regions of its symbols, or with more rights than their roles need.
pub(crate) fn surplus(system: &System, manager: PdId) -> Vec<&Map> {
    let maps = &system.pd(manager).maps;
    let roles: Vec<(RegionId, Perms)> = maps.iter().filter_map(role).collect();
    let is_needed = |map: &Map| {
        roles
            .iter()
            .any(|(region, perms)| *region == map.region.value && map.perms.value.is_subset(*perms))
    };
    maps.iter().filter(|map| !is_needed(map)).collect()
}

/// Whether the manager maps nothing but the regions of its symbols, with no more rights than it needs.
pub(super) fn maps(check: &mut Check<'_>, described: Described<'_>) {
    let system = described.system;
    let Some(manager) = system.pd_named(MANAGER) else {
        return;
    };
    // The mapping that sets a symbol is judged with the symbol, where there is something to grant.
    // Where a symbol is not set, a mapping that sets none may be the one that lacks it.
    let lacks = MANAGERS.iter().any(|(symbol, _)| {
        let mut set = system.pd(manager).maps.iter();
        !set.any(|map| {
            map.setvar_vaddr
                .as_ref()
                .is_some_and(|it| it.value == *symbol)
        })
    });
    let may_lack = |map: &Map| {
        map.setvar_vaddr.is_none() && system.region(map.region.value).phys_addr.is_none()
    };
    let is_judged =
        |map: &Map| check.ceiling.count() > 0 && (role(map).is_some() || lacks && may_lack(map));
    let surplus = surplus(system, manager).into_iter();
    let surplus: Vec<&Map> = surplus.filter(|map| !is_judged(map)).collect();
    for map in surplus {
        let region = &system.region(map.region.value).name.value;
        let does = format!("maps region `{region}` \"{}\"", map.perms.value);
        check.at(
            &Cause::Element(&map.span),
            "the manager's",
            CustodyFault::Holds { does },
        );
    }
}

/// Whether no symbol is set that must not be.
pub(super) fn set_symbols(check: &mut Check<'_>, described: Described<'_>) {
    let system = described.system;
    for (symbol, fault) in system.pd_ids().flat_map(|id| symbols::refused(system, id)) {
        let place = described.source.place(symbol.span.clone());
        let problem = Problem::broken(described.source, &place, "this symbol", fault);
        check.problems.push(problem);
    }
}

/// Whether each symbol of manager, keeper and clock is set to the region of its role, with exact rights. Gives
/// the pages that others write.
pub(super) fn symbols<'s>(check: &mut Check<'_>, described: Described<'s>) -> PeerPages<'s> {
    let Described { system, source, .. } = described;
    let policy = check.policy;
    let Some(manager) = system.pd_named(MANAGER) else {
        return PeerPages::default();
    };
    let log = grant_log(policy);
    let keeper = log.and_then(|(_, keeper)| system.pd_named(&policy.component(keeper).name));
    let ring = log.and_then(|(ring, _)| system.region_named(ring));
    let found = bindings(system, manager, keeper, ring);
    if check.ceiling.count() > 0 {
        // What a region must be made of is known where each symbol has its own.
        let is_bound = found.faults.is_empty();
        let made_of = is_bound.then(|| roles::faults(system, &found.ends, &found.regions));
        for (span, fault) in found.faults {
            let place = source.place(span);
            let problem = Problem::broken(source, &place, "here", fault);
            check.problems.push(problem);
        }
        for (span, fault) in made_of.into_iter().flatten() {
            let place = source.place(span);
            let problem = Problem::broken(source, &place, "the manager's", fault);
            check.problems.push(problem);
        }
    }
    found.pages
}

/// What the symbols of manager, keeper and clock are set to.
pub(crate) struct Bindings<'s> {
    /// The regions, each with its symbol.
    pub(crate) regions: Vec<(&'static str, RegionId)>,
    /// Those who map them: the manager, the keeper of the grant log, the clock.
    pub(crate) ends: Vec<PdId>,
    /// The pages that others write.
    pub(crate) pages: PeerPages<'s>,
    /// What is wrong, with its place in the system description.
    pub(crate) faults: Vec<(portcullis_sdf::Span, CustodyFault)>,
}

/// Looks the symbols up. `keeper`: who keeps the grant log; `ring`: the region of its stream, where that is
/// known.
pub(crate) fn bindings(
    system: &System,
    manager: PdId,
    keeper: Option<PdId>,
    ring: Option<RegionId>,
) -> Bindings<'_> {
    let clock = clock::of(system).map(|clock| clock.pd);
    let ends = [Some(manager), keeper, clock];
    let mut bindings = Bindings {
        ends: ends.into_iter().flatten().collect(),
        // That there is no ring is found elsewhere.
        regions: ring.map(|ring| (RING, ring)).into_iter().collect(),
        pages: PeerPages::default(),
        faults: Vec::new(),
    };
    let roles = MANAGERS.map(|role| (manager, role)).into_iter();
    let keepers = keeper.into_iter();
    let keepers = keepers.flat_map(|keeper| KEEPERS.map(|role| (keeper, role)));
    let optional = STATEMENTS.into_iter().chain([DEADLINES]);
    let optional = optional.filter(|(symbol, _)| is_set(system, manager, symbol));
    let optional = optional.map(|role| (manager, role));
    let clocks = clock.map(|clock| (clock, CLOCKS));
    for (pd, (symbol, perms)) in roles.chain(keepers).chain(optional).chain(clocks) {
        bindings.role(system, pd, symbol, perms);
    }
    for pd in &bindings.ends {
        let pd = system.pd(*pd);
        if let Some(path) = &pd.program.path_for_symbols {
            let fault = CustodyFault::Elsewhere {
                pd: pd.name.value.clone(),
                path: path.value.clone(),
            };
            bindings.faults.push((path.span.clone(), fault));
        }
    }
    let name = |symbol| {
        let id = bindings.region(symbol)?;
        Some(system.region(id).name.value.as_str())
    };
    bindings.pages = PeerPages {
        acknowledgement: name(ACKNOWLEDGEMENT),
        statements: [SEED, UTC]
            .into_iter()
            .filter_map(|symbol| Some((symbol, name(symbol)?)))
            .collect(),
    };
    bindings
}

/// Whether a mapping sets the symbol of an address, or that of its size.
fn is_set(system: &System, pd: PdId, symbol: &str) -> bool {
    let sets = |map: &Map| {
        let size = map.setvar_size.as_ref();
        let size = size.and_then(|it| it.value.strip_suffix("_size"));
        let address = map.setvar_vaddr.as_ref().map(|it| it.value.as_str());
        address == Some(symbol) || size == Some(symbol)
    };
    system.pd(pd).maps.iter().any(sets)
}

impl Bindings<'_> {
    /// The region of a symbol.
    pub(crate) fn region(&self, symbol: &str) -> Option<RegionId> {
        let mut regions = self.regions.iter();
        regions.find(|(own, _)| *own == symbol).map(|(_, id)| *id)
    }

    /// Looks one symbol up in a protection domain, and holds it against the regions of those before.
    fn role(&mut self, system: &System, pd: PdId, symbol: &'static str, perms: Perms) {
        let of = system.pd(pd);
        let name = || of.name.value.clone();
        let sets = |map: &&Map| {
            map.setvar_vaddr
                .as_ref()
                .is_some_and(|it| it.value == symbol)
        };
        let Some(map) = of.maps.iter().find(sets) else {
            let (pd, what) = (name(), what(symbol));
            let fault = CustodyFault::NotSet {
                pd,
                symbol,
                what,
                perms,
            };
            return self.faults.push((of.span.clone(), fault));
        };
        let mut note = |fault| self.faults.push((map.span.clone(), fault));
        let size = map.setvar_size.as_ref().map(|size| size.value.as_str());
        if size.and_then(|size| size.strip_suffix("_size")) != Some(symbol) {
            note(CustodyFault::Split { pd: name(), symbol });
        }
        let region = map.region.value;
        let region_name = |id| system.region(id).name.value.clone();
        if map.perms.value != perms {
            note(CustodyFault::Rights {
                pd: name(),
                symbol,
                region: region_name(region),
                what: what(symbol),
                found: map.perms.value,
                perms,
            });
        }
        let same = self.regions.iter().find(|(other, _)| *other == symbol);
        let taken = self.regions.iter().find(|(_, other)| *other == region);
        let expected = match (same, taken) {
            (Some((_, own)), _) if *own != region => format!("`{}`", region_name(*own)),
            (None, Some((other, _))) => format!("another, and `{other}` is set to this"),
            (None, None) => return self.regions.push((symbol, region)),
            _ => return,
        };
        let fault = CustodyFault::Swapped {
            pd: name(),
            symbol,
            region: region_name(region),
            what: what(symbol),
            expected,
        };
        self.faults.push((map.span.clone(), fault));
    }
}

/// Whether a symbol is set to memory that the manager or another fills while they run.
pub(super) fn is_written(symbol: &str) -> bool {
    [RING, ACKNOWLEDGEMENT, SEED, UTC, DEADLINE].contains(&symbol)
}

/// What a symbol is set to.
pub(super) fn what(symbol: &str) -> &'static str {
    match symbol {
        POLICY => "the compiled policy",
        "policy_keys" => "the keys that may sign a policy",
        RING => "the ring that carries the grant log",
        SEED => "the page with random bytes, of which the boot's id is made",
        UTC => "the page that says how far UTC is ahead of the counter",
        DEADLINE => "the page on which the manager leaves its next deadline",
        _ => "the page on which the grant log's keeper says what is durable",
    }
}
