//! Serial devices for the console: PL011 and NS16550, interrupt-driven both ways.
//!
//! [`Uart`] is the console's [`Serial`]: it queues output, hands the device as much as it takes, and
//! goes on when the device interrupts. What differs between devices is behind [`Device`]; what
//! differs between platforms (how a register is reached, how an interrupt is acknowledged) is behind
//! [`Registers`] and [`Interrupt`].

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod ns16550;
mod pl011;

pub use ns16550::Ns16550;
pub use pl011::Pl011;
pub use portcullis_kernel::Registers;

use portcullis_console::Serial;

/// Bytes of output that wait for the device: the table of a full policy's boot grants, so that the
/// console never waits for a slow line at start-up.
pub const OUTPUT_MAX: usize = 16 * 1024;

/// The device's interrupt line, as the platform gives it.
pub trait Interrupt {
    /// Lets the device interrupt again (seL4's `IRQHandler_Ack`).
    fn acknowledge(&mut self);
}

/// What a serial device does.
pub trait Device {
    /// Prepares the device: FIFOs on, interrupt at input, no interrupt at output.
    fn start(&mut self);

    /// Gives the device a byte; `false` where it takes none now.
    fn put(&mut self, byte: u8) -> bool;

    /// Takes a byte that arrived.
    fn get(&mut self) -> Option<u8>;

    /// Whether the device shall interrupt when it can take more output.
    fn interrupt_at_output(&mut self, on: bool);

    /// Withdraws what the device asserts once its cause is gone; what it asserts for input that is not
    /// read yet stays.
    fn clear(&mut self);
}

/// A serial line with a queue of output.
#[derive(Debug)]
pub struct Uart<D, I> {
    device: D,
    interrupt: I,
    output: heapless::Deque<u8, OUTPUT_MAX>,
}

impl<D: Device, I: Interrupt> Uart<D, I> {
    /// The line on `device`, started.
    pub fn new(mut device: D, interrupt: I) -> Self {
        device.start();
        Self {
            device,
            interrupt,
            output: heapless::Deque::new(),
        }
    }

    /// Hands the device what it takes, and asks for an interrupt where something is left.
    fn pump(&mut self) {
        while let Some(byte) = self.output.front().copied() {
            if !self.device.put(byte) {
                break;
            }
            self.output.pop_front();
        }
        self.device.interrupt_at_output(!self.output.is_empty());
    }

    fn queue(&mut self, byte: u8) {
        while self.output.push_back(byte).is_err() {
            // The queue is full: nothing to do but wait for the line.
            self.pump();
        }
    }
}

impl<D: Device, I: Interrupt> Serial for Uart<D, I> {
    fn write(&mut self, text: &[u8]) {
        for byte in text {
            if *byte == b'\n' {
                self.queue(b'\r');
            }
            self.queue(*byte);
        }
        self.pump();
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let arrived = core::iter::from_fn(|| self.device.get());
        buffer
            .iter_mut()
            .zip(arrived)
            .map(|(place, byte)| *place = byte)
            .count()
    }

    /// A serial line ends at a person's terminal.
    fn is_terminal(&self) -> bool {
        true
    }

    fn acknowledge(&mut self) {
        self.device.clear();
        self.pump();
        self.interrupt.acknowledge();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A line that takes four bytes and then none until it interrupted.
    #[derive(Default)]
    struct Slow {
        sent: Vec<u8>,
        room: usize,
        arrived: Vec<u8>,
        wants_interrupt: bool,
    }

    impl Device for Slow {
        fn start(&mut self) {
            self.room = 4;
        }

        fn put(&mut self, byte: u8) -> bool {
            let takes = self.room > 0;
            if takes {
                self.room -= 1;
                self.sent.push(byte);
            }
            takes
        }

        fn get(&mut self) -> Option<u8> {
            if self.arrived.is_empty() {
                None
            } else {
                Some(self.arrived.remove(0))
            }
        }

        fn interrupt_at_output(&mut self, on: bool) {
            self.wants_interrupt = on;
        }

        fn clear(&mut self) {
            self.room = 4;
        }
    }

    #[derive(Default)]
    struct Line(u32);

    impl Interrupt for Line {
        fn acknowledge(&mut self) {
            self.0 += 1;
        }
    }

    #[test]
    fn output_goes_on_at_each_interrupt_and_stops_asking_when_it_is_out() {
        let mut uart = Uart::new(Slow::default(), Line::default());
        uart.write(b"one\ntwo");
        assert_eq!(uart.device.sent, b"one\r");
        assert!(uart.device.wants_interrupt);
        uart.acknowledge();
        assert_eq!(uart.device.sent, b"one\r\ntwo");
        assert!(!uart.device.wants_interrupt);
        assert_eq!(uart.interrupt.0, 1);
    }

    #[test]
    fn input_fills_the_buffer_and_no_more() {
        let mut uart = Uart::new(Slow::default(), Line::default());
        uart.device.arrived = b"help\r".to_vec();
        let mut buffer = [0; 3];
        assert_eq!(uart.read(&mut buffer), 3);
        assert_eq!(&buffer, b"hel");
        assert_eq!(uart.read(&mut buffer), 2);
        assert_eq!(uart.read(&mut buffer), 0);
    }
}
