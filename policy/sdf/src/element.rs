//! Reads one XML element: its attributes as values, its children by name, each fault noted.
//!
//! Nothing that stands in an element is passed over: an attribute or child that is not in the list
//! that the caller gives is a fault, and so is text. What nobody reads could hide an authority.

use std::cell::RefCell;

use portcullis_text::identifier;
use roxmltree::{Attribute, Node};

use crate::number::{parse_decimal, parse_number};
use crate::{Board, Errors, Fault, Span, Spanned, Target};

/// How addresses and sizes are written.
const ANY_NOTATION: &str =
    "decimal digits, or 0x and hexadecimal digits; underscores may stand between them";

/// Errors with which a name that may be meant is looked for: each is compared with all names.
const SUGGESTIONS: usize = 100;

/// What all elements of one description share.
pub(crate) struct Context<'t> {
    /// What the description is for.
    pub(crate) board: &'t Board,
    /// Its target.
    pub(crate) target: &'t Target,
    errors: RefCell<Errors>,
}

/// An element that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Element<'c, 'x> {
    node: Node<'x, 'x>,
    name: &'static str,
    pub(crate) context: &'c Context<'c>,
}

/// An attribute's text.
#[derive(Clone, Copy)]
pub(crate) struct Text<'x> {
    pub(crate) attribute: &'static str,
    pub(crate) value: &'x str,
    /// Whether so little is wrong before that a suggestion is worth its time.
    pub(crate) is_early: bool,
}

impl<'t> Context<'t> {
    pub(crate) fn new(board: &'t Board) -> Self {
        Self {
            board,
            target: &board.target,
            errors: RefCell::default(),
        }
    }

    pub(crate) fn note(&self, span: Span, fault: Fault) {
        self.errors.borrow_mut().push(span, None, fault);
    }

    pub(crate) fn into_errors(self) -> Errors {
        self.errors.into_inner()
    }
}

impl<'c, 'x> Element<'c, 'x> {
    /// Starts to read `node`, called `name`, which may have these attributes.
    pub(crate) fn new(
        node: Node<'x, 'x>,
        name: &'static str,
        attributes: &'static [&'static str],
        context: &'c Context<'c>,
    ) -> Self {
        for attribute in node.attributes() {
            // One of a namespace is looked up by nobody.
            let fault = if let Some(namespace) = attribute.namespace() {
                let written = written(node, attribute.range_qname());
                Fault::ForeignNamespace {
                    name: written.unwrap_or(attribute.name()).to_owned(),
                    namespace: namespace.to_owned(),
                }
            } else if !attributes.contains(&attribute.name()) {
                Fault::UnknownAttribute {
                    attribute: attribute.name().to_owned(),
                    element: name,
                    allowed: attributes,
                }
            } else {
                continue;
            };
            context.note(attribute.range(), fault);
        }
        Self {
            node,
            name,
            context,
        }
    }

    /// The start tag, up to its last attribute.
    pub(crate) fn span(&self) -> Span {
        start_tag(self.node)
    }

    /// Notes a fault of the element as a whole.
    pub(crate) fn note(&self, fault: Fault) {
        self.context.note(self.span(), fault);
    }

    /// The child elements with one of these names; other children are faults.
    pub(crate) fn children(
        &self,
        allowed: &'static [&'static str],
    ) -> impl Iterator<Item = (&'static str, Node<'x, 'x>)> + use<'c, 'x> {
        let (context, parent) = (self.context, self.name);
        self.node.children().filter_map(move |child| {
            if child.is_text() {
                note_text(context, child);
            }
            if !child.is_element() {
                return None;
            }
            if is_foreign(context, child) {
                return None;
            }
            let tag = child.tag_name().name();
            let known = allowed.iter().find(|name| **name == tag);
            if known.is_none() {
                let fault = Fault::UnknownElement {
                    element: tag.to_owned(),
                    parent,
                    allowed,
                };
                context.note(start_tag(child), fault);
            }
            known.map(|name| (*name, child))
        })
    }

    /// Reads an element that has no children.
    pub(crate) fn leaf(
        node: Node<'x, 'x>,
        name: &'static str,
        attributes: &'static [&'static str],
        context: &'c Context<'c>,
    ) -> Self {
        let element = Self::new(node, name, attributes, context);
        element.children(&[]).for_each(drop);
        element
    }

    /// Whether the attribute is there.
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.find(attribute).is_some()
    }

    /// A required attribute's value, or `None` where it is missing or bad, which is noted.
    pub(crate) fn required<T>(
        &self,
        attribute: &'static str,
        parse: impl FnOnce(Text<'x>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        if !self.has(attribute) {
            self.note(Fault::MissingAttribute {
                attribute,
                element: self.name,
            });
        }
        self.optional(attribute, parse)
    }

    /// An attribute's value, or `None` where it is absent, or bad, which is noted.
    pub(crate) fn optional<T>(
        &self,
        attribute: &'static str,
        parse: impl FnOnce(Text<'x>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        let found = self.find(attribute)?;
        let span = found.range_value();
        let text = Text {
            attribute,
            value: self.node.attribute(attribute)?,
            is_early: self.context.errors.borrow().iter().len() < SUGGESTIONS,
        };
        match parse(text) {
            Ok(value) => Some(Spanned { value, span }),
            Err(fault) => {
                self.context.note(span, fault);
                None
            }
        }
    }

    /// An attribute's value, or its default.
    pub(crate) fn or<T>(
        &self,
        attribute: &'static str,
        default: T,
        parse: impl FnOnce(Text<'x>) -> Result<T, Fault>,
    ) -> Spanned<T> {
        self.optional(attribute, parse).unwrap_or_else(|| Spanned {
            value: default,
            span: self.span(),
        })
    }

    fn find(&self, attribute: &str) -> Option<Attribute<'x, 'x>> {
        self.node.attribute_node(attribute)
    }
}

/// The span of an element without its children.
pub(crate) fn start_tag<'x>(node: Node<'x, 'x>) -> Span {
    let start = node.range().start;
    let name = start + 1 + tag_as_written(node).len();
    let end = node.attributes().map(|attribute| attribute.range().end);
    start..end.fold(name, usize::max)
}

/// Whether an element is of a namespace, which is a fault.
pub(crate) fn is_foreign<'x>(context: &Context<'_>, node: Node<'x, 'x>) -> bool {
    let Some(namespace) = node.tag_name().namespace() else {
        return false;
    };
    let fault = Fault::ForeignNamespace {
        name: tag_as_written(node).to_owned(),
        namespace: namespace.to_owned(),
    };
    context.note(start_tag(node), fault);
    true
}

/// A part of the text, where it is one.
fn written<'x>(node: Node<'x, 'x>, span: Span) -> Option<&'x str> {
    node.document().input_text().get(span)
}

/// An element's name with its prefix.
fn tag_as_written<'x>(node: Node<'x, 'x>) -> &'x str {
    let after_bracket = written(node, node.range().start + 1..node.range().end);
    let name = after_bracket.and_then(|text| {
        let ends = |c: char| c.is_whitespace() || c == '/' || c == '>';
        text.split(ends).next()
    });
    name.unwrap_or(node.tag_name().name())
}

fn note_text<'x>(context: &Context<'_>, child: Node<'x, 'x>) {
    let text = child.text().unwrap_or_default();
    if text.trim().is_empty() {
        return;
    }
    // A message quotes the first line of it.
    let line = text.trim().lines().next().unwrap_or_default();
    let lead = text.len() - text.trim_start().len();
    let start = child.range().start + lead;
    let fault = Fault::UnexpectedText {
        text: line.chars().take(40).collect(),
    };
    context.note(start..child.range().end.max(start), fault);
}

impl<'x> Text<'x> {
    /// A name, path or symbol.
    pub(crate) fn name(self) -> Result<String, Fault> {
        if self.value.is_empty() {
            return Err(Fault::Empty {
                attribute: self.attribute,
            });
        }
        if let Some(fault) = identifier::fault(self.value) {
            return Err(Fault::BadName {
                what: self.attribute,
                name: self.value.to_owned(),
                problem: fault.to_string(),
            });
        }
        Ok(self.value.to_owned())
    }

    /// A number in any notation.
    pub(crate) fn number(self) -> Result<u64, Fault> {
        parse_number(self.value).ok_or_else(|| self.not_a_number(ANY_NOTATION))
    }

    /// A number in any notation, within limits.
    pub(crate) fn number_in(self, low: u64, high: u64) -> Result<u64, Fault> {
        self.within(self.number()?, low, high)
    }

    /// A decimal number within limits. One with a sign is out of them.
    pub(crate) fn decimal_in(self, low: u64, high: u64) -> Result<u64, Fault> {
        let negative = self.value.strip_prefix('-').and_then(parse_decimal);
        if negative.is_some() {
            return Err(self.out_of_range(low, high));
        }
        let number =
            parse_decimal(self.value).ok_or_else(|| self.not_a_number("decimal digits"))?;
        self.within(number, low, high)
    }

    /// The id of a channel, child, vCPU or I/O port.
    pub(crate) fn id(self) -> Result<u8, Fault> {
        let id = self.decimal_in(0, crate::MAX_ID.into())?;
        Ok(id as u8)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(self) -> Result<bool, Fault> {
        self.word(&["true", "false"], &[true, false])
    }

    /// One of `words`, as the value at the same place of `values`.
    pub(crate) fn word<T: Copy>(
        self,
        words: &'static [&'static str],
        values: &[T],
    ) -> Result<T, Fault> {
        let known = words.iter().zip(values).find(|(w, _)| **w == self.value);
        known.map(|(_, value)| *value).ok_or(Fault::BadChoice {
            attribute: self.attribute,
            text: self.value.to_owned(),
            allowed: words,
        })
    }

    fn within(self, number: u64, low: u64, high: u64) -> Result<u64, Fault> {
        if (low..=high).contains(&number) {
            Ok(number)
        } else {
            Err(self.out_of_range(low, high))
        }
    }

    fn out_of_range(self, low: u64, high: u64) -> Fault {
        Fault::OutOfRange {
            attribute: self.attribute,
            text: self.value.to_owned(),
            low,
            high,
        }
    }

    fn not_a_number(self, notation: &'static str) -> Fault {
        Fault::BadNumber {
            attribute: self.attribute,
            text: self.value.to_owned(),
            notation,
        }
    }
}
