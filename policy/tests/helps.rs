//! Adding every line that the helps name is enough, and never too much: over random systems, a policy that
//! declares its components alone holds after one round, or after two where there are domain boundaries.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use portcullis_policy::{Described, Problems, Source, load};
use portcullis_sdf::{System, Target, parse};
use proptest::prelude::*;

/// A random system: what each of a few protection domains has.
#[derive(Clone, Debug)]
struct Shape {
    maps: Vec<(usize, usize, bool)>,
    channels: Vec<(usize, usize, bool, bool, bool)>,
    irqs: BTreeSet<u8>,
    setvars: BTreeSet<(usize, usize)>,
    guest: Option<usize>,
    device: Option<usize>,
    ports: BTreeSet<usize>,
    child: bool,
    smc: bool,
}

const PDS: usize = 4;
const REGIONS: usize = 3;

fn shape() -> impl Strategy<Value = Shape> {
    let maps = prop::collection::vec((0..PDS, 0..REGIONS, any::<bool>()), 0..7);
    let ends = (0..PDS, 0..PDS, any::<bool>(), any::<bool>(), any::<bool>());
    let channels = prop::collection::vec(ends, 0..5);
    let irqs = prop::collection::btree_set(40..60_u8, 0..3);
    let setvars = prop::collection::btree_set((0..PDS, 0..REGIONS), 0..3);
    let (guest, device) = (prop::option::of(0..REGIONS), prop::option::of(0..REGIONS));
    let ports = prop::collection::btree_set(0..PDS, 0..2);
    let flags = (any::<bool>(), any::<bool>());
    (maps, channels, irqs, setvars, guest, device, ports, flags).prop_map(
        |(maps, channels, irqs, setvars, guest, device, ports, (child, smc))| Shape {
            maps,
            channels,
            irqs,
            setvars,
            guest,
            device,
            ports,
            child,
            smc,
        },
    )
}

fn description(shape: &Shape) -> String {
    let mut xml = String::from("<system>");
    // The last can be a device's registers.
    for region in 0..REGIONS {
        let place = match region + 1 {
            REGIONS => " phys_addr=\"0x9000000\"",
            _ => "",
        };
        write!(
            xml,
            "<memory_region name=\"r{region}\" size=\"0x1000\"{place} />"
        )
        .unwrap();
    }
    // A channel between two domains only once, and from the lower priority to the higher.
    let mut joined = BTreeSet::new();
    for (id, (a, b, pp, one, other)) in shape.channels.iter().enumerate() {
        let (low, high) = (a.min(b), a.max(b));
        if low == high || !joined.insert((low, high)) {
            continue;
        }
        write!(
            xml,
            "<channel><end pd=\"p{low}\" id=\"{id}\" pp=\"{pp}\" notify=\"{one}\" />\
             <end pd=\"p{high}\" id=\"{id}\" notify=\"{other}\" /></channel>"
        )
        .unwrap();
    }
    if let Some(region) = shape.device {
        write!(
            xml,
            "<io_address_space name=\"the nic\" peripheral_id=\"0:3.0\" domain_id=\"1\">\
             <iomap mr=\"r{region}\" iovaddr=\"0x1000\" /></io_address_space>"
        )
        .unwrap();
    }
    for pd in 0..PDS {
        let (first, priority) = (pd == 0, 10 + pd);
        let smc = first && shape.smc;
        write!(
            xml,
            "<protection_domain name=\"p{pd}\" priority=\"{priority}\" smc=\"{smc}\"><program_image path=\"p.elf\" />"
        )
        .unwrap();
        for (at, (owner, region, write)) in shape.maps.iter().enumerate() {
            let perms = if *write { "rw" } else { "r" };
            if *owner == pd {
                write!(
                    xml,
                    "<map mr=\"r{region}\" vaddr=\"0x{at}1000\" perms=\"{perms}\" />"
                )
                .unwrap();
            }
        }
        for (_, region) in shape.setvars.iter().filter(|(owner, _)| *owner == pd) {
            write!(
                xml,
                "<setvar symbol=\"r{region}\" region_paddr=\"r{region}\" />"
            )
            .unwrap();
        }
        if shape.ports.contains(&pd) {
            write!(xml, "<ioport id=\"1\" addr=\"0x{pd}f8\" size=\"8\" />").unwrap();
        }
        if first {
            for (number, irq) in shape.irqs.iter().enumerate() {
                write!(xml, "<irq irq=\"{irq}\" id=\"{}\" />", 30 + number).unwrap();
            }
            if shape.child {
                xml += "<protection_domain name=\"child\" id=\"9\"><program_image path=\"c.elf\" /></protection_domain>";
            }
        }
        if let (true, Some(region)) = (pd == 1, shape.guest) {
            write!(
                xml,
                "<virtual_machine name=\"guest\"><vcpu id=\"0\" /><map mr=\"r{region}\" vaddr=\"0\" /></virtual_machine>"
            )
            .unwrap();
        }
        xml += "</protection_domain>";
    }
    xml + "</system>"
}

/// A policy that declares domains and components alone.
fn bare(system: &System, domains: usize) -> String {
    let mut text = String::from("name = \"x\"\nversion = 1\n[domains]\n");
    for domain in 0..domains {
        writeln!(text, "d{domain} = {{}}").unwrap();
    }
    for (number, pd) in system.protection_domains.iter().enumerate() {
        let (name, domain) = (&pd.name.value, number % domains);
        writeln!(text, "[components.{name}]\ndomain = \"d{domain}\"").unwrap();
    }
    text
}

/// The rules that a help names, as the policy language writes them.
fn rules(help: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for table in ["guests", "devices"] {
        let named = help.split_once(&format!("add [{table}."));
        if let Some((name, rest)) = named.and_then(|(_, rest)| rest.split_once("] with its domain"))
        {
            let fields = rest.split(" to the policy").next().unwrap();
            let fields = fields.replace(" and ", "");
            rules.push(format!("[{table}.{name}]\ndomain = \"d0\"\n{fields}\n"));
        }
    }
    if let Some((_, toml)) = help.split_once(":\n[[static]]\n") {
        rules.push(format!("[[static]]\n{toml}\n"));
    }
    if let Some((_, rest)) = help.split_once("`[[flows]]` rule with ") {
        let fields = rest.split(", or remove").next().unwrap();
        let fields = fields.replace(", to", "\nto").replace(", modes", "\nmodes");
        rules.push(format!("[[flows]]\n{fields}\nreason = \"r\"\n"));
    }
    rules
}

fn check(policy: &str, system: &System, text: &Arc<Source>) -> Result<(), Problems> {
    let policy = Arc::new(Source::new("policy.toml", policy));
    load(policy, Some(Described::new(system, text))).map(drop)
}

/// What is left after so many rounds of adding every rule that a help names.
fn after(rounds: usize, domains: usize, xml: &str) -> Result<(), String> {
    let system = parse(xml, &Target::ANY).unwrap_or_else(|errors| panic!("{errors}\n{xml}"));
    let text = Arc::new(Source::new("system.xml", xml));
    let mut policy = bare(&system, domains);
    for _ in 0..rounds {
        let Err(problems) = check(&policy, &system, &text) else {
            return Ok(());
        };
        let all = problems.iter().flat_map(|problem| rules(&problem.remedy()));
        // A flow may be named by several problems, a line by one alone.
        let (flows, lines): (BTreeSet<String>, Vec<String>) = {
            let (flows, lines): (Vec<_>, Vec<_>) = all.partition(|it| it.starts_with("[[flows]]"));
            (flows.into_iter().collect(), lines)
        };
        policy.extend(lines);
        policy.extend(flows);
    }
    check(&policy, &system, &text).map_err(|problems| format!("{problems}\n{policy}\n{xml}"))
}

/// The line for calls and the line for notifying are two helps of one channel, and do not clash.
#[test]
fn a_channel_that_calls_and_notifies_holds_after_one_round() {
    let xml = "<system><protection_domain name=\"server\" priority=\"100\" passive=\"true\">\
               <program_image path=\"s.elf\" /></protection_domain>\
               <protection_domain name=\"client\" priority=\"99\"><program_image path=\"c.elf\" />\
               </protection_domain><channel><end pd=\"server\" id=\"0\" />\
               <end pd=\"client\" id=\"0\" pp=\"true\" /></channel></system>";
    after(1, 1, xml).unwrap_or_else(|left| panic!("{left}"));
    after(2, 2, xml).unwrap_or_else(|left| panic!("{left}"));
}

proptest! {
    #[test]
    fn adding_what_the_helps_name_is_enough(shape in shape()) {
        let xml = description(&shape);
        prop_assert_eq!(after(1, 1, &xml), Ok(()));
        // The boundaries that a line crosses are known once the line is there.
        prop_assert_eq!(after(2, 2, &xml), Ok(()));
    }
}
