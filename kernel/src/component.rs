//! A component, and the loop that serves it.

use crate::{Badge, Fault, GrantBadge, Message, Method, Source, Syscalls, cspace, label};

/// Who made a call that a component is asked to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The holder of a grant. [`serve`] has checked that the grant includes the method.
    Grant(GrantBadge),
    /// The peer of a static channel.
    Channel(u8),
}

/// A protection domain's program: what it does when it starts, is called, is notified, and is told
/// of a fault. The same entry points as Microkit's `init`, `protected`, `notified` and `fault`.
pub trait Component<K: Syscalls> {
    /// Runs once, before anything is served.
    fn init(&mut self, kernel: &mut K);

    /// Serves a request: `message` holds it, and afterwards the reply. After a `send` the reply
    /// goes nowhere.
    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let _ = (kernel, caller, method);
        message.refuse(label::BAD_METHOD);
    }

    /// Learns that a request for a method which its caller's grant does not include, or for none, was
    /// refused: for components whose operator should be told.
    fn refused(&mut self, kernel: &mut K, caller: Caller) {
        let _ = (kernel, caller);
    }

    /// Takes notifications: bit n is channel, or granted bit, n.
    fn notified(&mut self, kernel: &mut K, bits: u64) {
        let _ = (kernel, bits);
    }

    /// Takes note that a thread stopped, and why: of component `number` for the manager, of child
    /// `number` for any other.
    fn faulted(&mut self, kernel: &mut K, number: u8, fault: Fault) {
        let _ = (kernel, number, fault);
    }
}

/// Serves `component` for ever, on its own input. A platform's system calls return for as long as
/// the component lives, so neither does this.
///
/// A fault is not replied to. The reply object then holds the thread that faulted, and the next
/// `Recv`, which takes the reply object, lets go of it: it stays stopped, and nobody's reply can
/// ever set it going.
pub fn serve<K: Syscalls, C: Component<K>>(kernel: &mut K, component: &mut C) -> ! {
    component.init(kernel);
    let mut message = Message::default();
    let mut badge = kernel.recv(cspace::INPUT, &mut message);
    loop {
        badge = match dispatch(kernel, component, badge, &mut message) {
            Answer::Reply => kernel.reply_recv(cspace::INPUT, &mut message),
            Answer::None => kernel.recv(cspace::INPUT, &mut message),
        };
    }
}

/// What a received message or notification is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The message that the component left, as a reply.
    Reply,
    /// Nothing.
    None,
}

/// Has `component` take what was received with `badge`: one turn of [`serve`]'s loop, for
/// platforms that run components by turns.
pub fn dispatch<K: Syscalls, C: Component<K> + ?Sized>(
    kernel: &mut K,
    component: &mut C,
    badge: Badge,
    message: &mut Message,
) -> Answer {
    let caller = match badge.source() {
        Source::Grant(grant) => Caller::Grant(grant),
        Source::Channel(id) => Caller::Channel(id),
        Source::Notification(bits) => {
            component.notified(kernel, bits);
            return Answer::None;
        }
        Source::Fault(number) => {
            component.faulted(kernel, number, Fault::read(message));
            return Answer::None;
        }
    };
    match message.method() {
        Some(method) if allows(caller, method) => component.call(kernel, caller, method, message),
        _ => {
            message.refuse(label::BAD_METHOD);
            component.refused(kernel, caller);
        }
    }
    Answer::Reply
}

/// A grant allows what its badge says; a static channel is its server's to judge.
fn allows(caller: Caller, method: Method) -> bool {
    match caller {
        Caller::Grant(grant) => grant.methods().contains(method),
        Caller::Channel(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CPtr, Generation, MethodSet};
    use std::vec::Vec;

    /// A kernel that a component may not call.
    struct Untouched;

    impl Syscalls for Untouched {
        fn call(&mut self, _: CPtr, _: &mut Message) {
            unreachable!("the component under test makes no system call");
        }

        fn send(&mut self, _: CPtr, _: &Message) {
            unreachable!("the component under test makes no system call");
        }

        fn nb_send(&mut self, _: CPtr, _: &Message) {
            unreachable!("the component under test makes no system call");
        }

        fn signal(&mut self, _: CPtr) {
            unreachable!("the component under test makes no system call");
        }

        fn recv(&mut self, _: CPtr, _: &mut Message) -> Badge {
            unreachable!("the component under test makes no system call");
        }

        fn nb_recv(&mut self, _: CPtr, _: &mut Message) -> Option<Badge> {
            unreachable!("the component under test makes no system call");
        }

        fn reply_recv(&mut self, _: CPtr, _: &mut Message) -> Badge {
            unreachable!("the component under test makes no system call");
        }

        fn yield_now(&mut self) {
            unreachable!("the component under test makes no system call");
        }
    }

    /// Writes down what it is asked.
    #[derive(Default)]
    struct Recorder {
        calls: Vec<(Caller, Method)>,
        refused: Vec<Caller>,
        bits: Vec<u64>,
        faults: Vec<(u8, Fault)>,
    }

    impl<K: Syscalls> Component<K> for Recorder {
        fn init(&mut self, _: &mut K) {}

        fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
            self.calls.push((caller, method));
            message.reply(&[message.word(0) + 1]);
        }

        fn refused(&mut self, _: &mut K, caller: Caller) {
            self.refused.push(caller);
        }

        fn notified(&mut self, _: &mut K, bits: u64) {
            self.bits.push(bits);
        }

        fn faulted(&mut self, _: &mut K, number: u8, fault: Fault) {
            self.faults.push((number, fault));
        }
    }

    /// Has a new component take the message; gives what it wrote down and what it answered.
    fn take(badge: Badge, mut message: Message) -> (Recorder, Answer, Message) {
        let mut recorder = Recorder::default();
        let answer = dispatch(&mut Untouched, &mut recorder, badge, &mut message);
        (recorder, answer, message)
    }

    fn method(number: u8) -> Method {
        Method::new(number).unwrap()
    }

    fn grant(methods: u32) -> GrantBadge {
        GrantBadge::new(3, Generation::default(), MethodSet(methods)).unwrap()
    }

    #[test]
    fn a_granted_method_is_served_and_replied_to() {
        let grant = grant(0b10);
        let (recorder, answer, reply) = take(grant.badge(), Message::request(method(1), &[41]));
        assert_eq!(recorder.calls, [(Caller::Grant(grant), method(1))]);
        assert_eq!((answer, reply.outcome()), (Answer::Reply, Ok(&[42][..])));
    }

    #[test]
    fn a_method_that_is_not_granted_never_reaches_the_component() {
        for number in (0..32).filter(|number| *number != 1) {
            let (recorder, answer, reply) =
                take(grant(0b10).badge(), Message::request(method(number), &[]));
            assert!(recorder.calls.is_empty());
            assert_eq!(recorder.refused, [Caller::Grant(grant(0b10))]);
            assert_eq!(answer, Answer::Reply);
            assert_eq!(
                reply.outcome(),
                Err(crate::Refusal::Object(label::BAD_METHOD))
            );
        }
    }

    #[test]
    fn a_label_that_is_no_request_is_refused() {
        for not_a_request in [0, label::REQUEST - 1, label::REQUEST + 32, u64::MAX] {
            for badge in [grant(u32::MAX).badge(), Badge::channel(5)] {
                let (recorder, _, reply) = take(badge, Message::new(not_a_request));
                assert!(recorder.calls.is_empty());
                assert_eq!(reply.word(0), label::BAD_METHOD);
            }
        }
    }

    #[test]
    fn a_static_channel_may_ask_for_any_method() {
        let (recorder, answer, _) = take(Badge::channel(5), Message::request(method(31), &[1]));
        assert_eq!(recorder.calls, [(Caller::Channel(5), method(31))]);
        assert_eq!(answer, Answer::Reply);
    }

    #[test]
    fn a_notification_is_not_replied_to_whatever_its_message_says() {
        let (recorder, answer, _) = take(Badge(0b101), Message::request(method(0), &[]));
        assert_eq!(
            (recorder.bits.as_slice(), answer),
            (&[0b101][..], Answer::None)
        );
        assert!(recorder.calls.is_empty());
    }

    #[test]
    fn a_fault_is_told_and_never_replied_to() {
        // Its label is a request's, and its first word a method's argument: it is a fault all the same.
        for message in [
            Message::request(method(0), &[41]),
            Fault::Other { label: 8 }.message(),
        ] {
            let (recorder, answer, after) = take(Badge::fault(4), message.clone());
            let fault = Fault::Other {
                label: message.label(),
            };
            assert_eq!(recorder.faults, [(4, fault)]);
            assert_eq!((answer, after), (Answer::None, message));
            assert!(recorder.calls.is_empty() && recorder.bits.is_empty());
        }
    }
}
