//! A client and a server that exchange calls and count them.

use std::convert::Infallible;

use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{CPtr, Message, RegionMut, Syscalls, cspace};

/// Where a component's server is.
const SERVER: CPtr = CPtr(20);

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "client" => client,
        "server" => server,
        "waiter" => waiter,
        "fault-handler" => fault_handler,
        _ => return None,
    })
}

/// Makes `calls` calls, each answered with one more than was asked; the count of right answers is
/// the first word of region `result`.
fn client(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    let calls = environment
        .parameter("calls")
        .expect("the test says how many");
    let mut right = 0;
    for n in 0..calls {
        let mut message = Message::new(16);
        message.set(16, &[n, 7]);
        environment.kernel.call(SERVER, &mut message);
        right += u64::from(message.words() == [n + 1, 7]);
        result.store(0, right).expect("the region has a page");
    }
    wait(environment)
}

fn server(mut environment: Environment) -> Infallible {
    let mut message = Message::default();
    environment.kernel.recv(cspace::INPUT, &mut message);
    loop {
        let words = [message.word(0) + 1, message.word(1)];
        message.set(16, &words);
        environment.kernel.reply_recv(cspace::INPUT, &mut message);
    }
}

fn waiter(environment: Environment) -> Infallible {
    wait(environment)
}

/// Writes the badge and words of each message that arrives to region `result`.
fn fault_handler(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    for count in 1.. {
        let mut message = Message::default();
        let badge = environment.kernel.recv(cspace::INPUT, &mut message);
        result.store(8, badge.0).expect("the region has a page");
        result
            .store(16, message.label())
            .expect("the region has a page");
        result
            .store(24, message.word(0))
            .expect("the region has a page");
        result.store(0, count).expect("the region has a page");
    }
    wait(environment)
}

/// Waits for ever.
pub(crate) fn wait(mut environment: Environment) -> Infallible {
    loop {
        environment
            .kernel
            .recv(cspace::INPUT, &mut Message::default());
    }
}
