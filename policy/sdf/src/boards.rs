//! Whether two descriptions are of one system, for two boards.
//!
//! A board decides where devices lie and which interrupts they raise: `phys_addr` of a region that has one,
//! `irq` and `trigger` of an `<irq>`. Everything else is the system's. Both texts are compared as they are
//! written, comments and blanks aside: of what the reader refuses, nothing can differ unseen.

use roxmltree::{Document, Node};

use crate::Errors;
use crate::read::not_xml;

/// In what `board` differs from `system` beside what a board decides, in words: at most one difference of each
/// element. Both are texts that [`parse`](crate::parse) reads.
///
/// # Errors
///
/// That a text is no XML.
pub fn differences(system: &str, board: &str) -> Result<Vec<String>, Errors> {
    let read = |text| Document::parse(text).map_err(|error| not_xml(text, &error));
    let (system, board) = (read(system)?, read(board)?);
    let mut found = Vec::new();
    compare(system.root_element(), board.root_element(), &mut found);
    Ok(found)
}

/// Compares two elements of one name.
fn compare(system: Node<'_, '_>, board: Node<'_, '_>, found: &mut Vec<String>) {
    let attributes = system.attributes().chain(board.attributes());
    let differs = attributes.map(|it| it.name()).find(|name| {
        let (own, other) = (system.attribute(*name), board.attribute(*name));
        own != other
            && !is_boards(
                system.tag_name().name(),
                name,
                own.is_some() == other.is_some(),
            )
    });
    if let Some(name) = differs {
        let shown = |value: Option<&str>| match value {
            Some(value) => format!("{value:?}"),
            None => String::from("not there"),
        };
        let [own, other] = [system, board].map(|node| shown(node.attribute(name)));
        found.push(format!(
            "{}: {name} is {own}, and {other} for the board",
            describe(system)
        ));
    }
    let mut own = system.children().filter(Node::is_element);
    let mut others = board.children().filter(Node::is_element);
    loop {
        match (own.next(), others.next()) {
            (Some(own), Some(other)) if own.tag_name() == other.tag_name() => {
                compare(own, other, found);
            }
            (None, None) => return,
            // What follows one that is missing is compared with nothing of its own.
            (Some(own), _) => {
                return found.push(format!("{} is not there for the board", describe(own)));
            }
            (None, Some(other)) => {
                return found.push(format!("{} is there for the board alone", describe(other)));
            }
        }
    }
}

/// Whether an attribute is the board's to decide. `in_both`: whether both descriptions have it.
fn is_boards(element: &str, attribute: &str, in_both: bool) -> bool {
    match (element, attribute) {
        ("memory_region", "phys_addr") | ("irq", "irq") => in_both,
        ("irq", "trigger") => true,
        _ => false,
    }
}

/// An element by its name, or by what it is about, and the element around it.
fn describe(node: Node<'_, '_>) -> String {
    let about = ["name", "mr", "symbol", "pd", "id", "path", "slot"];
    let about = about
        .into_iter()
        .find_map(|name| Some((name, node.attribute(name)?)));
    let own = node.tag_name().name();
    let own = match about {
        Some((name, value)) => format!("<{own} {name}={value:?}>"),
        None => format!("<{own}>"),
    };
    let is_top = |parent: &Node<'_, '_>| parent.parent_element().is_none();
    match node.parent_element().filter(|parent| !is_top(parent)) {
        Some(parent) => format!("{own} in {}", describe(parent)),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = r#"<system>
        <memory_region name="uart" size="0x1000" phys_addr="0x9000000" />
        <memory_region name="ack" size="0x1000" />
        <protection_domain name="manager" priority="200"><program_image path="m.elf" />
            <map mr="ack" vaddr="0x1000" perms="r" />
            <irq irq="33" id="1" trigger="edge" />
        </protection_domain>
        <channel><end pd="manager" id="2" /><end pd="a" id="0" pp="true" /></channel>
    </system>"#;

    fn with(from: &str, to: &str) -> Vec<String> {
        assert!(SYSTEM.contains(from), "{from}");
        differences(SYSTEM, &SYSTEM.replacen(from, to, 1)).unwrap()
    }

    #[test]
    fn a_board_decides_addresses_and_interrupts() {
        for (from, to) in [
            ("0x9000000", "0x10000000"),
            ("irq=\"33\"", "irq=\"10\""),
            (" trigger=\"edge\"", ""),
            ("<system>", "<system><!-- for another board -->\n"),
        ] {
            assert_eq!(with(from, to), [""; 0], "{from}");
        }
    }

    #[test]
    fn everything_else_is_the_systems() {
        for (from, to, expected) in [
            (
                "name=\"ack\"",
                "name=\"ack\" prefill_path=\"17.bin\"",
                "<memory_region name=\"ack\">: prefill_path is not there, and \"17.bin\" for the board",
            ),
            (
                "name=\"ack\"",
                "name=\"ack\" phys_addr=\"0x4000000\"",
                "<memory_region name=\"ack\">: phys_addr is not there, and \"0x4000000\" for the board",
            ),
            (
                "perms=\"r\"",
                "perms=\"rw\"",
                "<map mr=\"ack\"> in <protection_domain name=\"manager\">: perms is \"r\", and \"rw\" for the \
                 board",
            ),
            (
                "irq=\"33\" id=\"1\"",
                "irq=\"33\" id=\"3\"",
                "<irq id=\"1\"> in <protection_domain name=\"manager\">: id is \"1\", and \"3\" for the board",
            ),
            (
                "pp=\"true\"",
                "",
                "<end pd=\"a\"> in <channel>: pp is \"true\", and not there for the board",
            ),
            (
                "<channel>",
                "<channel><end pd=\"evil\" id=\"1\" /></channel><channel>",
                "<channel> is there for the board alone",
            ),
            (
                "<irq irq=\"33\" id=\"1\" trigger=\"edge\" />",
                "",
                "<irq id=\"1\"> in <protection_domain name=\"manager\"> is not there for the board",
            ),
            (
                "<irq",
                "<setvar symbol=\"s\" region_paddr=\"ack\" /><irq",
                "<irq id=\"1\"> in <protection_domain name=\"manager\"> is not there for the board",
            ),
        ] {
            let found = with(from, to);
            assert!(found.iter().any(|it| it == expected), "{found:#?}");
        }
    }
}
