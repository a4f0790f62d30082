//! Streams: memory that stands in `system.xml`, so it can be neither lent nor taken back, and that
//! the object must not write.

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_sdf::{Map, Perms, System};
use thiserror::Error;

use super::{Check, Described};
use crate::model::{ComponentId, Grant, Named, Place, Policy, When};

/// A stream that is none.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum StreamFault {
    /// A stream that is to come and go.
    #[error("a stream is there from boot to end, and this one {wish}")]
    #[diagnostic(
        code(policy::stream_is_static),
        help(
            "its memory stands in the system description, mapped whatever is granted: write `when = \"boot\"`, \
             without `lease` and `delegate`"
        )
    )]
    Static {
        /// What it should do.
        wish: &'static str,
    },
    /// The subject cannot write its stream.
    #[error("`{subject}` cannot write its stream: it {maps}")]
    #[diagnostic(
        code(policy::stream_not_written),
        help("map `{region}` in `{subject}` with perms=\"rw\" in `{file}`")
    )]
    NotWritten {
        /// The subject.
        subject: String,
        /// The region.
        region: String,
        /// How it maps it.
        maps: String,
        /// Name of the system description.
        file: String,
    },
    /// The object cannot read its stream.
    #[error("`{object}` cannot read its stream: it {maps}")]
    #[diagnostic(
        code(policy::stream_not_read),
        help("map `{region}` in `{object}` with perms=\"r\" in `{file}`")
    )]
    NotRead {
        /// The object.
        object: String,
        /// The region.
        region: String,
        /// How it maps it.
        maps: String,
        /// Name of the system description.
        file: String,
    },
    /// The object can write its stream, so that it is no one-way street.
    #[error("`{object}` can write the stream that it should only read: it {maps}")]
    #[diagnostic(
        code(policy::stream_written_back),
        help("map `{region}` in `{object}` with perms=\"r\" in `{file}`")
    )]
    WrittenBack {
        /// The object.
        object: String,
        /// The region.
        region: String,
        /// How it maps it.
        maps: String,
        /// Name of the system description.
        file: String,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    let policy = check.policy;
    let streams = policy.grants.iter().filter(|it| it.mode == Mode::Stream);
    for grant in streams {
        let wish = if grant.when == When::Request {
            "is to be issued on request"
        } else if grant.lease_ms.is_some() {
            "has a lease"
        } else if !grant.delegate.is_empty() {
            "can be delegated"
        } else {
            continue;
        };
        check.broken(&grant.places.mode, "a stream", StreamFault::Static { wish });
    }
}

/// Checks the streams against the mappings of the system.
pub(super) fn check_maps(check: &mut Check<'_>, described: Described<'_>) {
    for (grant, region) in streams(check.policy) {
        let mut faults = Vec::new();
        let ends = Ends::of(check.policy, described.system, grant, region);
        let Some(Ends { subject, object }) = ends else {
            // That the region is not there is reported elsewhere.
            continue;
        };
        let names = |component: ComponentId| check.policy.component(component).name.clone();
        let file = described.source.name().to_owned();
        let region_name = region.name.clone();
        let maps = |perms: Option<Perms>| match perms {
            None => String::from("does not map it"),
            Some(perms) => format!("maps it \"{perms}\""),
        };
        if !subject.is_some_and(|perms| perms.write) {
            faults.push(StreamFault::NotWritten {
                subject: names(grant.subject),
                region: region_name.clone(),
                maps: maps(subject),
                file: file.clone(),
            });
        }
        let (object_name, object_maps) = (names(grant.object), maps(object));
        match object {
            Some(perms) if perms.write => faults.push(StreamFault::WrittenBack {
                object: object_name,
                region: region_name,
                maps: object_maps,
                file,
            }),
            Some(perms) if perms.read => {}
            _ => faults.push(StreamFault::NotRead {
                object: object_name,
                region: region_name,
                maps: object_maps,
                file,
            }),
        }
        let place: Place = region.place.clone();
        for fault in faults {
            check.broken(&place, "this region", fault);
        }
    }
}

/// The streams of a policy with their regions.
fn streams(policy: &Policy) -> impl Iterator<Item = (&Grant, &Named)> {
    let region = |grant: &'_ Grant| grant.region.is_some();
    policy
        .grants
        .iter()
        .filter(move |grant| region(grant))
        .filter_map(|grant| Some((grant, grant.region.as_ref()?)))
}

/// How the two ends of a stream map its region; `None`: not at all.
struct Ends {
    subject: Option<Perms>,
    object: Option<Perms>,
}

impl Ends {
    fn of(policy: &Policy, system: &System, grant: &Grant, region: &Named) -> Option<Self> {
        let region = system.region_named(&region.name)?;
        let maps = |component: ComponentId| {
            let pd = system.pd_named(&policy.component(component).name)?;
            let here = |map: &&Map| map.region.value == region;
            system
                .pd(pd)
                .maps
                .iter()
                .filter(here)
                .map(|map| map.perms.value)
                .reduce(|a, b| Perms {
                    read: a.read || b.read,
                    write: a.write || b.write,
                    execute: a.execute || b.execute,
                })
        };
        Some(Self {
            subject: maps(grant.subject),
            object: maps(grant.object),
        })
    }
}
