//! Memory that it has not, or has for less.

use portcullis_probe::{Breach, Outcome, same};

use super::{Attacker, Step, faulted};
use crate::{Fault, fault, raw};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// What it would write.
const MARK: u64 = 0x6d61_726b;

pub(super) const STEPS: &[Step] = &[
    ("write-read-only-page", Attacker::write_read_only_page),
    ("write-own-code", Attacker::write_own_code),
    ("execute-data", Attacker::execute_data),
    ("execute-shared-page", Attacker::execute_shared_page),
    ("read-what-others-map", Attacker::read_what_others_map),
    ("read-kernel-memory", Attacker::read_kernel_memory),
    ("write-kernel-memory", Attacker::write_kernel_memory),
    ("leave-stack-and-buffer", Attacker::leave_stack_and_buffer),
];

/// What was to be done to memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// By an instruction that is no plain store.
    WriteOtherwise,
    Execute,
}

impl Attacker {
    /// Expects a memory fault, with the address and the kind of access.
    fn no_access(&self, address: u64, access: Access) -> Outcome {
        let mut read = 0;
        let came = self.supervised.attempt(|landing| {
            // SAFETY: `landing` is a word of the page that this protection domain writes. Where the
            // access is allowed after all, it hits nothing that this program relies on (each caller
            // sees to that), and the verdict says that it was.
            unsafe {
                match access {
                    Access::Read => read = raw::load(address, landing),
                    Access::Write => raw::store(address, MARK, landing),
                    Access::WriteOtherwise => raw::store_otherwise(address, landing),
                    Access::Execute => raw::jump(address, landing),
                }
            }
        });
        let allowed = Breach {
            at: address,
            got: read,
            due: fault::MEMORY,
        };
        let message = faulted(address, came.ok_or(allowed)?, fault::MEMORY)?;
        same(address, message.words[1], address)?;
        same(
            address,
            message.words[2],
            u64::from(access == Access::Execute),
        )?;
        same(address, u64::from(is_of(&message, access)), 1)
    }

    /// The page that its warden writes.
    fn write_read_only_page(&self) -> Outcome {
        let told = self.supervised.told();
        for index in [16, 64, 511] {
            let before = told.word(index);
            let address = told.at(index) as u64;
            self.no_access(address, Access::Write)?;
            self.no_access(address, Access::WriteOtherwise)?;
            same(index as u64, told.word(index), before)?;
        }
        Ok(())
    }

    fn write_own_code(&self) -> Outcome {
        let code = Self::write_own_code as *const () as u64;
        self.no_access(code & !7, Access::Write)?;
        // SAFETY: none is needed for what follows: the code that runs here was not changed.
        self.no_access((code & !7) + 8, Access::Write)
    }

    /// A function that was written to the stack, to static data, and to the IPC buffer.
    fn execute_data(&self) -> Outcome {
        static DATA: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);
        DATA.store(raw::RETURN, core::sync::atomic::Ordering::SeqCst);
        let stack = [raw::RETURN; 4];
        self.no_access(DATA.as_ptr() as u64, Access::Execute)?;
        self.no_access(
            core::hint::black_box(&stack).as_ptr() as u64,
            Access::Execute,
        )?;
        let buffer = sel4::with_ipc_buffer_mut(|buffer| {
            let words = buffer.msg_regs_mut();
            words[40] = u64::from(raw::RETURN);
            words[40..].as_ptr() as u64
        });
        self.no_access(buffer, Access::Execute)
    }

    fn execute_shared_page(&self) -> Outcome {
        let (own, told) = self.supervised.pages();
        own.set(64, u64::from(raw::RETURN));
        self.no_access(own.at(64) as u64, Access::Execute)?;
        self.no_access(told.at(0) as u64, Access::Execute)
    }

    /// Where other protection domains have their regions and devices, virtual and physical.
    fn read_what_others_map(&self) -> Outcome {
        for address in [
            0,
            8,
            0x1020_0000,
            0x1030_0000,
            0x2000_0000,
            0x0900_0000,
            0x0a00_3000,
            0x1000_8000,
            0x4000_0000,
            0x8000_0000,
        ] {
            self.no_access(address, Access::Read)?;
            self.no_access(address, Access::Write)?;
        }
        Ok(())
    }

    fn read_kernel_memory(&self) -> Outcome {
        KERNEL
            .iter()
            .try_for_each(|address| self.no_access(*address, Access::Read))
    }

    fn write_kernel_memory(&self) -> Outcome {
        KERNEL.iter().try_for_each(|address| {
            self.no_access(*address, Access::Write)?;
            self.no_access(*address, Access::Execute)
        })
    }

    /// The pages around the stack and the IPC buffer.
    fn leave_stack_and_buffer(&self) -> Outcome {
        let buffer =
            sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer) as u64) & !(PAGE - 1);
        let top = sel4::sys::seL4_UserVSpaceTop;
        same(0, buffer, top & !(PAGE - 1))?;
        self.no_access(buffer - PAGE, Access::Read)?;
        // The stack of 0x40000 bytes in `system.xml` ends a page below the IPC buffer.
        let stack = core::hint::black_box(&buffer) as *const u64 as u64;
        let below = (stack & !(PAGE - 1)).saturating_sub(0x4_0000);
        self.no_access(below, Access::Write)
    }
}

/// Whether the fault's status says that this was the access.
fn is_of(message: &Fault, access: Access) -> bool {
    let status = message.words[3];
    if cfg!(target_arch = "aarch64") {
        // Exception class in bits 26 to 31: a data or an instruction abort; bit 6: it wrote.
        let class = status >> 26;
        let wrote = status >> 6 & 1 == 1;
        match access {
            Access::Read => class == 0x24 && !wrote,
            Access::Write | Access::WriteOtherwise => class == 0x24 && wrote,
            Access::Execute => class == 0x20,
        }
    } else {
        // seL4 tells of page faults and of access faults alike, as the latter's `scause`.
        match access {
            Access::Read => status == 5,
            Access::Write | Access::WriteOtherwise => status == 7,
            Access::Execute => status == 1,
        }
    }
}

/// Where the kernel lies in its own address space, and where it would map all memory.
#[cfg(target_arch = "aarch64")]
const KERNEL: &[u64] = &[
    0x0000_0080_0000_0000,
    0x0000_0080_4000_0000,
    0x0000_00ff_ffe0_0000,
    0xffff_ff80_4000_0000,
    0xffff_ffff_ffff_f000,
];
/// Where the kernel lies in its own address space, and where it maps all memory.
#[cfg(target_arch = "riscv64")]
const KERNEL: &[u64] = &[
    0xffff_ffc0_0000_0000,
    0xffff_ffc0_8000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8400_0000,
    0xffff_ffff_ffff_f000,
];
