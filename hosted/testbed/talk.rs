//! A client and a server that exchange calls and count them.

use std::convert::Infallible;

use portcullis_hosted::component::MappedMut;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{
    CPtr, Caller, Component, Current, Kept, Message, Method, RegionMut, Replies, ReplyObject,
    Syscalls, cspace, label, serve,
};

/// Where a component's server is.
const SERVER: CPtr = CPtr(20);

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "client" => client,
        "server" => server,
        "late-server" => late_server,
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
    environment
        .kernel
        .recv(cspace::INPUT, ReplyObject::OWN, &mut message);
    loop {
        let words = [message.word(0) + 1, message.word(1)];
        message.set(16, &words);
        environment
            .kernel
            .reply_recv(cspace::INPUT, ReplyObject::OWN, &mut message);
    }
}

/// Answers as the server does, and three callers at a time: the second, the first, the third. The
/// count of answers given later is the first word of region `result`.
struct Late {
    replies: Replies,
    waiting: heapless::Vec<(Kept, Message), 2>,
    result: MappedMut,
    later: u64,
}

impl<K: Syscalls> Component<K> for Late {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, kernel: &mut K, _: Caller, _: Method, message: &mut Message) {
        let words = [message.word(0) + 1, message.word(1)];
        message.set(label::REQUEST, &words);
        if let Some(kept) = self.replies.keep() {
            let waiting = self.waiting.push((kept, message.clone()));
            return waiting.expect("the pool has no more");
        }
        while let Some((kept, answer)) = self.waiting.pop() {
            self.replies.reply(kernel, kept, &answer);
            self.later += 1;
        }
        self.result
            .store(0, self.later)
            .expect("the region has a page");
    }

    fn reply_object(&self) -> Current {
        self.replies.current()
    }
}

fn late_server(mut environment: Environment) -> Infallible {
    let mut late = Late {
        replies: Replies::new(2),
        waiting: heapless::Vec::new(),
        result: environment.region_mut("result"),
        later: 0,
    };
    serve(&mut environment.kernel, &mut late)
}

fn waiter(environment: Environment) -> Infallible {
    wait(environment)
}

/// Writes the badge and words of each message that arrives to region `result`.
fn fault_handler(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    for count in 1.. {
        let mut message = Message::default();
        let badge = environment
            .kernel
            .recv(cspace::INPUT, ReplyObject::OWN, &mut message);
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
            .recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
    }
}
