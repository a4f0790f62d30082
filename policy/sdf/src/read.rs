//! From XML to the model: every attribute and child of every element, and what can be said of each
//! by itself. What holds between elements is in `check`.

mod channel;
mod device;
mod memory;
mod protection_domain;
mod schedule;
mod virtual_machine;

use roxmltree::Document;

use crate::element::{Context, Element, Text, is_foreign, start_tag};
use crate::names::Names;
use crate::{Board, Error, Errors, Fault, MAX_PROTECTION_DOMAINS, PciAddress, System};

/// Reads the text. The system lacks what could not be read; for each such thing there is an error.
pub(crate) fn read(text: &str, board: &Board) -> Result<(System, Errors), Errors> {
    tags_are_short(text)?;
    namespaces_are_few(text)?;
    let document = Document::parse(text).map_err(|error| not_xml(text, &error))?;
    let root = document.root_element();
    let context = Context::new(board);
    if !root.has_tag_name("system") {
        let root_name = root.tag_name().name().to_owned();
        context.note(start_tag(root), Fault::NotASystem { root: root_name });
        return Ok((System::default(), context.into_errors()));
    }
    if is_foreign(&context, root) {
        return Ok((System::default(), context.into_errors()));
    }
    let names = Names::collect(root);
    if names.pd_count > MAX_PROTECTION_DOMAINS {
        // Also bounds how deep protection domains can be nested.
        let fault = Fault::TooManyProtectionDomains {
            found: names.pd_count,
            limit: MAX_PROTECTION_DOMAINS,
        };
        context.note(start_tag(root), fault);
        return Ok((System::default(), context.into_errors()));
    }
    let system = system(Element::new(root, "system", &[], &context), &names);
    Ok((system, context.into_errors()))
}

/// Most bytes of a tag: the XML parser compares each attribute of an element with every other.
const MAX_TAG: usize = 1 << 16;

/// Most declarations of XML namespaces: the parser compares those of an element with those around it, however
/// deep. A description needs none.
const MAX_NAMESPACES: usize = 64;

fn namespaces_are_few(text: &str) -> Result<(), Errors> {
    let Some((at, _)) = text.match_indices("xmlns").nth(MAX_NAMESPACES) else {
        return Ok(());
    };
    let message = format!(
        "it declares more than {MAX_NAMESPACES} namespaces, which a system description does not need"
    );
    Err(unread(at, message))
}

/// The error of a text that is not given to the XML parser, or not understood by it.
fn unread(at: usize, message: String) -> Errors {
    Errors::one(Error {
        span: at..at,
        related: None,
        fault: Fault::Xml { message },
    })
}

fn tags_are_short(text: &str) -> Result<(), Errors> {
    let mut start = 0;
    // A `>` in a value ends a part too early, and makes it shorter: what is long is found all the same.
    for part in text.split_inclusive('>') {
        let comment = |part: &str| part.trim_start().starts_with("<!--");
        let tag = part.rfind('<').map_or(part, |at| &part[at..]);
        if tag.len() > MAX_TAG && !comment(tag) {
            let at = start + part.len() - tag.len();
            let length = tag.len();
            let message = format!("a tag has {length} bytes, and at most {MAX_TAG} are read");
            return Err(unread(at, message));
        }
        start += part.len();
    }
    Ok(())
}

/// What the root element can hold.
const CHILDREN: &[&str] = &[
    "protection_domain",
    "memory_region",
    "channel",
    "io_address_space",
    "domains",
    "virtual_machine",
];

fn system(element: Element<'_, '_>, names: &Names<'_>) -> System {
    let context = element.context;
    let children: Vec<_> = element.children(CHILDREN).collect();
    let domains = schedule::domains(&children, context);
    let mut domains_of_pds = protection_domain::Reader::new(names, domains.names());
    let mut system = System::default();
    for (name, node) in children {
        match name {
            "protection_domain" => domains_of_pds.read(node, None, context),
            "memory_region" => system.memory_regions.extend(memory::region(node, context)),
            "channel" => system
                .channels
                .extend(channel::channel(node, names, context)),
            "io_address_space" => {
                let space = memory::io_address_space(node, names, context);
                system.io_address_spaces.extend(space);
            }
            "virtual_machine" => context.note(start_tag(node), Fault::VirtualMachineAtTop),
            // Read above, since protection domains refer to it.
            _ => {}
        }
    }
    system.protection_domains = domains_of_pds.finish();
    system.domains = domains.finish();
    system
}

pub(crate) fn not_xml(text: &str, error: &roxmltree::Error) -> Errors {
    let position = error.pos();
    let line_start = line_start(text, position.row as usize);
    let offset = line_start
        + text[line_start..]
            .chars()
            .take((position.col as usize).saturating_sub(1))
            .map(char::len_utf8)
            .sum::<usize>();
    unread(offset, error.to_string())
}

/// Offset of the first byte of a line, counted from 1.
fn line_start(text: &str, line: usize) -> usize {
    let after_newline = |(at, _)| at + 1;
    let mut starts = text.match_indices('\n').map(after_newline);
    match line {
        0 | 1 => 0,
        _ => starts.nth(line - 2).unwrap_or(text.len()),
    }
}

/// A PCI device's address.
fn pci_address(text: Text<'_>) -> Result<PciAddress, Fault> {
    text.value.parse().map_err(|()| Fault::BadPciAddress {
        attribute: text.attribute,
        text: text.value.to_owned(),
    })
}
