//! Registers of a device, as a driver reaches them.

/// A device's memory-mapped registers.
pub trait Registers {
    /// Reads the register at `offset` bytes.
    fn read(&self, offset: usize) -> u32;

    /// Writes the register at `offset` bytes.
    fn write(&mut self, offset: usize, value: u32);
}
