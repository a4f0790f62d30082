use portcullis_kernel::{CNodeSlot, Rights, cspace};

use super::*;

fn decoded(make: impl FnOnce(&mut Packet)) -> Result<Asked, Malformed> {
    let mut packet = Packet::new();
    make(&mut packet);
    decode(packet.bytes())
}

fn message(words: usize) -> Message {
    let mut message = Message::new(0);
    let all: Vec<u64> = (0..words as u64).map(|n| n << 40 | n).collect();
    message.set(0xf_ffff_ffff_ffff, &all);
    message
}

#[test]
fn system_calls_with_a_message_come_back() {
    let (to, reply) = (CPtr(0x0400_0000_0000_0007), cspace::REPLY);
    for words in [0, 1, 4, MAX_WORDS] {
        let message = message(words);
        for (call, syscall) in [
            (Carrying::Call, Syscall::Call(to, message.clone())),
            (Carrying::Send, Syscall::Send(to, message.clone())),
            (Carrying::NbSend, Syscall::NbSend(to, message.clone())),
            (
                Carrying::ReplyRecv,
                Syscall::ReplyRecv {
                    from: to,
                    reply,
                    message: message.clone(),
                },
            ),
        ] {
            let asked = decoded(|packet| packet.message(call, to, reply, &message));
            assert_eq!(asked, Ok(Asked::Syscall(syscall)));
        }
    }
}

#[test]
fn system_calls_without_a_message_come_back() {
    let (from, reply) = (CPtr(1), CPtr(4));
    for (call, syscall) in [
        (Plain::Recv, Syscall::Recv { from, reply }),
        (Plain::NbRecv, Syscall::NbRecv { from, reply }),
        (Plain::Wait, Syscall::Wait(from)),
        (Plain::NbWait, Syscall::NbWait(from)),
        (Plain::Yield, Syscall::Yield),
    ] {
        let asked = decoded(|packet| packet.plain(call, from, reply));
        assert_eq!(asked, Ok(Asked::Syscall(syscall)));
    }
}

#[test]
fn invocations_come_back() {
    let slot = |n: u64| CNodeSlot {
        root: CPtr(n),
        index: n * 3,
        depth: n as u8,
    };
    let (destination, source, badge) = (slot(7), slot(64), u64::MAX);
    for rights in [Rights::NONE, Rights::CALL, Rights::READ, Rights::ALL] {
        for invocation in [
            Invocation::Copy {
                destination,
                source,
                rights,
            },
            Invocation::Mint {
                destination,
                source,
                rights,
                badge,
            },
            Invocation::Move {
                destination,
                source,
            },
            Invocation::Mutate {
                destination,
                source,
                badge,
            },
            Invocation::Revoke(destination),
            Invocation::Delete(destination),
            Invocation::CancelBadgedSends(destination),
        ] {
            let asked = decoded(|packet| packet.invoke(&invocation));
            assert_eq!(asked, Ok(Asked::Syscall(Syscall::Invoke(invocation))));
        }
    }
}

#[test]
fn a_panic_comes_back_cut_and_harmless() {
    let asked = decoded(|packet| packet.panic("index 3\u{1b}[2J\nof 2"));
    assert_eq!(asked, Ok(Asked::Panic("index 3 [2J of 2".into())));
    let long = "x".repeat(5000);
    let Ok(Asked::Panic(text)) = decoded(|packet| packet.panic(&long)) else {
        panic!("a long text is cut, not refused");
    };
    assert_eq!(text.len(), (MAX_WORDS - 1) * 8);
}

#[test]
fn answers_come_back() {
    for answered in [
        Answered::Done,
        Answered::Nothing,
        Answered::Message(Badge(u64::MAX), message(MAX_WORDS)),
        Answered::Message(Badge(0), Message::default()),
        Answered::Invoked(Ok(())),
        Answered::Invoked(Err(KernelError::DeleteFirst)),
    ] {
        let mut packet = Packet::new();
        packet.answer(&answered);
        assert_eq!(decode_answer(packet.bytes()), Some(answered));
    }
}

/// A well-formed request, to break one thing in.
fn call() -> Vec<u8> {
    let mut packet = Packet::new();
    packet.message(Carrying::Call, CPtr(1), CPtr(0), &message(2));
    packet.bytes().to_vec()
}

#[test]
fn a_packet_of_another_length_is_malformed() {
    let whole = call();
    for length in 0..whole.len() {
        let found = length;
        assert_eq!(decode(&whole[..length]), Err(Malformed::Length { found }));
    }
    let longer = [&whole[..], &[0; 8]].concat();
    assert!(matches!(decode(&longer), Err(Malformed::Length { .. })));
    let mut most = vec![0; 32 + 255 * 8];
    most[0] = 1;
    most[1] = 255;
    assert!(matches!(decode(&most), Err(Malformed::Length { .. })));
}

#[test]
fn fields_out_of_range_are_malformed() {
    let broken = |at: usize, byte: u8| {
        let mut packet = call();
        packet[at] = byte;
        decode(&packet)
    };
    for operation in [0, 12, 255] {
        assert_eq!(broken(0, operation), Err(Malformed::Operation(operation)));
    }
    for reserved in 2..8 {
        assert_eq!(broken(reserved, 1), Err(Malformed::Reserved));
    }
    // Bit 52 of the label.
    assert!(matches!(broken(30, 0x1f), Err(Malformed::Label(_))));
    // A receive that carries words.
    assert_eq!(broken(0, 4), Err(Malformed::Reserved));
}

#[test]
fn invocations_out_of_range_are_malformed() {
    let slot = CNodeSlot {
        root: CPtr(1),
        index: 2,
        depth: 64,
    };
    let mut packet = Packet::new();
    packet.invoke(&Invocation::Delete(slot));
    let broken = |at: usize, byte: u8| {
        let mut packet = packet.bytes().to_vec();
        packet[at] = byte;
        decode(&packet)
    };
    assert_eq!(broken(24, 0), Err(Malformed::Invocation(0)));
    assert_eq!(broken(24, 8), Err(Malformed::Invocation(8)));
    let depth = 32 + 2 * 8;
    assert_eq!(broken(depth + 1, 1), Err(Malformed::Invocation(6)));
    let rights = 32 + 6 * 8;
    assert_eq!(broken(rights, 16), Err(Malformed::Invocation(6)));
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    for _ in 0..20_000 {
        let mut packet = vec![0; next() as usize % 1100];
        packet.iter_mut().for_each(|byte| *byte = next() as u8);
        if let [operation, words, reserved @ ..] = packet.as_mut_slice() {
            // Mostly near to what is well-formed: noise alone never gets past the length.
            *operation %= 13;
            *words = (reserved.len().saturating_sub(30) / 8) as u8;
            reserved
                .iter_mut()
                .take(6)
                .for_each(|byte| *byte &= u8::from(*byte == 7));
        }
        let _ = decode(&packet);
        let _ = decode_answer(&packet);
    }
}
