//! A component, and the loop that serves it.

use crate::{
    Badge, Current, Fault, GrantBadge, Message, Method, Signal, Signals, Source, Syscalls, cspace,
    label,
};

/// Who made a call that a component is asked to serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The holder of a grant. [`serve`] has checked that the grant includes the method.
    Grant(GrantBadge),
    /// The peer of a static channel.
    Channel(u8),
}

/// A protection domain's program: what it does when it starts, is called, is notified, has come to a
/// deadline, and is told of a fault. The entry points of Microkit's `init`, `protected`, `notified` and
/// `fault`, and one for the clock.
pub trait Component<K: Syscalls> {
    /// Runs once, before anything is served.
    fn init(&mut self, kernel: &mut K);

    /// Serves a request: `message` holds it, and afterwards the reply. After a `send` the reply
    /// goes nowhere. A component with [`Replies`](crate::Replies) may keep the caller and reply later.
    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let _ = (kernel, caller, method);
        message.refuse(label::BAD_METHOD);
    }

    /// Learns that a request for a method which its caller's grant does not include, or for none, was
    /// refused: for components whose operator should be told.
    fn refused(&mut self, kernel: &mut K, caller: Caller) {
        let _ = (kernel, caller);
    }

    /// Takes the signals that it was notified of: which ones it awaits it has found by name.
    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        let _ = (kernel, signals);
    }

    /// The clock's signal, of a component that sets deadlines.
    fn timer(&self) -> Option<Signal> {
        None
    }

    /// Learns that the clock signalled: a deadline that it set may have passed. Comes before
    /// [`notified`](Self::notified), which is told only of the other signals.
    fn deadline_passed(&mut self, kernel: &mut K) {
        let _ = kernel;
    }

    /// The reply object of the next receive, of a component with [`Replies`](crate::Replies): what
    /// [`Replies::current`](crate::Replies::current) says.
    fn reply_object(&self) -> Current {
        Current::OWN
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
    let reply = component.reply_object().object;
    let mut badge = kernel.recv(cspace::INPUT, reply, &mut message);
    loop {
        let answer = dispatch(kernel, component, badge, &mut message);
        let reply = component.reply_object().object;
        badge = match answer {
            Answer::Reply => kernel.reply_recv(cspace::INPUT, reply, &mut message),
            Answer::None => kernel.recv(cspace::INPUT, reply, &mut message),
        };
    }
}

/// What a received message or notification is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The message that the component left, as a reply to the caller whom its reply object holds.
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
            notify(kernel, component, Signals::new(bits));
            return Answer::None;
        }
        Source::Fault(number) => {
            component.faulted(kernel, number, Fault::read(message));
            return Answer::None;
        }
    };
    let served = component.reply_object().object;
    match message.method() {
        Some(method) if allows(caller, method) => component.call(kernel, caller, method, message),
        _ => {
            message.refuse(label::BAD_METHOD);
            component.refused(kernel, caller);
        }
    }
    let next = component.reply_object();
    if next.object == served || next.holds_kept {
        Answer::Reply
    } else {
        Answer::None
    }
}

/// Tells the component of its deadline, and of the signals beside the clock's.
fn notify<K: Syscalls, C: Component<K> + ?Sized>(
    kernel: &mut K,
    component: &mut C,
    signals: Signals,
) {
    let timer = component.timer().filter(|timer| signals.contains(*timer));
    let others = timer.map_or(signals, |timer| signals.without(timer));
    if timer.is_some() {
        component.deadline_passed(kernel);
    }
    if !others.is_empty() {
        component.notified(kernel, others);
    }
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
    use crate::{CPtr, Generation, Kept, MethodSet, Replies, ReplyObject};
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

        fn recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
            unreachable!("the component under test makes no system call");
        }

        fn nb_recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Option<Badge> {
            unreachable!("the component under test makes no system call");
        }

        fn reply_recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
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
        signals: Vec<Signals>,
        timer: Option<Signal>,
        deadlines: u32,
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

        fn notified(&mut self, _: &mut K, signals: Signals) {
            self.signals.push(signals);
        }

        fn timer(&self) -> Option<Signal> {
            self.timer
        }

        fn deadline_passed(&mut self, _: &mut K) {
            assert_eq!(self.signals, [], "the deadline comes first");
            self.deadlines += 1;
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
            (recorder.signals.as_slice(), answer),
            (&[Signals::new(0b101)][..], Answer::None)
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
            assert!(recorder.calls.is_empty() && recorder.signals.is_empty());
        }
    }

    #[test]
    fn a_deadline_is_told_apart_from_the_other_signals() {
        let timer = Signal::bit(3).unwrap();
        for (bits, deadlines, others) in [
            (0b1000, 1, None),
            (0b1101, 1, Some(0b101)),
            (0b0101, 0, Some(0b101)),
        ] {
            let mut recorder = Recorder {
                timer: Some(timer),
                ..Recorder::default()
            };
            let mut message = Message::default();
            let answer = dispatch(&mut Untouched, &mut recorder, Badge(bits), &mut message);
            assert_eq!((recorder.deadlines, answer), (deadlines, Answer::None));
            let others: Vec<Signals> = others.map(Signals::new).into_iter().collect();
            assert_eq!(recorder.signals, others);
        }
        let (recorder, _, _) = take(Badge(0b1000), Message::default());
        assert_eq!(recorder.deadlines, 0, "it sets no deadlines");
        assert_eq!(recorder.signals, [Signals::from(timer)]);
    }

    /// Keeps every caller of method 1, exchanges it for the present one at method 2.
    struct Keeper {
        replies: Replies,
        kept: Option<Kept>,
    }

    impl<K: Syscalls> Component<K> for Keeper {
        fn init(&mut self, _: &mut K) {}

        fn call(&mut self, _: &mut K, _: Caller, method: Method, _: &mut Message) {
            match method.number() {
                1 => self.kept = self.replies.keep(),
                2 => self.kept = self.kept.take().map(|kept| self.replies.exchange(kept)),
                _ => {}
            }
        }

        fn reply_object(&self) -> Current {
            self.replies.current()
        }
    }

    #[test]
    fn a_caller_that_is_kept_is_not_replied_to_and_the_next_receive_spares_it() {
        let mut keeper = Keeper {
            replies: Replies::new(1),
            kept: None,
        };
        let object = |keeper: &Keeper| Component::<Untouched>::reply_object(keeper).object;
        let turn = |keeper: &mut Keeper, number| {
            let mut message = Message::request(method(number), &[]);
            dispatch(&mut Untouched, keeper, Badge::channel(5), &mut message)
        };
        assert_eq!(turn(&mut keeper, 0), Answer::Reply);
        assert_eq!(turn(&mut keeper, 1), Answer::None);
        assert_ne!(object(&keeper), ReplyObject::OWN);
        assert_eq!(turn(&mut keeper, 0), Answer::Reply);
        // The reply goes to the one that was kept, whose reply object then receives.
        assert_eq!(turn(&mut keeper, 2), Answer::Reply);
        assert_eq!(object(&keeper), ReplyObject::OWN);
        // Both objects are in use: nobody more is kept.
        assert_eq!(turn(&mut keeper, 1), Answer::Reply);
    }
}
