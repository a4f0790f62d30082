//! The attacker's parent: takes its faults, writes down what they say, and has it go on.

#![no_std]
#![no_main]

use portcullis_kernel::{Badge, Source, cspace};
use portcullis_probe_pds::Program;
use portcullis_probe_pds::told::{self, Page, state, word};
use sel4::cap::{Endpoint, Reply, Tcb};
use sel4::{Cap, MessageInfo, MessageInfoBuilder, UserContext};
use sel4_microkit::{Never, protection_domain, var};

const INPUT: Endpoint = Cap::from_bits(cspace::INPUT.bits());
const REPLY: Reply = Cap::from_bits(cspace::REPLY.bits());
/// Microkit's `PD_BASE_PD_TCB_CAP` and the child's id.
const CAPTIVE: Tcb = Cap::from_bits(cspace::irq_handler(64).bits() + told::CHILD as u64);
/// Label of a reply that carries what was asked for.
const OK: u64 = portcullis_kernel::label::OK;

struct Warden {
    state: Page,
    told: Page,
}

#[protection_domain]
fn init() -> Program<impl FnMut() -> Never> {
    let state: usize = *var!(captive_state: usize = 0);
    let told: usize = *var!(told: usize = 0);
    // SAFETY: `system.xml` of this test maps both, `told` read-write and `captive_state` read-only.
    let (state, told) = unsafe { (Page::new(state), Page::new(told)) };
    let warden = Warden { state, told };
    Program(move || warden.serve())
}

impl Warden {
    fn serve(&self) -> Never {
        let (mut info, mut badge) = INPUT.recv(REPLY);
        loop {
            (info, badge) = match Badge(badge).source() {
                Source::Fault(_) => {
                    self.fault(&info);
                    INPUT.recv(REPLY)
                }
                Source::Grant(_) => INPUT.reply_recv(self.idle(), REPLY),
                Source::Channel(_) | Source::Notification(_) => INPUT.recv(REPLY),
            }
        }
    }

    /// Has the captive go on where it said.
    fn release(&self, kind: u64) {
        self.told.set(word::KIND, kind);
        self.told.set(word::COUNT, self.told.word(word::COUNT) + 1);
        let landing = self.state.word(state::LANDING);
        let mut registers = UserContext::default();
        *registers.pc_mut() = landing;
        // One register: the instruction pointer. The others are as the attempt left them.
        CAPTIVE
            .tcb_write_registers(true, 1, &mut registers)
            .expect("the captive is this domain's child");
    }

    fn fault(&self, info: &MessageInfo) {
        self.told.set(word::LABEL, info.label());
        self.told.set(word::LENGTH, info.length() as u64);
        sel4::with_ipc_buffer(|buffer| {
            for (index, value) in buffer.msg_regs()[..16].iter().enumerate() {
                self.told.set(word::FIRST + index, *value);
            }
        });
        self.release(told::FAULT);
    }

    /// `watch` runs: everybody else is blocked. The answer says whether the captive is through.
    fn idle(&self) -> MessageInfo {
        let phase = self.state.word(state::PHASE);
        if phase == 1 {
            self.release(told::BLOCKED);
        }
        sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[0] = phase);
        MessageInfoBuilder::default().label(OK).length(1).build()
    }
}
