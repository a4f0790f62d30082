//! Why a policy cannot be understood.

use miette::Diagnostic;
use thiserror::Error;

/// Why a policy cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum ReadFault {
    /// The text is not TOML.
    #[error("this is not TOML: {message}")]
    #[diagnostic(
        code(policy::syntax),
        help("a policy is a TOML document, in which each name is declared once: https://toml.io")
    )]
    Syntax {
        /// The TOML parser's message.
        message: String,
    },
    /// A field that the language does not have.
    #[error("{what} has no field `{field}`")]
    #[diagnostic(code(policy::unknown_field), help("{help}"))]
    UnknownField {
        /// What the field stands in.
        what: &'static str,
        /// The field.
        field: String,
        /// The field that was meant, or all there are.
        help: String,
    },
    /// A field is missing.
    #[error("{what} has no `{field}`")]
    #[diagnostic(code(policy::missing_field), help("add `{example}`"))]
    MissingField {
        /// What the field should stand in.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// How it could look.
        example: String,
    },
    /// A value is of the wrong kind.
    #[error("`{field}` is {found}, and must be {expected}")]
    #[diagnostic(code(policy::wrong_kind), help("write it as in `{example}`"))]
    WrongKind {
        /// The field.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
        /// How it could look.
        example: String,
    },
    /// A public key that is none.
    #[error("`{found}` {what}")]
    #[diagnostic(
        code(policy::public_key),
        help(
            "write its 64 hexadecimal digits: `portcullis keygen --json` shows them as public_key, and \
             `xxd -p -c 32 FILE.pub` those of a key that is there"
        )
    )]
    PublicKey {
        /// What is written there.
        found: String,
        /// Why it cannot be used.
        what: &'static str,
    },
    /// A word that is not one of a few.
    #[error("`{word}` is no {what}")]
    #[diagnostic(code(policy::unknown_word), help("{help}"))]
    UnknownWord {
        /// The word.
        word: String,
        /// What it should be.
        what: &'static str,
        /// The word that was meant, or all there are.
        help: String,
    },
    /// A number out of its range.
    #[error("`{field}` is {found}, and must be {expected}")]
    #[diagnostic(code(policy::out_of_range), help("{help}"))]
    OutOfRange {
        /// The field.
        field: String,
        /// The number, as written.
        found: String,
        /// The range.
        expected: String,
        /// What to do.
        help: String,
    },
    /// A lease that is no duration.
    #[error("the lease `{found}` is no duration")]
    #[diagnostic(
        code(policy::bad_lease),
        help(
            "write a whole number above 0 and a unit, as \"500ms\", \"30s\" or \"5m\"; \
             the longest lease is {max_days} days"
        )
    )]
    BadLease {
        /// The lease.
        found: String,
        /// Days that fit into the compiled form.
        max_days: u32,
    },
    /// A capability that is not written as one.
    #[error("`{found}` is no extra capability")]
    #[diagnostic(
        code(policy::bad_cap),
        help("write \"tcb of X\", \"sc of X\" or \"vspace of X\", where X is a component")
    )]
    BadCap {
        /// What is written.
        found: String,
    },
    /// A name that does not resolve.
    #[error("there is no {kind} `{name}`")]
    #[diagnostic(code(policy::unknown_name), help("{help}"))]
    UnknownName {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
        /// The name that was meant, or how to declare this one.
        help: String,
    },
    /// A name that cannot be one.
    #[error("the {kind} name `{name}` {problem}")]
    #[diagnostic(
        code(policy::bad_name),
        help(
            "a name has no character that cannot be seen, no space at its ends and no two together, and \
             does not look like another; one that is declared here has 1 to {max} bytes"
        )
    )]
    BadName {
        /// What it names.
        kind: &'static str,
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        problem: String,
        /// Most bytes a name can have.
        max: usize,
    },
    /// A `[[static]]` rule gives nothing, or more than one thing.
    #[error(
        "a static rule says one thing that the system description gives; this one says {found}"
    )]
    #[diagnostic(
        code(policy::static_not_one),
        help(
            "write one of `region` (with `perms`), `irq`, `ioport` (with `size`), `child`, `channel`, \
             `cap`, `vm`, `smc`; write a rule of its own for each"
        )
    )]
    StaticNotOne {
        /// What it says.
        found: String,
    },
    /// A word for the DMA of a device that is not said.
    #[error("`dma` is said of no device: it goes with the registers, or the I/O ports, of one")]
    #[diagnostic(
        code(policy::dma_alone),
        help(
            "write it on the line of that device: region = \"...\", perms = \"rw\", dma = \"unbounded\", \
             or ioport = ..., size = ..., dma = \"unbounded\"; dma = \"none\" where the device cannot \
             read or write memory by itself, as a serial port"
        )
    )]
    DmaAlone,
    /// A `[[static]]` rule has two holders.
    #[error("a static rule has one holder; this one has {found}")]
    #[diagnostic(
        code(policy::holder_not_one),
        help(
            "write one of `component`, `guest`, `device`; write a rule of its own for each holder"
        )
    )]
    HolderNotOne {
        /// What it says.
        found: String,
    },
    /// A field that only goes with another.
    #[error("`{field}` goes with {with} only")]
    #[diagnostic(code(policy::misplaced_field), help("{help}"))]
    Misplaced {
        /// The field.
        field: &'static str,
        /// What it goes with.
        with: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// A list that must not be empty.
    #[error("`{field}` is empty")]
    #[diagnostic(code(policy::empty_list), help("{help}"))]
    EmptyList {
        /// The list.
        field: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Two methods of an interface have one number.
    #[error("methods `{first}` and `{second}` of `{interface}` both have number {number}")]
    #[diagnostic(
        code(policy::duplicate_method_number),
        help("give each method of an interface a number of its own, 0 to 31")
    )]
    DuplicateMethodNumber {
        /// The interface.
        interface: String,
        /// The method that has the number.
        first: String,
        /// The method that has it again.
        second: String,
        /// The number.
        number: u8,
    },
    /// A list says the same twice.
    #[error("`{item}` stands twice in `{field}`")]
    #[diagnostic(code(policy::duplicate_item), help("write it once"))]
    DuplicateItem {
        /// The list.
        field: &'static str,
        /// What stands in it twice.
        item: String,
    },
}
