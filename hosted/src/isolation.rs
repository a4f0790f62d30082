//! Which walls this machine can put around a component, and what to do where one is missing.

use std::fmt;

use crate::component::Isolation;

/// Looks for what the sandbox needs of the kernel.
pub trait Probe {
    /// Landlock's version; `Err` says why there is none.
    fn landlock(&self) -> Result<u32, String>;
    /// Whether seccomp can end a process; `Err` says why not.
    fn seccomp(&self) -> Result<(), String>;
}

/// Asks the kernel that this process runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

/// A wall that is missing, and that nobody accepted to do without.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weaker {
    /// Why there is no Landlock, where there is none.
    pub landlock: Option<String>,
    /// Why there is no seccomp, where there is none.
    pub seccomp: Option<String>,
}

/// The walls to put up: all, or where a person accepted weaker isolation, those that there are.
pub fn isolation(probe: &impl Probe, accept_weaker: bool) -> Result<Isolation, Weaker> {
    let missing = Weaker {
        landlock: probe.landlock().err(),
        seccomp: probe.seccomp().err(),
    };
    let isolation = Isolation {
        landlock: missing.landlock.is_none(),
        seccomp: missing.seccomp.is_none(),
    };
    if isolation == Isolation::FULL || accept_weaker {
        Ok(isolation)
    } else {
        Err(missing)
    }
}

impl Probe for ThisMachine {
    fn landlock(&self) -> Result<u32, String> {
        /// `LANDLOCK_CREATE_RULESET_VERSION`: the call asks for the version and makes nothing.
        const VERSION: libc::c_long = 1;
        // SAFETY: with this flag landlock_create_ruleset(2) takes a null pointer and the size 0.
        let version = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::null::<u8>(),
                0_usize,
                VERSION,
            )
        };
        match (
            u32::try_from(version),
            std::io::Error::last_os_error().raw_os_error(),
        ) {
            (Ok(version @ 1..), _) => Ok(version),
            (_, Some(libc::ENOSYS)) => {
                Err("this kernel is older than 5.13, or built without it".into())
            }
            (_, Some(libc::EOPNOTSUPP)) => {
                Err("it is switched off: add it to the kernel parameter lsm=".into())
            }
            _ => Err(std::io::Error::last_os_error().to_string()),
        }
    }

    fn seccomp(&self) -> Result<(), String> {
        /// `SECCOMP_GET_ACTION_AVAIL`.
        const GET_ACTION_AVAIL: libc::c_long = 2;
        let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
        // SAFETY: seccomp(2) with this operation reads one u32, which outlives the call.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) };
        if result == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error().to_string())
        }
    }
}

impl fmt::Display for Weaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("components cannot be isolated as they should be on this machine:")?;
        for (name, missing) in [("Landlock", &self.landlock), ("seccomp", &self.seccomp)] {
            if let Some(why) = missing {
                write!(f, " no {name} ({why});")?;
            }
        }
        f.write_str(" to run all the same, with weaker isolation, add --accept-weaker-isolation")
    }
}

impl std::error::Error for Weaker {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine {
        landlock: bool,
        seccomp: bool,
    }

    impl Probe for Machine {
        fn landlock(&self) -> Result<u32, String> {
            self.landlock
                .then_some(7)
                .ok_or_else(|| "not built in".into())
        }

        fn seccomp(&self) -> Result<(), String> {
            self.seccomp
                .then_some(())
                .ok_or_else(|| "not allowed here".into())
        }
    }

    #[test]
    fn with_every_wall_all_of_them_go_up() {
        let machine = Machine {
            landlock: true,
            seccomp: true,
        };
        for accept in [false, true] {
            assert_eq!(isolation(&machine, accept), Ok(Isolation::FULL));
        }
    }

    #[test]
    fn a_missing_wall_is_named_with_the_flag_that_accepts_it() {
        for (landlock, seccomp, named) in [
            (false, true, &["no Landlock (not built in)"][..]),
            (true, false, &["no seccomp (not allowed here)"]),
            (
                false,
                false,
                &[
                    "no Landlock (not built in)",
                    "no seccomp (not allowed here)",
                ],
            ),
        ] {
            let machine = Machine { landlock, seccomp };
            let message = isolation(&machine, false).unwrap_err().to_string();
            for name in named.iter().chain(&["--accept-weaker-isolation"]) {
                assert!(message.contains(name), "{message}");
            }
            let accepted = isolation(&machine, true).unwrap();
            assert_eq!(accepted, Isolation { landlock, seccomp });
        }
    }
}
