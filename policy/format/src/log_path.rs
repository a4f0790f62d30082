//! Whom the grant log depends on.

use portcullis_kernel::Mode;

/// The components, a bit each, without whose grants no record of the grant log becomes durable: the
/// manager, the object of its first `stream`, which keeps the log, and whom that waits for, since it
/// calls them or sends to them. `grants` gives subject, object and mode of all that a policy allows;
/// components are numbers below 62.
pub fn log_path(manager: u16, grants: impl Iterator<Item = (u16, u16, Mode)> + Clone) -> u64 {
    let mut streams = grants.clone();
    let log = streams.find(|(subject, _, mode)| *subject == manager && *mode == Mode::Stream);
    let mut path = log.map_or(0, |(_, object, _)| 1 << object);
    loop {
        let waits = grants.clone().filter(|(subject, _, mode)| {
            matches!(mode, Mode::Call | Mode::Send) && path & 1 << subject != 0
        });
        let longer = waits.fold(path, |path, (_, object, _)| path | 1 << object);
        if longer == path {
            return path | 1 << manager;
        }
        path = longer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_depends_on_whom_its_keeper_waits_for() {
        let grants = [
            (3, 4, Mode::Call),
            (2, 3, Mode::Send),
            (0, 2, Mode::Stream),
            (0, 8, Mode::Stream),
            (5, 2, Mode::Call),
            (2, 6, Mode::Notify),
            (4, 7, Mode::Stream),
            (3, 0, Mode::Call),
        ];
        assert_eq!(log_path(0, grants.into_iter()), 0b1_1101);
        assert_eq!(log_path(9, grants.into_iter()), 1 << 9, "no log");
    }
}
