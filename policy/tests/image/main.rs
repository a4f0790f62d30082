//! The rules that a finished image must keep: each is broken in turn in the image of the reference
//! appliance, and found.

mod broken;
mod change;
#[path = "../common/checked.rs"]
mod checked;
#[path = "../common/mod.rs"]
mod common;
mod robust;

use std::sync::{Arc, LazyLock};

use checked::{checked, nothing};
use common::{source, system};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::image::{self, Finding, Image};
use portcullis_policy::{Source, compile};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, System};

const AARCH64: Configuration = Configuration {
    architecture: Architecture::Aarch64,
    benchmark: false,
};

/// The reference appliance: its compiled policy, its system description, and its image.
struct Appliance {
    policy: Vec<u8>,
    system: System,
    image: Image,
}

static APPLIANCE: LazyLock<Appliance> = LazyLock::new(|| {
    let described = source("system.xml");
    let system = system(&described);
    let policy = compile(&checked(source("policy/appliance.toml"), &described));
    let compiled = Policy::inspect(&policy).unwrap();
    let distribution = Distribution::new(&compiled, &system, &AARCH64).unwrap();
    let image = image::testing::finished(&distribution, &compiled, &system);
    Appliance {
        policy,
        system,
        image,
    }
});

/// What is wrong with an image of the reference appliance.
fn check(image: &Image) -> Vec<Finding> {
    let policy = Policy::inspect(&APPLIANCE.policy).unwrap();
    image::check(&policy, &APPLIANCE.system, image)
}

#[test]
fn an_image_that_is_as_stated_holds() {
    assert_eq!(check(&APPLIANCE.image), []);
}

/// The builder has no policy text: what is wrong with the manager's memory must be found here too.
#[test]
fn the_managers_memory_is_nobody_elses() {
    let text = std::fs::read_to_string(common::file("system.xml")).unwrap();
    let vault = r#"<program_image path="vault.elf" />"#;
    let manager = r#"<program_image path="manager.elf" />"#;
    let end = "</system>";
    let space = r#"<io_address_space name="nic" peripheral_id="0:4.0" domain_id="1">"#;
    let machine = r#"<virtual_machine name="guest"><vcpu id="60" />"#;
    let cases = [
        (
            end,
            format!(
                r#"{space}<iomap mr="policy" iovaddr="0x1000" perms="w" /></io_address_space>"#
            ),
            "nic, the manager's region 'policy': maps region `policy` \"w\"",
        ),
        (
            vault,
            format!(
                r#"{machine}<map mr="policy_keys" vaddr="0x0" perms="rw" /></virtual_machine>"#
            ),
            "guest, the manager's region 'policy_keys': maps region `policy_keys` \"rw\"",
        ),
        (
            vault,
            r#"<cspace><cap_vspace slot="3" pd="ledger" /></cspace>"#.to_owned(),
            "vault, the manager's region 'grant_log_ack': holds the VSpace of `ledger`",
        ),
        (
            vault,
            r#"<cspace><cap_tcb slot="3" pd="manager" /></cspace>"#.to_owned(),
            "vault, the manager's region 'grant_log': holds the TCB of `manager`",
        ),
        (
            manager,
            r#"<map mr="vault_key" vaddr="0x20000000" perms="r" />"#.to_owned(),
            "manager, region 'vault_key': r; expected no mapping",
        ),
        (
            manager,
            r#"<irq irq="50" id="60" />"#.to_owned(),
            "manager, its authority: handles interrupt 50; expected nothing",
        ),
        (
            manager,
            r#"<irq irq="50" id="60" setvar_id="microkit_pps" />"#.to_owned(),
            "manager, its program: a setvar sets `microkit_pps` in `manager`",
        ),
        (
            manager,
            r#"<setvar symbol="ring" region_paddr="grant_log" />"#.to_owned(),
            "manager, its program: a setvar sets `ring` in `manager`",
        ),
        (
            vault,
            r#"<setvar symbol="microkit_pps" region_paddr="uart" />"#.to_owned(),
            "vault, its program: a setvar sets `microkit_pps` in `vault`",
        ),
    ];
    let policy = Policy::inspect(&APPLIANCE.policy).unwrap();
    for (after, more, expected) in cases {
        let broken = match after == end {
            true => text.replace(after, &format!("{more}{after}")),
            false => text.replace(after, &format!("{after}{more}")),
        };
        let system = portcullis_sdf::parse(&broken, &portcullis_sdf::Target::ANY).unwrap();
        let found = image::check(&policy, &system, &APPLIANCE.image);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let own = |it: &str| it.starts_with("image::custody") || it.starts_with("image::symbols");
        let is_found = |it: &String| own(it) && it.contains(expected);
        assert!(found.iter().any(is_found), "{expected}: {found:#?}");
    }
}

/// Without a grant log too.
#[test]
fn a_manager_without_a_log_is_nobodys() {
    let text = r#"<system>
        <memory_region name="policy" size="0x1000" prefill_path="a.policy" />
        <protection_domain name="manager" priority="200">
            <program_image path="manager.elf" />
            <map mr="policy" vaddr="0x10000000" perms="r" setvar_vaddr="policy" setvar_size="policy_size" />
        </protection_domain>
        <protection_domain name="a" priority="100">
            <program_image path="a.elf" />WRITES
        </protection_domain>
    </system>"#;
    let policy = "name = \"x\"\nversion = 1\n[domains]\nin = {}\n[components.manager]\ndomain = \"in\"\n\
                  [components.a]\ndomain = \"in\"\n[[static]]\ncomponent = \"manager\"\n\
                  region = \"policy\"\nperms = \"r\"\n";
    let found = |writes: &str| {
        let described = Arc::new(Source::new("system.xml", text.replace("WRITES", writes)));
        let system = system(&described);
        let sound = Arc::new(Source::new("system.xml", text.replace("WRITES", "")));
        let compiled = compile(&checked(Arc::new(Source::new("x.toml", policy)), &sound));
        let policy = Policy::inspect(&compiled).unwrap();
        let distribution = Distribution::new(&policy, &system, &AARCH64).unwrap();
        let image = image::testing::finished(&distribution, &policy, &system);
        let found = image::check(&policy, &system, &image);
        let custody = found.iter().map(ToString::to_string);
        let custody = custody.filter(|it| it.starts_with("image::custody"));
        custody.collect::<Vec<_>>()
    };
    assert!(found("").is_empty());
    let writes = r#"<map mr="policy" vaddr="0x10000000" perms="rw" />"#;
    let found = found(writes);
    let expected = "a, the manager's region 'policy'";
    assert!(found.iter().any(|it| it.contains(expected)), "{found:#?}");
}

/// What a description says of the manager's regions, and of what the boot fills, is held against the rules
/// though the policy may have been compiled for another.
#[test]
fn the_managers_memory_is_the_systems() {
    let text = std::fs::read_to_string(common::file("system.xml")).unwrap();
    let ack = "<memory_region name=\"grant_log_ack\"";
    let cases = [
        (
            ack,
            format!("{ack} prefill_path=\"17.bin\""),
            "region `grant_log_ack` is filled at boot",
        ),
        (
            ack,
            format!("{ack} phys_addr=\"0x4000000\""),
            "region `grant_log_ack` lies at 0x4000000",
        ),
        (
            " prefill_path=\"policy.pub\"",
            String::new(),
            "region `policy_keys` is not filled from a file",
        ),
        (
            "<map mr=\"grant_log\" vaddr=\"0x10000000\" perms=\"r\"",
            "<map mr=\"grant_log\" vaddr=\"0x10000000\" perms=\"r\" cached=\"false\"".to_owned(),
            "`ledger` maps region `grant_log` with cached=\"false\"",
        ),
        (
            "phys_addr=\"0x9000000\"",
            "phys_addr=\"0x9000000\" prefill_path=\"uart.bin\"".to_owned(),
            "physical address 0x9000000, filled at boot; expected ordinary memory",
        ),
    ];
    let policy = Policy::inspect(&APPLIANCE.policy).unwrap();
    for (from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let broken = text.replacen(from, &to, 1);
        let system = portcullis_sdf::parse(&broken, &portcullis_sdf::Target::ANY).unwrap();
        let found = image::check(&policy, &system, &APPLIANCE.image);
        let mut found = found.iter().map(ToString::to_string);
        assert!(found.any(|it| it.contains(expected)), "{expected}");
    }
}

/// Nothing in the rules knows of the appliance, or that there is a manager.
#[test]
fn a_system_without_a_manager_holds() {
    let described = source("policy/tests/fixtures/systems/family.xml");
    let system = system(&described);
    let policy = nothing();
    let policy = Policy::inspect(&policy).unwrap();
    let distribution = Distribution::new(&policy, &system, &AARCH64).unwrap();
    let mut image = image::testing::finished(&distribution, &policy, &system);
    image.policy = None;
    assert_eq!(image::check(&policy, &system, &image), []);
}

#[test]
fn the_book_has_every_rule() {
    let book = std::fs::read_to_string(common::file("docs/image-rules.md")).unwrap();
    for rule in image::Rule::ALL {
        let row = format!("| `{rule}` | {} |\n", rule.states());
        assert!(book.contains(&row), "{row}");
    }
}

#[test]
fn an_image_survives_json() {
    let json = serde_json::to_vec(&APPLIANCE.image).unwrap();
    assert_eq!(Image::read(&json).unwrap(), APPLIANCE.image);
}

#[test]
fn what_is_not_a_distribution_is_refused() {
    let refused = |json: &str| Image::read(json.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"format": 7, "boards": []}"#),
        "it has format 7, and this build reads 2: use the portcullis that came with its builder"
    );
    assert_eq!(refused("{}"), "missing field `format` at line 1 column 2");
    assert!(refused(r#"{"format": 2}"#).starts_with("missing field `board`"));
    let json = serde_json::to_string(&APPLIANCE.image).unwrap();
    let decimal = json.replacen("\"0x0\"", "\"0\"", 1);
    let message = refused(&decimal);
    assert!(
        message.contains("is not a hexadecimal number such as 0x1000"),
        "{message}"
    );
}
