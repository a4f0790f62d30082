//! Interrupts, I/O ports, and how devices are named.

use std::fmt;
use std::str::FromStr;

use super::{Span, Spanned};

/// `<irq>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Irq {
    /// Its start tag.
    pub span: Span,
    /// The channel id under which it arrives, 0 to 61.
    pub id: Spanned<u8>,
    /// Where it comes from.
    pub source: IrqSource,
    /// Symbol that is set to the id.
    pub setvar_id: Option<Spanned<String>>,
}

/// Where an interrupt comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IrqSource {
    /// An input of the interrupt controller (Arm, RISC-V).
    Conventional {
        /// Its number.
        irq: Spanned<u64>,
        /// Default level.
        trigger: Spanned<Trigger>,
    },
    /// A pin of an I/O APIC (x86-64).
    IoApic {
        /// Which I/O APIC. Default 0.
        ioapic: Spanned<u64>,
        /// The pin.
        pin: Spanned<u64>,
        /// Default level.
        trigger: Spanned<Trigger>,
        /// Default high.
        polarity: Spanned<Polarity>,
        /// The vector it is delivered to, 0 to 107.
        vector: Spanned<u64>,
    },
    /// A message of a PCI device (x86-64).
    Msi {
        /// The device.
        device: Spanned<PciAddress>,
        /// What the device is programmed to send.
        handle: Spanned<u64>,
        /// The vector it is delivered to, 0 to 107.
        vector: Spanned<u64>,
    },
}

/// When an interrupt line is taken to be raised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Trigger {
    /// While it is active.
    #[default]
    Level,
    /// When it becomes active.
    Edge,
}

/// Which level of an interrupt line is active.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Polarity {
    /// The low one.
    Low,
    /// The high one.
    #[default]
    High,
}

/// `<ioport>`: a range of x86 I/O ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IoPorts {
    /// Its start tag.
    pub span: Span,
    /// Its id in the protection domain, 0 to 61; not a channel id.
    pub id: Spanned<u8>,
    /// The first port.
    pub addr: Spanned<u64>,
    /// How many ports.
    pub size: Spanned<u64>,
    /// Symbol that is set to the id.
    pub setvar_id: Option<Spanned<String>>,
    /// Symbol that is set to the first port.
    pub setvar_addr: Option<Spanned<String>>,
}

/// A PCI device's address, written `bus:device.function` in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PciAddress {
    /// 0 to 255.
    pub bus: u8,
    /// 0 to 31.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

impl Irq {
    /// Its number for the kernel: the interrupt controller's, or the vector on x86-64. No two
    /// interrupts of a system have the same.
    pub fn number(&self) -> &Spanned<u64> {
        match &self.source {
            IrqSource::Conventional { irq, .. } => irq,
            IrqSource::IoApic { vector, .. } | IrqSource::Msi { vector, .. } => vector,
        }
    }
}

impl FromStr for PciAddress {
    type Err = ();

    /// Reads `bus:device.function`. Blanks around a part are taken, as the stock tool takes them.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (bus, rest) = text.split_once(':').ok_or(())?;
        let (device, function) = rest.split_once('.').ok_or(())?;
        let part = |text: &str, last: u8| {
            let digits = text.trim();
            let hexadecimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let number = u8::from_str_radix(digits, 16).map_err(|_| ())?;
            (hexadecimal && number <= last).then_some(number).ok_or(())
        };
        Ok(Self {
            bus: part(bus, 255)?,
            device: part(device, 31)?,
            function: part(function, 7)?,
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:02x}:{:02x}.{:x}",
            self.bus, self.device, self.function
        )
    }
}
