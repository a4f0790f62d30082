//! A server on the attacker's side: says exactly what reached it, and gives what it can.

#![no_std]
#![no_main]

use portcullis_kernel::{cspace, label};
use portcullis_probe_pds::fence::{GIVE, MARK, Seen, ask_for_capabilities};
use portcullis_probe_pds::{Info, Program};
use sel4::cap::{Endpoint, Reply};
use sel4::{Cap, MessageInfo, MessageInfoBuilder};
use sel4_microkit::{Never, protection_domain};

const INPUT: Endpoint = Cap::from_bits(cspace::INPUT.bits());
const REPLY: Reply = Cap::from_bits(cspace::REPLY.bits());

#[protection_domain]
fn init() -> Program<fn() -> Never> {
    Program(serve)
}

fn serve() -> Never {
    make_room(0);
    let (mut info, mut badge) = INPUT.recv(REPLY);
    for messages in 1.. {
        let seen = see(&info, badge, messages);
        make_room(messages);
        let answer = answer(&seen);
        (info, badge) = INPUT.reply_recv(answer, REPLY);
    }
    unreachable!("it does not live long enough to count so far")
}

fn see(info: &MessageInfo, badge: u64, messages: u64) -> Seen {
    let length = info.length().min(120);
    sel4::with_ipc_buffer(|buffer| Seen {
        info: Info {
            label: info.label(),
            unwrapped: info.caps_unwrapped() as u64,
            extra: info.extra_caps() as u64,
            length: info.length() as u64,
        },
        marks: buffer.msg_regs()[..length]
            .iter()
            .filter(|word| **word == MARK)
            .count() as u64,
        badges: buffer
            .caps_or_badges()
            .iter()
            .filter(|word| **word != 0)
            .count() as u64,
        messages,
        badge,
    })
}

/// Names a place for a capability that comes along, another each time, and no badges.
fn make_room(round: u64) {
    let roots = [0, 1, 4, 74, 1 << 58, 2 << 58, u64::MAX];
    ask_for_capabilities(
        roots[(round % 7) as usize],
        40,
        [6, 58, 64][(round % 3) as usize],
    );
    sel4::with_ipc_buffer_mut(|buffer| buffer.caps_or_badges_mut().fill(0));
}

fn answer(seen: &Seen) -> MessageInfo {
    let words = seen.words();
    let gives = seen.info.label == GIVE;
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[..words.len()].copy_from_slice(&words);
        if gives {
            let own = [cspace::channel_endpoint(0), cspace::INPUT, cspace::REPLY];
            buffer
                .caps_or_badges_mut()
                .copy_from_slice(&own.map(|slot| slot.bits()));
        }
    });
    MessageInfoBuilder::default()
        .label(label::OK)
        .length(words.len())
        .extra_caps(if gives { 3 } else { 0 })
        .build()
}
