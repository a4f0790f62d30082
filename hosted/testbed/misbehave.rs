//! Components that crash, hang or flood the kernel.

use std::convert::Infallible;

use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{CPtr, Message, ReplyObject, Syscalls};

use crate::talk::wait;

/// The socket's descriptor in every component.
const SOCKET: i32 = 0;

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "panic" => |_| panic!("a panic\u{1b}[2J for the test"),
        "exit" => exit,
        "segfault" => segfault,
        "overflow" => overflow,
        "spin" => spin,
        "sleep" => sleep,
        "bad-receive" => bad_receive,
        "flood-calls" => flood_calls,
        "flood-sends" => flood_sends,
        "flood-yields" => flood_yields,
        "flood-garbage" => flood_garbage,
        "flood-unread" => flood_unread,
        "long-packet" => long_packet,
        "empty-packet" => empty_packet,
        _ => return None,
    })
}

fn exit(_: Environment) -> Infallible {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(7) }
}

fn segfault(_: Environment) -> Infallible {
    // SAFETY: none. Address 8 is never mapped, so the process dies here, which is what the test is
    // about.
    unsafe { (8 as *mut u8).write_volatile(1) };
    unreachable!("the write killed the process");
}

fn overflow(_: Environment) -> Infallible {
    fn deeper(n: u64) -> u64 {
        let pad = std::hint::black_box([n; 512]);
        if n == u64::MAX {
            0
        } else {
            deeper(n + 1) + pad[(n % 512) as usize]
        }
    }
    std::process::exit(deeper(0) as i32);
}

fn spin(_: Environment) -> Infallible {
    loop {
        std::hint::spin_loop();
    }
}

/// Waits for an answer to a system call that it never made.
fn sleep(environment: Environment) -> Infallible {
    let mut byte = [0];
    let _ = read(SOCKET, &mut byte);
    wait(environment)
}

/// Receives through a capability that it does not hold.
fn bad_receive(mut environment: Environment) -> Infallible {
    environment
        .kernel
        .recv(CPtr(499), ReplyObject::OWN, &mut Message::default());
    wait(environment)
}

fn flood_calls(mut environment: Environment) -> Infallible {
    loop {
        environment.kernel.call(CPtr(499), &mut Message::new(16));
    }
}

fn flood_sends(mut environment: Environment) -> Infallible {
    loop {
        environment.kernel.nb_send(CPtr(20), &Message::new(16));
    }
}

fn flood_yields(mut environment: Environment) -> Infallible {
    loop {
        environment.kernel.yield_now();
    }
}

/// Packets of every length with bytes that make no sense; the first is enough to be ended.
fn flood_garbage(_: Environment) -> Infallible {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    loop {
        let mut packet = [0; 1500];
        for byte in &mut packet {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        let length = (state >> 32) as usize % packet.len();
        write(SOCKET, &packet[..length.max(1)]);
    }
}

/// Well-formed system calls, without ever reading an answer.
fn flood_unread(_: Environment) -> Infallible {
    let mut packet = [0; 32];
    packet[0] = 10; // yield
    loop {
        write(SOCKET, &packet);
    }
}

fn long_packet(environment: Environment) -> Infallible {
    let mut packet = [0; 8192];
    packet[0] = 1; // call
    packet[1] = 255; // words
    write(SOCKET, &packet);
    wait(environment)
}

fn empty_packet(environment: Environment) -> Infallible {
    write(SOCKET, &[]);
    wait(environment)
}

fn write(descriptor: i32, bytes: &[u8]) -> isize {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) }
}

fn read(descriptor: i32, bytes: &mut [u8]) -> isize {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::read(descriptor, bytes.as_mut_ptr().cast(), bytes.len()) }
}
