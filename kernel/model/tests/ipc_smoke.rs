//! A call and its reply.

use portcullis_kernel::{Badge, CPtr, Message, Rights, Syscall};
use portcullis_model::{Capability, Completion, Kernel, ThreadId};

#[test]
fn a_call_is_received_and_replied_to() {
    let mut kernel = Kernel::new();
    let cnode = kernel.create_cnode(4);
    let (endpoint, reply) = (kernel.create_endpoint(), kernel.create_reply());
    let root = Capability::cnode(cnode, 60);
    let (client, server) = (kernel.create_thread(1), kernel.create_thread(2));
    kernel.set_cspace(client, root).unwrap();
    kernel.set_cspace(server, root).unwrap();
    let to_call = Capability::Endpoint {
        object: endpoint,
        badge: Badge(7),
        rights: Rights::CALL,
    };
    kernel
        .insert(cnode, 1, Capability::endpoint(endpoint))
        .unwrap();
    kernel
        .insert(cnode, 2, Capability::Reply { object: reply })
        .unwrap();
    kernel.insert(cnode, 3, to_call).unwrap();

    let mut events: Vec<(ThreadId, Completion)> = Vec::new();
    let mut done = |thread, completion| events.push((thread, completion));
    let mut request = Message::new(0);
    request.set(20, &[1, 2, 3]);
    let mut answer = Message::new(0);
    answer.set(16, &[4]);
    let (from, reply) = (CPtr(1), CPtr(2));
    kernel.syscall(server, &Syscall::Recv { from, reply }, &mut done);
    kernel.syscall(client, &Syscall::Call(CPtr(3), request.clone()), &mut done);
    let message = answer.clone();
    kernel.syscall(
        server,
        &Syscall::ReplyRecv {
            from,
            reply,
            message,
        },
        &mut done,
    );
    let badge = Badge(7);
    let none = Badge(0);
    assert_eq!(
        events,
        [
            (
                server,
                Completion::Message {
                    badge,
                    message: request
                }
            ),
            (
                client,
                Completion::Message {
                    badge: none,
                    message: answer
                }
            ),
        ]
    );
}
