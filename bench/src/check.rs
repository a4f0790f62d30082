//! How long `portcullis check` takes, and how much memory, for policies far larger than any in use.
//!
//! The policies are generated: 60 components in six domains, calls within a domain, sends from
//! each domain to those after it, and a `never` rule for each way back, so that every check has all
//! of its work to do and finds nothing but that they are too many for a manager's table. Each check runs in a process of its own: its time is that of
//! the whole process, its memory the kernel's high-water mark.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use portcullis_policy::{Problem, Source, check, read};
use portcullis_sdf::Target;
use tempfile::TempDir;

use crate::Line;

/// First argument of the process that checks; the policy and the system description follow.
const CHECK: &str = "check-in-a-process";
const POLICY: &str = "policy.toml";
const SYSTEM: &str = "system.xml";
/// Domains, and components in each.
const DOMAINS: usize = 6;
const MEMBERS: usize = 10;
/// Grants of the smaller policy; the larger has twice as many.
const GRANTS: usize = 10_000;
/// Runs of each; the quickest counts.
const RUNS: usize = 5;
/// Methods of an interface. No two interfaces have one of the same number.
const METHODS: usize = 2;
/// What is found: the policies are larger than a manager's table.
const TOO_MANY: &str = "policy::too_many_grants_for_manager";

/// Bytes of the ring for the grant log: a boot of the larger policy, 512 bytes a record, fits.
const RING: usize = 1 << 24;

/// What one check took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    mebibytes: f64,
}

/// Checks policies of 10,000 and of 20,000 grants.
pub(crate) fn measure() -> Vec<Line> {
    let [small, large] = [GRANTS, 2 * GRANTS].map(Input::new);
    let (mut small_cost, mut large_cost) = (Cost::WORST, Cost::WORST);
    // In turn, so that what else the machine does disturbs both alike.
    for _ in 0..RUNS {
        small_cost = small_cost.or_better(small.check());
        large_cost = large_cost.or_better(large.check());
    }
    let (small, large) = (small_cost, large_cost);
    let ratio = large.seconds / small.seconds;
    vec![
        Line {
            name: "policy check of 10,000 grants over 60 components",
            value: small.seconds,
            unit: "s",
            bar: "< 1",
            holds: small.seconds < 1.0,
        },
        Line {
            name: "policy check of 10,000 grants, peak memory",
            value: small.mebibytes,
            unit: "MiB",
            bar: "< 200",
            holds: small.mebibytes < 200.0,
        },
        Line {
            name: "policy check of 20,000 grants against 10,000",
            value: ratio,
            unit: "times",
            bar: "<= 2.5",
            holds: ratio <= 2.5,
        },
    ]
}

/// Checks, if this process was started to; gives its exit code.
pub(crate) fn child_main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != CHECK {
        return None;
    }
    let [policy, system] = [arguments.next()?, arguments.next()?];
    let read = |path| {
        Source::read(Path::new(path))
            .expect("the parent wrote it")
            .into()
    };
    let (policy, text): (Arc<Source>, Arc<Source>) = (read(&policy), read(&system));
    let (grants, problems) = checked(policy, &text);
    for problem in &problems {
        eprintln!("{problem}");
    }
    println!("{grants} {}", peak_kibibytes());
    Some(match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// How many grants a policy has, and what is wrong with it on a system, its size left out.
fn checked(policy: Arc<Source>, description: &Arc<Source>) -> (usize, Vec<Problem>) {
    let system = portcullis_sdf::parse(description.text(), &Target::ANY).expect("it is generated");
    let reading = read::read(policy);
    let mut found = reading.problems;
    found.extend(check::with_system(&reading.policy, &system, description));
    let mut problems = Vec::from(found);
    problems.retain(|problem| problem.code_name() != TOO_MANY);
    (reading.policy.grants.len(), problems)
}

/// The most memory that this process had in use (`VmHWM` of proc(5)).
fn peak_kibibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .expect("the kernel writes a number of kB")
}

/// A policy and its system description, in files.
struct Input {
    folder: TempDir,
    grants: usize,
}

impl Input {
    fn new(grants: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [(POLICY, policy_text(grants)), (SYSTEM, system_text())] {
            std::fs::write(folder.path().join(name), text).expect("a temporary file");
        }
        Self { folder, grants }
    }

    /// Checks it in a process of its own.
    fn check(&self) -> Cost {
        let executable = std::env::current_exe().expect("this program has a path");
        let start = Instant::now();
        let output = Command::new(executable)
            .args([CHECK, POLICY, SYSTEM])
            .current_dir(&self.folder)
            .output()
            .expect("this program starts");
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<usize> = said.split_whitespace().flat_map(str::parse).collect();
        match numbers.as_slice() {
            [checked, kibibytes] if *checked == self.grants && output.status.success() => Cost {
                seconds,
                mebibytes: *kibibytes as f64 / 1024.0,
            },
            _ => {
                let error = String::from_utf8_lossy(&output.stderr);
                panic!("the check failed: {error}")
            }
        }
    }
}

impl Cost {
    const WORST: Self = Self {
        seconds: f64::INFINITY,
        mebibytes: 0.0,
    };

    /// The quicker of two runs, and the more memory: what disturbs a run only makes it slower.
    fn or_better(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.min(other.seconds),
            mebibytes: self.mebibytes.max(other.mebibytes),
        }
    }
}

fn policy_text(grants: usize) -> String {
    let pairs: Vec<(usize, usize)> = (0..DOMAINS * MEMBERS)
        .flat_map(|subject| (subject + 1..DOMAINS * MEMBERS).map(move |object| (subject, object)))
        .collect();
    let interfaces = grants.div_ceil(pairs.len());
    let mut text = String::from("name = \"generated\"\nversion = 1\n");
    write_vocabulary(&mut text, interfaces).expect("a string takes everything");
    // The last grant is the manager's, to the component that keeps the log.
    text.push_str(
        "[[grants]]\nsubject = \"manager\"\nobject = \"log\"\ninterface = \"i0\"\n\
         methods = [\"method0\"]\nmode = \"stream\"\nregion = \"ring\"\nwhen = \"boot\"\n",
    );
    for (component, region, perms) in [
        ("manager", "policy", "r"),
        ("manager", "keys", "r"),
        ("manager", "ack", "r"),
        ("log", "ack", "rw"),
    ] {
        write!(
            text,
            "[[static]]\ncomponent = \"{component}\"\nregion = \"{region}\"\nperms = \"{perms}\"\n"
        )
        .expect("a string takes everything");
    }
    for number in 0..grants - 1 {
        let (subject, object) = pairs[number % pairs.len()];
        write_grant(&mut text, number, subject, object, number / pairs.len())
            .expect("a string takes everything");
    }
    text
}

fn write_vocabulary(text: &mut String, interfaces: usize) -> std::fmt::Result {
    writeln!(text, "[domains]\nmanager = {{}}")?;
    for domain in 0..DOMAINS {
        writeln!(text, "d{domain} = {{}}")?;
    }
    for interface in 0..interfaces {
        writeln!(text, "[interfaces.i{interface}]")?;
        for method in 0..METHODS {
            writeln!(text, "method{method} = {}", METHODS * interface + method)?;
        }
    }
    let offers: Vec<String> = (0..interfaces).map(|it| format!("\"i{it}\"")).collect();
    let offers = offers.join(", ");
    writeln!(text, "[components.manager]\ndomain = \"manager\"")?;
    writeln!(
        text,
        "[components.log]\ndomain = \"manager\"\noffers = [\"i0\"]"
    )?;
    for component in 0..DOMAINS * MEMBERS {
        let domain = component / MEMBERS;
        writeln!(
            text,
            "[components.c{component}]\ndomain = \"d{domain}\"\noffers = [{offers}]"
        )?;
    }
    for from in 0..DOMAINS {
        for to in from + 1..DOMAINS {
            writeln!(
                text,
                "[[flows]]\nfrom = \"d{from}\"\nto = \"d{to}\"\nmodes = [\"send\"]"
            )?;
            writeln!(text, "[[never]]\nfrom = \"d{to}\"\nto = \"d{from}\"")?;
        }
    }
    Ok(())
}

fn write_grant(
    text: &mut String,
    number: usize,
    subject: usize,
    object: usize,
    interface: usize,
) -> std::fmt::Result {
    let mode = if subject / MEMBERS == object / MEMBERS {
        "call"
    } else {
        "send"
    };
    writeln!(
        text,
        "[[grants]]\nsubject = \"c{subject}\"\nobject = \"c{object}\"\ninterface = \"i{interface}\"\n\
         methods = [\"method0\", \"method1\"]\nmode = \"{mode}\""
    )?;
    if number.is_multiple_of(4) {
        writeln!(text, "when = \"request\"")?;
    } else {
        writeln!(text, "when = \"boot\"")?;
    }
    writeln!(text, "reason = \"grant {number} of a generated policy\"")
}

fn system_text() -> String {
    let mut text = format!("<system>\n<memory_region name=\"ring\" size=\"{RING:#x}\" />\n");
    for (region, filled) in [
        ("ack", ""),
        ("policy", "prefill_path=\"policy\""),
        ("keys", "prefill_path=\"keys\""),
    ] {
        writeln!(
            text,
            "<memory_region name=\"{region}\" size=\"0x1000\" {filled} />"
        )
        .expect("a string takes everything");
    }
    let mut pd = |name: &str, priority: usize, maps: &str| {
        writeln!(
            text,
            "<protection_domain name=\"{name}\" priority=\"{priority}\">\
             <program_image path=\"{name}.elf\" />{maps}</protection_domain>"
        )
        .expect("a string takes everything");
    };
    let map = |region: &str, vaddr: &str, perms: &str, symbol: &str| {
        format!(
            "<map mr=\"{region}\" vaddr=\"{vaddr}\" perms=\"{perms}\" setvar_vaddr=\"{symbol}\" \
             setvar_size=\"{symbol}_size\" />"
        )
    };
    let log = |ring, ack| {
        map("ring", "0x10000000", ring, "grant_log")
            + &map("ack", "0x20000000", ack, "grant_log_ack")
    };
    let policy = map("policy", "0x20010000", "r", "policy");
    let keys = map("keys", "0x20020000", "r", "policy_keys");
    pd("manager", 200, &(log("rw", "r") + &policy + &keys));
    pd("log", 150, &log("r", "rw"));
    let mut names = vec!["log".to_owned()];
    for component in 0..DOMAINS * MEMBERS {
        let name = format!("c{component}");
        pd(&name, 10 + component, "");
        names.push(name);
    }
    for (id, name) in names.iter().enumerate() {
        writeln!(
            text,
            "<channel><end pd=\"{name}\" id=\"0\" pp=\"true\" notify=\"false\" />\
             <end pd=\"manager\" id=\"{id}\" notify=\"false\" /></channel>"
        )
        .expect("a string takes everything");
    }
    text + "</system>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule of the checker that came later is met before somebody measures.
    #[test]
    fn the_generated_policy_holds() {
        let policy = Source::new("generated.toml", policy_text(100)).into();
        let (grants, problems) =
            checked(policy, &Source::new("generated.xml", system_text()).into());
        assert_eq!((grants, problems.len()), (100, 0), "{problems:?}");
    }
}
