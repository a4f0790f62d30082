//! Writes a record as postcard would, without going through serde.
//!
//! A record is encoded on the path of every mint. Through serde and postcard that takes some 720
//! instructions, mostly calls for one byte each; written out it takes less than half (x86_64,
//! counted by callgrind). The bytes are the
//! same: a test holds the two against each other.

use portcullis_kernel::Fault;

use super::{Cause, GrantFields, Outcome, RECORD_MAX, Record};

/// Room for the bytes to be written. More than [`RECORD_MAX`] are never written: see the sum below.
struct Out<'b>(&'b mut [u8]);

impl Record {
    /// Encodes into `buffer`; the result is the record's bytes, which the log's leaf hash covers.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; RECORD_MAX]) -> &'b [u8] {
        let mut out = Out(buffer);
        out.varint(self.sequence);
        out.bytes(&self.boot.0);
        out.varint(self.time);
        out.byte(self.operation as u8);
        match &self.grant {
            None => out.byte(0),
            Some(grant) => {
                out.byte(1);
                out.grant(grant);
            }
        }
        out.cause(&self.cause);
        out.outcome(self.outcome);
        let length = RECORD_MAX - out.0.len();
        buffer.get(..length).unwrap_or_default()
    }
}

impl Out<'_> {
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        if let Some((place, rest)) = core::mem::take(&mut self.0).split_first_mut() {
            *place = byte;
            self.0 = rest;
        }
    }

    /// `N` is a multiple of 8: eight bytes at a time are copied in line, and more would be a call.
    #[inline(always)]
    fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) {
        for chunk in bytes.as_chunks::<8>().0 {
            if let Some((place, rest)) = core::mem::take(&mut self.0).split_first_chunk_mut() {
                *place = *chunk;
                self.0 = rest;
            }
        }
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    #[inline]
    fn varint(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 0x80 {
            self.byte(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.byte(rest as u8);
    }

    /// A number that is mostly below 128.
    #[inline(always)]
    fn small(&mut self, number: u32) {
        if number < 0x80 {
            self.byte(number as u8);
        } else {
            self.varint(number.into());
        }
    }

    fn option(&mut self, number: Option<u32>) {
        match number {
            None => self.byte(0),
            Some(number) => {
                self.byte(1);
                self.small(number);
            }
        }
    }

    fn grant(&mut self, fields: &GrantFields) {
        let grant = &fields.grant;
        self.small(fields.index.into());
        self.small(fields.generation.number().into());
        self.small(grant.subject.component().into());
        self.small(grant.slot.into());
        self.small(grant.object.into());
        self.small(grant.interface.into());
        self.small(grant.methods.0);
        self.byte(grant.mode as u8);
        self.option(fields.parent.map(u32::from));
        self.option(fields.lease_ms);
    }

    fn cause(&mut self, cause: &Cause) {
        match *cause {
            Cause::Policy { line } => {
                self.byte(0);
                self.small(line);
            }
            Cause::Request { by, line } => {
                self.byte(1);
                self.small(by.component().into());
                self.option(line);
            }
            Cause::Load { version, sha256 } => {
                self.byte(2);
                self.small(version);
                self.bytes(&sha256);
            }
            Cause::Complete { grants } => {
                self.byte(3);
                self.small(grants);
            }
            Cause::Fault { component, fault } => {
                self.byte(4);
                self.small(component.into());
                self.fault(fault);
            }
            Cause::Leaves {
                disk,
                log,
                size,
                root,
            } => {
                self.byte(5);
                self.bytes(&disk.0);
                self.byte(log as u8);
                self.varint(size);
                self.bytes(&root);
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Other { label } => {
                self.byte(0);
                self.varint(label);
            }
            Fault::CapFault {
                ip,
                pointer,
                receiving,
                lookup,
            } => {
                self.byte(1);
                self.varint(ip);
                self.varint(pointer);
                self.byte(receiving.into());
                self.byte(lookup);
            }
            Fault::UnknownSyscall { ip, number } => {
                self.byte(2);
                self.varint(ip);
                self.varint(number);
            }
            Fault::UserException { ip, number, code } => {
                self.byte(3);
                self.varint(ip);
                self.varint(number);
                self.varint(code);
            }
            Fault::Timeout { data, consumed } => {
                self.byte(4);
                self.varint(data);
                self.varint(consumed);
            }
            Fault::VmFault {
                ip,
                address,
                instruction,
                status,
            } => {
                self.byte(5);
                self.varint(ip);
                self.varint(address);
                self.byte(instruction.into());
                self.varint(status);
            }
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.byte(0),
            Outcome::Forbidden => self.byte(1),
            Outcome::NotPermitted => self.byte(2),
            Outcome::Unavailable => self.byte(3),
            Outcome::Error(code) => {
                self.byte(4);
                self.byte(code);
            }
        }
    }
}

/// Most bytes of a varint of 16, 32 and 64 bits.
const V16: usize = 3;
const V32: usize = 5;
const V64: usize = 10;
const GRANT: usize = 6 * V16 + V32 + 1 + (1 + V16) + (1 + V32);
const LOAD: usize = V32 + 32;
const FAULT: usize = V16 + 1 + 3 * V64 + 1;
const CAUSE: usize = 1 + if LOAD > FAULT { LOAD } else { FAULT };
const HEAD: usize = V64 + 16 + V64 + 1;
const LARGEST: usize = HEAD + (1 + GRANT) + CAUSE + 2;
/// It has no grant.
const LEAVES: usize = HEAD + 1 + (1 + 16 + 1 + V64 + 32) + 2;
const _: () = assert!(LARGEST <= RECORD_MAX && LEAVES <= RECORD_MAX);
