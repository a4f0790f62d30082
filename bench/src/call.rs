//! A granted call and reply between two hosted components, beside a bare ping-pong.
//!
//! Both are four packets of the same size: client, middle, server and back. In the middle of the one
//! is the kernel with its model, a capability lookup and a scheduler, and its ends are sandboxed; in
//! the middle of the other is a loop that copies. The two alternate, and the client takes the time.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use portcullis_hosted::component::Access;
use portcullis_hosted::machine::{Limits, Machine, Spawner, Start, Stop, WhenIdle};
use portcullis_hosted::memory::Memory;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{
    CPtr, Generation, GrantBadge, Message, Method, MethodSet, RegionMut, ReplyObject, Rights,
    Syscalls, cspace,
};
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::Line;

/// Calls a round: some hundred milliseconds, long beside what a scheduler does in between.
const CALLS: u64 = 20_000;
/// Rounds of each kind; the quickest of each counts, since noise only ever adds.
const ROUNDS: usize = 7;
/// Words of a message: what the fast path of seL4 takes, and the largest message.
const WORDS: [u64; 2] = [4, 120];
/// Bytes of a request's header.
const HEADER: usize = 32;
/// Where the client's grant is.
const SERVER: CPtr = CPtr(20);
/// Bits of a component's only CNode.
const RADIX: u8 = 9;
/// First argument of a process that is the client or the server of the bare ping-pong.
const BARE: &str = "--bare-ping-pong";

/// The components of this measurement.
pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "bench-client" => client,
        "bench-server" => server,
        _ => return None,
    })
}

/// Becomes an end of the bare ping-pong where this process was started as one.
pub(crate) fn bare_main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, role, words] = arguments.as_slice()
        && flag == BARE
    {
        let words: usize = words.parse().expect("the bench passes a number");
        match role.as_str() {
            "client" => bare_client(words),
            _ => bare_server(words),
        }
        std::process::exit(0);
    }
}

pub(crate) fn measure() -> Vec<Line> {
    WORDS.iter().map(|words| measure_words(*words)).collect()
}

fn measure_words(words: u64) -> Line {
    let mut quickest = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        let times = [hosted(words), bare(words as usize)];
        for (best, time) in quickest.iter_mut().zip(times) {
            *best = best.min(time);
        }
    }
    let [hosted, bare] = quickest;
    eprintln!(
        "call and reply of {words} words: hosted {:.2} us, bare {:.2} us",
        hosted * 1e6,
        bare * 1e6
    );
    let value = hosted / bare;
    Line {
        name: match words {
            4 => "hosted call and reply of 4 words / bare ping-pong",
            _ => "hosted call and reply of 120 words / bare ping-pong",
        },
        value,
        unit: "times",
        bar: "<= 2",
        holds: value <= 2.0,
    }
}

/// Seconds a granted call and its reply take.
fn hosted(words: u64) -> f64 {
    let mut kernel = Kernel::new();
    let (server, _, endpoint) = component(&mut kernel, 101);
    let (client, cnode, _) = component(&mut kernel, 100);
    let methods = MethodSet::EMPTY.with(METHOD);
    let badge = GrantBadge::new(0, Generation::default(), methods).expect("there is a method");
    let grant = Capability::Endpoint {
        object: endpoint,
        badge: badge.badge(),
        rights: Rights::CALL,
    };
    kernel
        .insert(cnode, SERVER.bits(), grant)
        .expect("an empty slot");
    let report = Box::new(|event| eprintln!("the bench is spoilt: {event}"));
    let mut machine = Machine::new(kernel, Limits::default(), report);
    let result = Memory::zeroed("result", 4096).expect("memory");
    let spawner = Spawner::this_executable();
    for (program, thread) in [("bench-server", server), ("bench-client", client)] {
        let start = Start {
            name: program.into(),
            program: program.into(),
            regions: vec![("result".into(), &result, Access::ReadWrite)],
            devices: Vec::new(),
            parameters: vec![("words".into(), words)],
        };
        machine
            .start(&spawner, &start, thread, None)
            .expect("the component starts");
    }
    assert_eq!(
        machine
            .run(&[], WhenIdle::Return, None)
            .expect("the kernel runs"),
        Stop::Idle
    );
    let mut nanoseconds = [0; 8];
    result
        .read(0, &mut nanoseconds)
        .expect("the region has a page");
    u64::from_le_bytes(nanoseconds) as f64 / 1e9 / CALLS as f64
}

const METHOD: Method = match Method::new(0) {
    Some(method) => method,
    None => panic!("method numbers are below 32"),
};

/// A thread with an input and a reply object; its CNode, and its endpoint.
fn component(kernel: &mut Kernel, priority: u8) -> (ThreadId, ObjectId, ObjectId) {
    let thread = kernel.create_thread(priority);
    let cnode = kernel.create_cnode(RADIX);
    let endpoint = kernel.create_endpoint();
    let reply = kernel.create_reply();
    let input = Capability::Endpoint {
        object: endpoint,
        badge: portcullis_kernel::Badge(0),
        rights: Rights::READ,
    };
    let root = Capability::cnode(cnode, 64 - RADIX);
    kernel.set_cspace(thread, root).expect("a CNode");
    kernel
        .insert(cnode, cspace::INPUT.bits(), input)
        .expect("an empty slot");
    let reply = Capability::reply(reply);
    kernel
        .insert(cnode, cspace::REPLY.bits(), reply)
        .expect("an empty slot");
    (thread, cnode, endpoint)
}

fn client(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    let words = environment
        .parameter("words")
        .expect("the bench says how many") as usize;
    let request = Message::request(METHOD, &[7; 120][..words]);
    // The first call waits for the server's process to be there.
    environment.kernel.call(SERVER, &mut request.clone());
    let start = Instant::now();
    for _ in 0..CALLS {
        let mut message = request.clone();
        environment.kernel.call(SERVER, &mut message);
        assert_eq!(
            message.words().len(),
            words,
            "the reply is as long as the request"
        );
    }
    let elapsed = start.elapsed().as_nanos() as u64;
    result.store(0, elapsed).expect("the region has a page");
    loop {
        environment
            .kernel
            .recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
    }
}

fn server(mut environment: Environment) -> Infallible {
    let mut message = Message::default();
    environment
        .kernel
        .recv(cspace::INPUT, ReplyObject::OWN, &mut message);
    loop {
        environment
            .kernel
            .reply_recv(cspace::INPUT, ReplyObject::OWN, &mut message);
    }
}

/// Seconds a bare ping-pong takes: this process is the relay.
fn bare(words: usize) -> f64 {
    let (to_client, mut client) = bare_end("client", words);
    let (to_server, mut server) = bare_end("server", words);
    let mut packet = vec![0; HEADER + words * 8];
    let mut nanoseconds = 0;
    for round in 0..=CALLS + 1 {
        let read = rustix::io::read(&to_client, &mut packet[..]).expect("the client sends");
        if round == CALLS + 1 {
            nanoseconds = u64::from_le_bytes(packet[..8].try_into().expect("eight bytes"));
            break;
        }
        rustix::io::write(&to_server, &packet[..read]).expect("the server is there");
        let read = rustix::io::read(&to_server, &mut packet[..]).expect("the server sends");
        rustix::io::write(&to_client, &packet[..read]).expect("the client is there");
    }
    drop((to_client, to_server));
    client.wait().expect("the client ends");
    server.wait().expect("the server ends");
    nanoseconds as f64 / 1e9 / CALLS as f64
}

/// Starts an end of the bare ping-pong; the result is the relay's end of its socket.
fn bare_end(role: &str, words: usize) -> (OwnedFd, Child) {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a socket pair");
    let child = Command::new("/proc/self/exe")
        .args([BARE, role, &words.to_string()])
        .stdin(Stdio::from(theirs))
        .spawn()
        .expect("this executable");
    (ours, child)
}

fn bare_client(words: usize) {
    let socket = rustix::stdio::stdin();
    let mut packet = vec![7; HEADER + words * 8];
    let mut exchange = || {
        rustix::io::write(socket, &packet).expect("the relay is there");
        rustix::io::read(socket, &mut packet[..]).expect("the relay sends");
    };
    exchange();
    let start = Instant::now();
    for _ in 0..CALLS {
        exchange();
    }
    let elapsed = start.elapsed().as_nanos() as u64;
    rustix::io::write(socket, &elapsed.to_le_bytes()).expect("the relay is there");
}

fn bare_server(words: usize) {
    let socket = rustix::stdio::stdin();
    let mut packet = vec![0; HEADER + words * 8];
    while let Ok(read @ 1..) = rustix::io::read(socket, &mut packet[..]) {
        rustix::io::write(socket, &packet[..read]).expect("the relay is there");
    }
}
