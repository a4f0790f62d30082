//! Words for what a record says, with the names of the policy where that is at hand.

use portcullis_audit::Hex;
use portcullis_audit::policies::PolicyTable;
use portcullis_fsck::record::WALL_CLOCK;
use portcullis_kernel::{Behind, MethodSet, Principal};
use portcullis_log::checkpoint::origin;
use portcullis_log::{Cause, Outcome};

const NANOSECONDS: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60;

pub(super) fn component(policy: Option<&PolicyTable>, number: u16) -> String {
    policy.map_or_else(
        || format!("#{number}"),
        |policy| policy.component_name(number),
    )
}

pub(super) fn interface(policy: Option<&PolicyTable>, number: u16) -> String {
    let name = policy.and_then(|policy| policy.interface(number));
    name.map_or_else(|| format!("#{number}"), str::to_owned)
}

pub(super) fn methods(policy: Option<&PolicyTable>, interface: u16, methods: MethodSet) -> String {
    match policy {
        Some(policy) => policy.method_names(interface, methods),
        None => {
            let numbers: Vec<_> = methods.iter().map(|it| it.number().to_string()).collect();
            numbers.join(", ")
        }
    }
}

pub(super) fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Forbidden => "forbidden".into(),
        Outcome::NotPermitted => "not permitted".into(),
        Outcome::Unavailable => "unavailable".into(),
        Outcome::Error(code) => format!("error {code}"),
    }
}

fn principal(policy: Option<&PolicyTable>, principal: Principal) -> String {
    let component = component(policy, principal.component);
    match principal.behind {
        None => component,
        Some(Behind::Guest(number)) => format!("{component} for guest #{number}"),
        Some(Behind::Key(key)) => format!("{component} for key {}", Hex(&key)),
        Some(Behind::Token(digest)) => format!("{component} for token {}", Hex(&digest)),
        Some(Behind::Host) => format!("{component} for the host"),
    }
}

/// Why, of a record that names this version of the policy.
pub(super) fn cause(policy: Option<&PolicyTable>, version: u32, cause: Cause) -> String {
    match cause {
        Cause::Policy { line } => format!("line {line}"),
        Cause::Request { by, line } => {
            let line = line.map_or_else(|| "no line".into(), |line| format!("line {line}"));
            format!("asked by {}, {line}", principal(policy, by))
        }
        Cause::Load { policy: sha256, .. } => {
            let name = policy.map_or_else(String::new, |policy| format!("{} ", policy.name));
            format!("policy {name}version {version} ({})", Hex(&sha256[..8]))
        }
        Cause::Complete { grants } => format!("{grants} grants in force"),
        Cause::Fault {
            component: from,
            fault,
        } => format!("{} faulted: {fault}", component(policy, from)),
        Cause::Leaves {
            disk,
            log,
            size,
            root,
        } => {
            let (origin, root) = (origin(log, disk), Hex(&root[..8]));
            format!("leaves {size} records of {origin}, root {root}")
        }
    }
}

/// A time that people read: UTC to the millisecond, or seconds since boot.
pub(super) fn time(nanoseconds: u64) -> String {
    let (seconds, rest) = (nanoseconds / NANOSECONDS, nanoseconds % NANOSECONDS);
    let milliseconds = rest / 1_000_000;
    if nanoseconds < WALL_CLOCK {
        return format!("+{seconds}.{milliseconds:03} s");
    }
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day is the last of its year; 400 years have
    // 146,097 days, and 0000-03-01 is 719,468 days before 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next_year, month, day - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        let at = |seconds: u64| time(seconds * NANOSECONDS);
        assert_eq!(at(1_700_000_000), "2023-11-14 22:13:20.000Z");
        assert_eq!(at(951_782_399), "2000-02-28 23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00.000Z");
        assert_eq!(at(951_868_800), "2000-03-01 00:00:00.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00.000Z");
        assert_eq!(at(1_767_225_599), "2025-12-31 23:59:59.000Z");
        assert_eq!(time(12_345_678_901), "+12.345 s");
        assert_eq!(time(u64::MAX), "2554-07-21 23:34:33.709Z");
    }
}
