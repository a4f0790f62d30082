//! The NS16550A (National Semiconductor PC16550D data sheet), with registers of one byte.

use crate::{Device, Registers};

const DATA: usize = 0;
const INTERRUPT_ENABLE: usize = 1;
const INTERRUPT_IDENTIFICATION: usize = 2;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;

/// INTERRUPT_ENABLE: input arrived; output is taken again.
const RECEIVE: u32 = 1;
const TRANSMIT: u32 = 1 << 1;
/// FIFO_CONTROL: on, both emptied.
const FIFO_ON: u32 = 0b111;
/// LINE_CONTROL: eight bits, no parity, one stop bit.
const EIGHT_BITS: u32 = 0b11;
/// LINE_STATUS: input waits; the transmit FIFO is empty.
const DATA_READY: u32 = 1;
const TRANSMIT_EMPTY: u32 = 1 << 5;
/// Bytes that an empty transmit FIFO takes.
const FIFO_SIZE: u8 = 16;

/// An NS16550A. The baud rate is as the loader left it.
#[derive(Debug)]
pub struct Ns16550<R> {
    registers: R,
    /// Bytes that the transmit FIFO takes before its state has to be looked at again.
    room: u8,
}

impl<R: Registers> Ns16550<R> {
    /// The device behind these registers.
    pub const fn new(registers: R) -> Self {
        Self { registers, room: 0 }
    }
}

impl<R: Registers> Device for Ns16550<R> {
    fn start(&mut self) {
        self.registers.write(LINE_CONTROL, EIGHT_BITS);
        self.registers.write(FIFO_CONTROL, FIFO_ON);
        self.interrupt_at_output(false);
    }

    fn put(&mut self, byte: u8) -> bool {
        if self.room == 0 && self.registers.read(LINE_STATUS) & TRANSMIT_EMPTY != 0 {
            self.room = FIFO_SIZE;
        }
        let takes = self.room > 0;
        if takes {
            self.room -= 1;
            self.registers.write(DATA, byte.into());
        }
        takes
    }

    fn get(&mut self) -> Option<u8> {
        if self.registers.read(LINE_STATUS) & DATA_READY == 0 {
            return None;
        }
        Some(self.registers.read(DATA) as u8)
    }

    fn interrupt_at_output(&mut self, on: bool) {
        let transmit = if on { TRANSMIT } else { 0 };
        self.registers.write(INTERRUPT_ENABLE, RECEIVE | transmit);
    }

    fn clear(&mut self) {
        // Reading says which interrupt it is, and withdraws "output is taken again".
        let _ = self.registers.read(INTERRUPT_IDENTIFICATION);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    struct Fake {
        status: u32,
        written: Vec<(usize, u32)>,
    }

    impl Registers for Fake {
        fn read(&self, offset: usize) -> u32 {
            match offset {
                LINE_STATUS => self.status,
                DATA => u32::from(b'y'),
                _ => 0,
            }
        }

        fn write(&mut self, offset: usize, value: u32) {
            self.written.push((offset, value));
        }
    }

    #[test]
    fn an_empty_fifo_takes_sixteen_bytes_and_then_is_asked_again() {
        let mut uart = Ns16550::new(Fake {
            status: TRANSMIT_EMPTY,
            written: Vec::new(),
        });
        assert!(uart.put(0));
        uart.registers.status = 0;
        for byte in 1..16 {
            assert!(uart.put(byte));
        }
        assert!(!uart.put(16));
        uart.registers.status = TRANSMIT_EMPTY;
        assert!(uart.put(16));
        assert_eq!(uart.registers.written.len(), 17);
    }

    #[test]
    fn input_is_read_only_when_it_is_there() {
        let mut uart = Ns16550::new(Fake {
            status: 0,
            written: Vec::new(),
        });
        assert_eq!(uart.get(), None);
        uart.registers.status = DATA_READY;
        assert_eq!(uart.get(), Some(b'y'));
    }
}
