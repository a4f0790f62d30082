//! What the appliance takes, beside the same system without manager and grant log.
//!
//! The other image is Microkit's own: the same programs, regions and priorities, without the manager's
//! protection domain, its channels and the grant log's memory. It is made to be weighed, not to run:
//! its programs would not find their grants.

use std::error::Error;
use std::fs;

use portcullis_appliance::Appliance;
use portcullis_qemu::{Image, Sdk, System};
use serde::Deserialize;

use super::{Bar, root, short};
use crate::Line;

/// What an image takes, in bytes, as the builder writes it.
#[derive(Deserialize)]
struct Sizes {
    image: u64,
    objects: u64,
    initialiser: u64,
}

pub(super) fn lines(sdk: &Sdk) -> Result<Vec<Line>, Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let system = System::appliance();
    let policy = root().join("policy/appliance.toml");
    let state = scratch.path().join("state");
    let mut appliance = Appliance::prepare(&policy, &system.description, &state)?;
    appliance.pack(&root().join("samples/documents"), &mut |_, _| ())?;
    let with = Sizes::of(&system.build(sdk, appliance.state().path())?)?;

    let description = scratch.path().join("system.xml");
    let text = fs::read_to_string(&system.description)?;
    fs::write(&description, without_manager(&text)?)?;
    let bare = System {
        name: "appliance-without-manager".to_owned(),
        description,
        ..system
    };
    let without = Sizes::of(&bare.build_stock(sdk, appliance.state().path())?)?;

    let board = short(sdk.board);
    let line = |what: &str, bytes: u64| {
        let name = format!("seL4 {board}, release: {what}");
        Bar::None.line(name, bytes as f64 / 1024.0, "KiB")
    };
    Ok(vec![
        line("image, appliance", with.image),
        line("image, no manager, no log", without.image),
        line("memory, appliance", with.memory()),
        line("memory, no manager, no log", without.memory()),
    ])
}

impl Sizes {
    fn of(image: &Image) -> Result<Self, Box<dyn Error>> {
        Ok(serde_json::from_slice(&fs::read(&image.sizes)?)?)
    }

    /// What is taken for as long as the system runs.
    fn memory(&self) -> u64 {
        self.objects + self.initialiser
    }
}

/// The description without the manager's protection domain and channels, and without the memory of
/// policy and grant log.
fn without_manager(text: &str) -> Result<String, roxmltree::Error> {
    const REGIONS: [&str; 4] = ["policy", "policy_keys", "grant_log", "grant_log_ack"];
    let document = roxmltree::Document::parse(text)?;
    let of_manager = |node: &roxmltree::Node<'_, '_>| {
        let is = |attribute, names: &[&str]| {
            node.attribute(attribute)
                .is_some_and(|value| names.contains(&value))
        };
        match node.tag_name().name() {
            "protection_domain" => is("name", &["manager"]),
            "memory_region" => is("name", &REGIONS),
            "map" => is("mr", &REGIONS),
            "channel" => node
                .children()
                .any(|end| end.attribute("pd") == Some("manager")),
            _ => false,
        }
    };
    let mut kept = String::new();
    let mut at = 0;
    for node in document.descendants().filter(of_manager) {
        let range = node.range();
        // What lies inside of what was left out is gone already.
        if range.start >= at {
            kept += &text[at..range.start];
            at = range.end;
        }
    }
    Ok(kept + &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_its_channels_and_its_memory_are_left_out_and_nothing_else_is() {
        let text = fs::read_to_string(System::appliance().description).unwrap();
        let parse =
            |text: &str| portcullis_sdf::parse(text, &portcullis_sdf::Target::AARCH64).unwrap();
        let (with, without) = (parse(&text), parse(&without_manager(&text).unwrap()));
        assert_eq!(
            with.protection_domains.len(),
            without.protection_domains.len() + 1
        );
        assert_eq!(with.memory_regions.len(), without.memory_regions.len() + 4);
        assert_eq!(without.channels.len(), 0, "all of them are to the manager");
    }
}
