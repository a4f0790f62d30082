//! Every attempt, by name.

/// An attempt to get past a grant, or one end of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The component that makes it, and says what came of it.
    pub by: &'static str,
    /// Its name in what is reported.
    pub name: &'static str,
    /// What an attacker hopes for.
    pub hope: &'static str,
    /// What comes of it.
    pub refusal: &'static str,
}

/// A list of attempts.
macro_rules! attempts {
    (
        $(#[$doc:meta])* $list:ident:
        $($by:ident $name:literal hopes $hope:literal gets $refusal:literal;)+
    ) => {
        $(#[$doc])*
        pub const $list: &[Attempt] = &[$(Attempt {
            by: stringify!($by),
            name: $name,
            hope: $hope,
            refusal: $refusal,
        }),+];
    };
}

attempts! {
    /// What [`Probe`](crate::Probe) tries on every platform, in its order.
    EVERYWHERE:
    probe "call-empty-slots"
        hopes "that a slot of its CSpace holds something after all"
        gets "invalid capability, from each of the slots";
    probe "send-to-empty-slots"
        hopes "that a message gets out unseen"
        gets "silence; the server's tally is the same";
    probe "use-empty-grant-slots"
        hopes "that a grant of another lies in its grants CNode"
        gets "invalid capability, or silence";
    probe "call-through-absent-cnodes"
        hopes "that the root CNode leads to another's CSpace"
        gets "invalid capability, through each of 62 slots";
    probe "call-own-input"
        hopes "to be its own server, and so to forge a badge"
        gets "invalid capability: Read only";
    probe "reply-to-nobody"
        hopes "that the reply object reaches a caller of somebody's"
        gets "an empty answer; nobody gets the reply";
    probe "poll-own-input"
        hopes "that somebody else's message comes"
        gets "nothing arrives";
    probe "invoke-cnodes"
        hopes "to mint, copy, move, change, revoke or delete a capability"
        gets "invalid capability, of each invocation through each root";
    probe "words-with-a-signal"
        hopes "that a notification carries a request"
        gets "a signal, and none of the words";
    probe "forged-methods"
        hopes "to use a method that its grant does not carry"
        gets "bad method; the server sees none";
    probe "forged-labels"
        hopes "that a label that is no request is taken for one"
        gets "bad method; the server sees none";
    probe "forged-badges"
        hopes "that a badge in the words counts"
        gets "bad method; the words are only words";
    probe "console-forged-methods"
        hopes "to draw over the console with a method that it has not"
        gets "nothing is shown";
    probe "console-forged-lines"
        hopes "that a line seems to be the manager's"
        gets "each line begins with the sender's name, control characters are escaped";
    probe "manager-forged-methods"
        hopes "to see grants and records without the grant to"
        gets "bad method";
    probe "manager-forged-faults"
        hopes "that the manager revokes another's grants for a fault that never was"
        gets "bad method; no fault in the log";
    probe "find-truncated"
        hopes "that the manager reads words that an earlier caller left"
        gets "bad request, at every length";
    probe "find-overlong"
        hopes "that the manager reads past the message"
        gets "bad request, at every length";
    probe "find-garbled"
        hopes "that a length that lies makes the manager panic"
        gets "bad request";
    probe "find-above-ceiling"
        hopes "a grant that the policy does not give it"
        gets "forbidden or not permitted, each a record of the log";
    probe "request-above-ceiling"
        hopes "to be given while the system runs what the policy does not give it"
        gets "forbidden or not permitted";
    probe "request-garbled"
        hopes "that a request that ends early is taken for another"
        gets "bad request, at every length";
    probe "delegate-above-ceiling"
        hopes "to hand on what is not its own, or not to be handed on, or to take back another's"
        gets "forbidden or not permitted";
    probe "release-anothers"
        hopes "that another's grant ends"
        gets "not permitted; its own grants stay";
    probe "flood-manager"
        hopes "to fill the log, or to make the manager forget it"
        gets "each is answered; 17 records, no more";
    probe "flood-target"
        hopes "that a call is lost or answered with another's words"
        gets "each is answered with its own words";
    probe "flood-notification"
        hopes "that signals pile up"
        gets "they become one; calls are served on";
    probe "flood-console"
        hopes "to bury what others say"
        gets "what repeats is counted";
}

attempts! {
    /// What `images/tests/probe` tries on seL4 beside. The other end of an attempt has a line of its own.
    ON_SEL4:
    captive "recv-from-empty-slots"
        hopes "to receive what others send, through any slot"
        gets "a capability fault in the receive phase, of this very slot";
    captive "recv-from-empty-grant-slots"
        hopes "the same, through its grants CNode"
        gets "a capability fault in the receive phase, of this very slot";
    captive "recv-from-reply-object"
        hopes "that a reply object can be received from"
        gets "a capability fault in the receive phase, of this very slot";
    captive "recv-from-client-capabilities"
        hopes "to take calls from the servers that it may call, as a stock Microkit client can"
        gets "a capability fault in the receive phase, of this very slot";
    captive "recv-through-absent-cnodes"
        hopes "to receive through another's CSpace"
        gets "a capability fault in the receive phase, of this very slot";
    captive "recv-with-other-reply-objects"
        hopes "to answer in another's place"
        gets "a capability fault in the receive phase, of the reply object";
    captive "guards-of-microkit-cnode"
        hopes "a second name for a slot, by bits above the radix"
        gets "a capability fault in the send phase: guard of 49 bits; or silence";
    captive "guards-of-grants-cnode"
        hopes "the same for its grants"
        gets "a capability fault in the send phase: guard of 52 bits; or silence";
    captive "recv-through-guards"
        hopes "the same, receiving"
        gets "a capability fault in the receive phase: guard mismatch";
    captive "receive-from-fault-endpoint"
        hopes "to take other's faults, or forge them, where stock Microkit has the fault endpoint"
        gets "a capability fault in the receive phase, of this very slot; invalid capability; silence";
    captive "invoke-empty-slots"
        hopes "that some invocation knows an object there"
        gets "invalid capability, of 80 labels through each slot";
    captive "invoke-own-input"
        hopes "that an endpoint knows an invocation"
        gets "invalid capability";
    captive "invoke-reply-object"
        hopes "that a reply object knows an invocation"
        gets "an empty answer, each a reply to nobody";
    captive "invoke-manager"
        hopes "that the kernel's labels mean something to the manager"
        gets "bad method, and for label 16 bad request";
    captive "invoke-notification"
        hopes "that a notification knows an invocation"
        gets "an empty answer, each a signal";
    captive "cnode-operations"
        hopes "to copy, mint, move, rotate, revoke or delete a grant"
        gets "invalid capability, through every slot";
    captive "tcb-operations"
        hopes "a higher priority, other registers, another CSpace, another's thread"
        gets "invalid capability, through every slot";
    captive "memory-operations"
        hopes "memory: to retype, to map, to find out where it is"
        gets "invalid capability, through every slot";
    captive "interrupt-operations"
        hopes "another's interrupt"
        gets "invalid capability, through every slot";
    captive "time-operations"
        hopes "more time, another's, another domain"
        gets "invalid capability, through every slot";
    captive "length-beyond-buffer"
        hopes "that the receiver reads past its buffer"
        gets "120 words arrive, each one that was sent";
    captive "stale-words"
        hopes "that what is left in the receiver's buffer passes for the message"
        gets "so many words arrive as were sent";
    captive "tag-all-ones"
        hopes "that a tag with every bit set confuses the kernel"
        gets "120 words, no capability, no badge";
    captive "forged-unwrapped-capabilities"
        hopes "that the receiver believes in a badge that never came"
        gets "no capability, no badge";
    captive "pass-capabilities"
        hopes "to give what it holds to a server on its side"
        gets "the words arrive alone";
    captive "pass-absent-capabilities"
        hopes "to pass on what it does not hold"
        gets "a capability fault in the send phase; or silence; nothing arrives";
    captive "pass-the-own-endpoint"
        hopes "to forge a badge by sending a capability through itself"
        gets "no badge arrives";
    captive "pass-capabilities-with-a-signal"
        hopes "that a signal carries capabilities"
        gets "a signal";
    captive "pass-capabilities-to-manager"
        hopes "that the manager, which has room for them, takes capabilities"
        gets "bad request";
    captive "take-capabilities-from-server"
        hopes "to be given a capability with an answer, wherever it says"
        gets "the words arrive alone; every slot is as empty as before";
    captive "steal-from-waiting-server"
        hopes "to stand in the queue of a server's receivers"
        gets "a capability fault in the receive phase, of this very slot, by each of seven system calls";
    captive "steal-while-server-is-elsewhere"
        hopes "another's call, which waits while the server is elsewhere"
        gets "a capability fault in the receive phase, of this very slot, by each of seven system calls";
    bystander "answered-after-theft"
        hopes "(the victim)"
        gets "the call that waited is answered by its server, with its own words";
    captive "reply-with-capabilities"
        hopes "to give what it holds to a client on its side"
        gets "the reply arrives alone";
    accomplice "nothing-with-a-reply"
        hopes "(the other end)"
        gets "one word, no capability; every slot is as empty as before";
    captive "reply-twice"
        hopes "that a second reply reaches somebody else"
        gets "silence";
    accomplice "one-answer"
        hopes "(the other end)"
        gets "the first answer, and no other";
    captive "overwrite-reply-object"
        hopes "that the kernel runs out of reply objects"
        gets "its own caller is forgotten; nobody else loses anything";
    captive "receive-on-own-input"
        hopes "that others' messages come to its own endpoint"
        gets "it waits for ever; polling gives nothing";
    captive "call-a-send-grant"
        hopes "an answer over a one-way grant"
        gets "the message goes, and the caller waits for ever";
    captive "call-a-notify-grant"
        hopes "an answer over a one-way grant"
        gets "an empty answer of the kernel's";
    captive "yield"
        hopes "to take time from others by giving its own away"
        gets "it goes on; servers serve";
    captive "write-read-only-page"
        hopes "to write what it may only read"
        gets "a memory fault with this address and this access; the page is unchanged";
    captive "write-own-code"
        hopes "to change its program"
        gets "a memory fault with this address and this access";
    captive "execute-data"
        hopes "to run code that it wrote: static data, stack, IPC buffer"
        gets "a memory fault with this address and this access";
    captive "execute-shared-page"
        hopes "to run code that another wrote, or that it can write"
        gets "a memory fault with this address and this access";
    captive "read-what-others-map"
        hopes "another's region, a device, physical memory"
        gets "a memory fault with this address and this access";
    captive "read-kernel-memory"
        hopes "the kernel's memory"
        gets "a memory fault with this address and this access";
    captive "write-kernel-memory"
        hopes "the kernel's memory"
        gets "a memory fault with this address and this access";
    captive "leave-stack-and-buffer"
        hopes "what lies around its stack and its IPC buffer"
        gets "a memory fault with this address and this access";
    captive "debug-system-calls"
        hopes "that the kernel is one with debugging system calls"
        gets "an unknown system call, with its number";
    captive "unknown-system-calls"
        hopes "that a number that is cut to fewer bits is a system call"
        gets "an unknown system call, with its number";
    captive "privileged-instructions"
        hopes "page tables, vectors, interrupts, the hypervisor, firmware"
        gets "a user exception, with its number";
    captive "set-a-timer"
        hopes "to stop the kernel's clock, or an interrupt of its own"
        gets "a user exception; where a timer is exported, nothing";
    watch "served-on-given-time"
        hopes "that a passive server stops when a client gives it its time and is gone"
        gets "it serves on";
    flood "flood-while-it-works"
        hopes "that the appliance starves"
        gets "every request is answered; the documents come through";
}

attempts! {
    /// What ends the component that tries it: the fault is a record of the log, and so is what became of
    /// its grants.
    FATAL:
    offender_writes "write-and-stop"
        hopes "to write what it may only read"
        gets "memory fault, permission, writing";
    offender_reads "read-and-stop"
        hopes "to read what is not there for it"
        gets "memory fault, no translation";
    offender_executes "execute-and-stop"
        hopes "to run code that it wrote to its stack"
        gets "memory fault, permission, executing";
    offender_receives "receive-and-stop"
        hopes "to take calls from the manager"
        gets "capability fault, receiving";
    offender_listens "listen-and-stop"
        hopes "to forge faults of others for Microkit's monitor, and to take real ones"
        gets "nothing comes of it; capability fault, receiving";
    offender_asks "ask-and-stop"
        hopes "a system call that there is not"
        gets "unknown system call";
    offender_traps "trap-and-stop"
        hopes "another page table"
        gets "user exception";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_attempts_have_one_name() {
        let all = EVERYWHERE.iter().chain(ON_SEL4).chain(FATAL);
        let names: BTreeSet<_> = all.clone().map(|attempt| attempt.name).collect();
        assert_eq!(names.len(), all.count());
    }
}
