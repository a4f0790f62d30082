//! What the console asks the manager: the interface `inspect`, from its caller's side.

use portcullis_kernel::{CallGrant, Refusal, Syscalls};
use portcullis_log::Record;
use portcullis_manager_api::{
    Buffer, COMPONENT, ComponentView, GRANTS, GrantView, INSPECT, MANAGER, NO_MORE, RECORD, STATUS,
    Status, Verdict, WHY, Why, ask, find_call,
};

/// The grant to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inspect(CallGrant);

impl Inspect {
    pub(crate) fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_call(kernel, channel, MANAGER, INSPECT).map(Self)
    }

    /// The first grant in force at or after `index`; `None` where there is none.
    pub(crate) fn grant<'b>(
        self,
        kernel: &mut impl Syscalls,
        index: u16,
        buffer: &'b mut Buffer,
    ) -> Result<Option<GrantView<'b>>, Refusal> {
        match ask::<_, GrantView<'_>>(kernel, self.0, GRANTS, &index, buffer) {
            // A cursor that goes back would never end.
            Ok(grant) if grant.index < index => Err(Refusal::Garbled),
            Ok(grant) => Ok(Some(grant)),
            Err(Refusal::Object(NO_MORE)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Component `number`; `None` from the number of components up.
    pub(crate) fn component<'b>(
        self,
        kernel: &mut impl Syscalls,
        number: u16,
        buffer: &'b mut Buffer,
    ) -> Result<Option<ComponentView<'b>>, Refusal> {
        match ask(kernel, self.0, COMPONENT, &number, buffer) {
            Ok(component) => Ok(Some(component)),
            Err(Refusal::Object(NO_MORE)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The record of this boot with this sequence number.
    pub(crate) fn record(
        self,
        kernel: &mut impl Syscalls,
        sequence: u64,
    ) -> Result<Record, Refusal> {
        ask(kernel, self.0, RECORD, &sequence, &mut [0; _])
    }

    pub(crate) fn why(self, kernel: &mut impl Syscalls, why: &Why<'_>) -> Result<Verdict, Refusal> {
        ask(kernel, self.0, WHY, why, &mut [0; _])
    }

    pub(crate) fn status<'b>(
        self,
        kernel: &mut impl Syscalls,
        buffer: &'b mut Buffer,
    ) -> Result<Status<'b>, Refusal> {
        ask(kernel, self.0, STATUS, &(), buffer)
    }
}
