//! Invocations of kernel objects, through everything that it holds and everything that it does not.

use portcullis_kernel::{CPtr, cspace as slots, label};
use portcullis_manager_api::{DELEGATE, FIND, RELEASE, REQUEST, REVOKE, SIGNAL};
use portcullis_probe::{Outcome, same};
use sel4::sys::invocation_label;

use super::{Attacker, Step, came_back};
use crate::{Came, Info, Number, Registers};

/// Above the last invocation of either architecture (`invocations_all.json` of the SDK).
const LABELS: u64 = 80;

pub(super) const STEPS: &[Step] = &[
    ("invoke-empty-slots", Attacker::invoke_empty_slots),
    ("invoke-own-input", Attacker::invoke_own_input),
    ("invoke-reply-object", Attacker::invoke_reply_object),
    ("invoke-manager", Attacker::invoke_manager),
    ("invoke-notification", Attacker::invoke_notification),
    ("cnode-operations", Attacker::cnode_operations),
    ("tcb-operations", Attacker::tcb_operations),
    ("memory-operations", Attacker::memory_operations),
    ("interrupt-operations", Attacker::interrupt_operations),
    ("time-operations", Attacker::time_operations),
];

impl Attacker {
    fn invoke_empty_slots(&self) -> Outcome {
        for slot in Self::empty_slots().chain(self.empty_grant_slots()) {
            for label in 0..LABELS {
                let came = self.raw(Number::CALL, slot, Info::new(label, 4));
                self.nothing_there(slot.bits(), came)?;
            }
        }
        Ok(())
    }

    /// An endpoint knows no invocation but sending, and this one is for receiving only.
    fn invoke_own_input(&self) -> Outcome {
        for label in 0..LABELS {
            let came = self.raw(Number::CALL, slots::INPUT, Info::new(label, 4));
            self.nothing_there(label, came)?;
        }
        Ok(())
    }

    /// A reply object takes everything for a reply, and there is nobody to reply to.
    fn invoke_reply_object(&self) -> Outcome {
        for label in 0..LABELS {
            let came = self.raw(Number::CALL, slots::REPLY, Info::new(label, 4));
            same(label, came_back(label, came)?.info, 0)?;
        }
        Ok(())
    }

    /// An invocation of an endpoint is a call: what the kernel takes for `TCB_SetTLSBase` (16) and
    /// above are methods of the manager, which refuses them.
    fn invoke_manager(&self) -> Outcome {
        for label in 0..LABELS {
            let came = self.raw(Number::CALL, Self::manager(), Info::new(label, 4));
            let asks = [FIND, SIGNAL, REQUEST, RELEASE, DELEGATE, REVOKE];
            let is_asked = asks.iter().any(|method| {
                let asks = label::REQUEST + u64::from(method.number());
                asks == label
            });
            let code = if is_asked {
                label::BAD_REQUEST
            } else {
                label::BAD_METHOD
            };
            self.refused(label, came, code)?;
        }
        Ok(())
    }

    /// A notification takes everything for a signal.
    fn invoke_notification(&self) -> Outcome {
        for label in 0..LABELS {
            let came = self.raw(Number::CALL, self.go, Info::new(label, 4));
            same(label, came_back(label, came)?.info, 0)?;
        }
        Ok(())
    }

    /// Everything that could be a CNode, with arguments that would copy, move or take away what the
    /// manager gave: by label, with the root of the source as a capability beside.
    fn cnode_operations(&self) -> Outcome {
        let grant = self.target.bits();
        let depth = u64::from(slots::LEAF_BITS);
        let rights = 15;
        self.everywhere(&[
            (invocation_label::CNodeRevoke, 0, [grant, depth, 0, 0]),
            (invocation_label::CNodeDelete, 0, [grant, depth, 0, 0]),
            (
                invocation_label::CNodeCancelBadgedSends,
                0,
                [grant, depth, 0, 0],
            ),
            (invocation_label::CNodeCopy, 1, [40, depth, grant, depth]),
            (invocation_label::CNodeMint, 1, [40, depth, grant, rights]),
            (invocation_label::CNodeMove, 1, [40, depth, grant, depth]),
            (invocation_label::CNodeMutate, 1, [40, depth, grant, depth]),
            (
                invocation_label::CNodeRotate,
                2,
                [40, depth, 1 << 63, grant],
            ),
        ])
    }

    /// Its own thread, or another's: priority, registers, CSpace, IPC buffer, fault handler.
    fn tcb_operations(&self) -> Outcome {
        self.everywhere(&[
            (invocation_label::TCBReadRegisters, 0, [0, 16, 0, 0]),
            (invocation_label::TCBWriteRegisters, 0, [1, 1, 0x20_0000, 0]),
            (invocation_label::TCBCopyRegisters, 1, [7, 0, 0, 0]),
            (invocation_label::TCBConfigure, 3, [0, 0, 0x1000, 0]),
            (invocation_label::TCBSetPriority, 1, [255, 0, 0, 0]),
            (invocation_label::TCBSetMCPriority, 1, [255, 0, 0, 0]),
            (invocation_label::TCBSetSchedParams, 3, [255, 255, 0, 0]),
            (invocation_label::TCBSetTimeoutEndpoint, 1, [0; 4]),
            (invocation_label::TCBSetIPCBuffer, 1, [0x1000_0000, 0, 0, 0]),
            (invocation_label::TCBSetSpace, 3, [0; 4]),
            (invocation_label::TCBSuspend, 0, [0; 4]),
            (invocation_label::TCBResume, 0, [0; 4]),
            (invocation_label::TCBBindNotification, 1, [0; 4]),
            (invocation_label::TCBUnbindNotification, 0, [0; 4]),
            (invocation_label::TCBSetTLSBase, 0, [0x1000, 0, 0, 0]),
            (invocation_label::TCBSetFlags, 0, [0, 1, 0, 0]),
        ])
    }

    /// Memory: to make objects of it, to map it, to know where it is.
    fn memory_operations(&self) -> Outcome {
        self.everywhere(&[(invocation_label::UntypedRetype, 1, [0, 12, 0, 0])])?;
        self.everywhere(MAPPINGS)
    }

    /// Interrupts: another's, or any.
    fn interrupt_operations(&self) -> Outcome {
        self.everywhere(&[
            (invocation_label::IRQIssueIRQHandler, 1, [33, 40, 58, 0]),
            (invocation_label::IRQAckIRQ, 0, [0; 4]),
            (invocation_label::IRQSetIRQHandler, 1, [0; 4]),
            (invocation_label::IRQClearIRQHandler, 0, [0; 4]),
        ])
    }

    /// Time and domains: more of it, another's, or none for another.
    fn time_operations(&self) -> Outcome {
        self.everywhere(&[
            (
                invocation_label::SchedControlConfigureFlags,
                1,
                [1000, 1000, 0, 0],
            ),
            (invocation_label::SchedContextBind, 1, [0; 4]),
            (invocation_label::SchedContextUnbind, 0, [0; 4]),
            (invocation_label::SchedContextUnbindObject, 1, [0; 4]),
            (invocation_label::SchedContextConsumed, 0, [0; 4]),
            (invocation_label::SchedContextYieldTo, 0, [0; 4]),
            (invocation_label::DomainSetSet, 1, [1, 0, 0, 0]),
            (invocation_label::DomainScheduleConfigure, 0, [0, 1, 1, 0]),
            (invocation_label::DomainScheduleSetStart, 0, [0; 4]),
        ])
    }

    /// Makes each invocation through every slot in which stock Microkit, or the initial task, has
    /// something that it would be for, with capabilities beside it; and through its own input.
    fn everywhere(&self, operations: &[Operation]) -> Outcome {
        let beside = [slots::INPUT.bits(), slots::REPLY.bits(), self.target.bits()];
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.caps_or_badges_mut()[..3].copy_from_slice(&beside);
        });
        let stock = Self::empty_slots().chain([slots::INPUT, CPtr(u64::MAX)]);
        for slot in stock {
            for (label, extra, words) in operations {
                let registers = Registers {
                    cptr: slot.bits(),
                    info: Info::new(u64::from(*label), 4).with_extra(*extra).bits(),
                    words: *words,
                    ..Registers::default()
                };
                let came: Came = self.supervised.call(Number::CALL, registers);
                self.nothing_there(slot.bits() << 8 | u64::from(*label), came)?;
            }
        }
        Ok(())
    }
}

/// A label, how many capabilities go beside it, and the first words.
type Operation = (u32, u64, [u64; 4]);

/// Page tables, pages and address spaces.
#[cfg(target_arch = "aarch64")]
const MAPPINGS: &[Operation] = &[
    (
        invocation_label::ARMVSpaceUnify_Instruction,
        0,
        [0x20_0000, 0x20_1000, 0, 0],
    ),
    (invocation_label::ARMPageTableMap, 1, [0x3000_0000, 3, 0, 0]),
    (invocation_label::ARMPageTableUnmap, 0, [0; 4]),
    (invocation_label::ARMPageMap, 1, [0x3000_0000, 3, 3, 0]),
    (invocation_label::ARMPageUnmap, 0, [0; 4]),
    (invocation_label::ARMPageGetAddress, 0, [0; 4]),
    (invocation_label::ARMASIDControlMakePool, 2, [40, 58, 0, 0]),
    (invocation_label::ARMASIDPoolAssign, 1, [0; 4]),
    (invocation_label::ARMVCPUSetTCB, 1, [0; 4]),
    (invocation_label::ARMVCPUWriteReg, 0, [0, 1, 0, 0]),
    (invocation_label::ARMSMCCall, 0, [0x8400_0008, 0, 0, 0]),
];
/// Page tables, pages and address spaces.
#[cfg(target_arch = "riscv64")]
const MAPPINGS: &[Operation] = &[
    (
        invocation_label::RISCVPageTableMap,
        1,
        [0x3000_0000, 0, 0, 0],
    ),
    (invocation_label::RISCVPageTableUnmap, 0, [0; 4]),
    (invocation_label::RISCVPageMap, 1, [0x3000_0000, 3, 0, 0]),
    (invocation_label::RISCVPageUnmap, 0, [0; 4]),
    (invocation_label::RISCVPageGetAddress, 0, [0; 4]),
    (
        invocation_label::RISCVASIDControlMakePool,
        2,
        [40, 58, 0, 0],
    ),
    (invocation_label::RISCVASIDPoolAssign, 1, [0; 4]),
];
