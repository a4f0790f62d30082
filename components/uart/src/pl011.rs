//! Arm's PL011 (PrimeCell UART technical reference manual, DDI 0183).

use crate::{Device, Registers};

const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const LINE_CONTROL: usize = 0x2c;
const CONTROL: usize = 0x30;
const INTERRUPT_MASK: usize = 0x38;
const INTERRUPT_CLEAR: usize = 0x44;

/// FLAGS: nothing has arrived.
const RECEIVE_EMPTY: u32 = 1 << 4;
/// FLAGS: no more output is taken.
const TRANSMIT_FULL: u32 = 1 << 5;
/// Interrupts: input arrived; output is taken again; input waits below the FIFO's level.
const RECEIVE: u32 = 1 << 4;
const TRANSMIT: u32 = 1 << 5;
const RECEIVE_TIMEOUT: u32 = 1 << 6;
/// LINE_CONTROL: eight bits, FIFOs on.
const EIGHT_BITS_FIFO: u32 = 0b111 << 4;
/// CONTROL: on, both directions.
const ON: u32 = 1 | 1 << 8 | 1 << 9;

/// A PL011. The baud rate is as the loader left it.
#[derive(Debug)]
pub struct Pl011<R> {
    registers: R,
}

impl<R: Registers> Pl011<R> {
    /// The device behind these registers.
    pub const fn new(registers: R) -> Self {
        Self { registers }
    }
}

impl<R: Registers> Device for Pl011<R> {
    fn start(&mut self) {
        self.registers.write(LINE_CONTROL, EIGHT_BITS_FIFO);
        self.registers.write(CONTROL, ON);
        self.interrupt_at_output(false);
    }

    fn put(&mut self, byte: u8) -> bool {
        let room = self.registers.read(FLAGS) & TRANSMIT_FULL == 0;
        if room {
            self.registers.write(DATA, byte.into());
        }
        room
    }

    fn get(&mut self) -> Option<u8> {
        if self.registers.read(FLAGS) & RECEIVE_EMPTY != 0 {
            return None;
        }
        // Bits 8 to 11 are the error flags of this byte; a garbled byte is shown as it came.
        Some(self.registers.read(DATA) as u8)
    }

    fn interrupt_at_output(&mut self, on: bool) {
        let transmit = if on { TRANSMIT } else { 0 };
        self.registers
            .write(INTERRUPT_MASK, RECEIVE | RECEIVE_TIMEOUT | transmit);
    }

    /// Those for input end when it is read. Cleared here, they would not come again for input that is
    /// left in the FIFO, or that arrived since it was read.
    fn clear(&mut self) {
        self.registers.write(INTERRUPT_CLEAR, TRANSMIT);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    struct Fake {
        flags: u32,
        data: u32,
        written: Vec<(usize, u32)>,
    }

    impl Registers for Fake {
        fn read(&self, offset: usize) -> u32 {
            match offset {
                FLAGS => self.flags,
                DATA => self.data,
                _ => 0,
            }
        }

        fn write(&mut self, offset: usize, value: u32) {
            self.written.push((offset, value));
        }
    }

    fn device(flags: u32) -> Pl011<Fake> {
        Pl011::new(Fake {
            flags,
            data: 0x100 | u32::from(b'x'),
            written: Vec::new(),
        })
    }

    #[test]
    fn a_full_fifo_takes_nothing() {
        let mut full = device(TRANSMIT_FULL);
        assert!(!full.put(b'a'));
        assert!(full.registers.written.is_empty());
        let mut free = device(0);
        assert!(free.put(b'a'));
        assert_eq!(free.registers.written, [(DATA, u32::from(b'a'))]);
    }

    #[test]
    fn the_error_flags_of_a_byte_are_cut_off() {
        assert_eq!(device(0).get(), Some(b'x'));
        assert_eq!(device(RECEIVE_EMPTY).get(), None);
    }

    #[test]
    fn an_interrupt_for_input_that_is_not_read_stays() {
        let mut uart = device(0);
        uart.clear();
        assert_eq!(uart.registers.written, [(INTERRUPT_CLEAR, TRANSMIT)]);
    }

    #[test]
    fn output_interrupts_only_when_asked() {
        let mut uart = device(0);
        uart.interrupt_at_output(true);
        uart.interrupt_at_output(false);
        let input = RECEIVE | RECEIVE_TIMEOUT;
        let expected = [(INTERRUPT_MASK, input | TRANSMIT), (INTERRUPT_MASK, input)];
        assert_eq!(uart.registers.written, expected);
    }
}
