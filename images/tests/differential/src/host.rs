//! Lines of text to and from the host, by semihosting.
//!
//! QEMU takes the semihosting call of a program in user mode before the kernel sees it
//! (`-semihosting-config enable=on,userspace=on`), copies whole buffers from its standard input and
//! to its standard output, and stands still while it waits. A serial line costs QEMU 30 microseconds
//! a byte, most of a sequence's time. The calls are those of Arm's "Semihosting for AArch32 and
//! AArch64"; on RISC-V they are the same by other instructions.

use alloc::string::String;
use alloc::vec::Vec;

const OPEN: usize = 0x01;
const WRITE: usize = 0x05;
const READ: usize = 0x06;

/// Name of the console, for both directions, and the modes that choose one.
const CONSOLE: &[u8] = b":tt\0";
const MODE_READ: usize = 0;
const MODE_WRITE: usize = 4;

/// The line to the host.
pub struct Host {
    input: usize,
    output: usize,
    /// What arrived and was not taken.
    arrived: Vec<u8>,
}

impl Host {
    /// Opens the line.
    pub fn open() -> Self {
        let open = |mode| call(OPEN, &[CONSOLE.as_ptr().addr(), mode, CONSOLE.len() - 1]);
        Self {
            input: open(MODE_READ),
            output: open(MODE_WRITE),
            arrived: Vec::new(),
        }
    }

    /// Waits for a line.
    pub fn read(&mut self) -> String {
        loop {
            if let Some(end) = self.arrived.iter().position(|byte| *byte == b'\n') {
                let rest = self.arrived.split_off(end + 1);
                let mut line = core::mem::replace(&mut self.arrived, rest);
                line.pop();
                return String::from_utf8_lossy(&line).into_owned();
            }
            let mut buffer = [0; 1024];
            let place = buffer.as_mut_ptr().expose_provenance();
            let missing = call(READ, &[self.input, place, buffer.len()]);
            let count = buffer.len().saturating_sub(missing);
            self.arrived.extend(&buffer[..count]);
        }
    }

    /// Writes a line.
    pub fn write(&mut self, mut line: String) {
        line.push('\n');
        call(
            WRITE,
            &[self.output, line.as_ptr().expose_provenance(), line.len()],
        );
    }
}

/// Makes a semihosting call.
fn call(operation: usize, arguments: &[usize; 3]) -> usize {
    let mut result = operation;
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the debugger, QEMU, reads the arguments and reads or writes the buffer that they name,
    // which is one of the callers' above, of the length that they say.
    unsafe {
        core::arch::asm!("hlt #0xf000", inout("x0") result, in("x1") arguments);
    }
    #[cfg(target_arch = "riscv64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            ".balign 16",
            ".option push",
            ".option norvc",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inout("a0") result, in("a1") arguments,
        );
    }
    result
}
