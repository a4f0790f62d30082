//! The vault as a component.

use portcullis_blk::{Remote, SharedBuffer};
use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, MAX_WORDS, Mapping, Message, Method, Refusal, Syscalls, label,
};
use portcullis_ledger::api as ledger;
use portcullis_manager_api::Buffer;

use crate::{
    Act, DocumentEntry, Listed, Memory, Named, Store, StoreError,
    api::{self, ObjectView, digest_from_words},
};

/// The vault's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The key that objects are encrypted with.
    pub vault_key: M::ReadOnly,
    /// A document on its way in.
    pub ingest_vault: M::ReadOnly,
    /// A released object on its way out.
    pub vault_publish: M::ReadWrite,
    /// Encrypted blocks on their way to and from the disk.
    pub vault_disk: M::ReadWrite,
}

/// The vault.
#[derive(Debug)]
pub struct Vault<'m, M: Mapping> {
    pub(crate) channel: u8,
    pub(crate) key: M::ReadOnly,
    ingest: M::ReadOnly,
    publish: M::ReadWrite,
    pub(crate) buffer: SharedBuffer<M::ReadWrite>,
    pub(crate) store: Store<'m>,
    pub(crate) disk: Option<Remote>,
    pub(crate) ledger: Option<ledger::Client>,
    pub(crate) console: Terminal,
}

/// Why a request was not served.
enum Failure {
    Store(StoreError),
    BadRequest,
    BadMethod,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'m, M: Mapping> Vault<'m, M> {
    /// A vault that reaches the manager on the static channel `channel`.
    pub fn new(channel: u8, regions: Regions<M>, memory: &'m mut Memory) -> Self {
        Self {
            channel,
            key: regions.vault_key,
            ingest: regions.ingest_vault,
            publish: regions.vault_publish,
            buffer: SharedBuffer::new(regions.vault_disk),
            store: Store::new(memory),
            disk: None,
            ledger: None,
            console: Terminal::SILENT,
        }
    }

    fn serve<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        owner: u64,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        match method {
            api::RECORD | api::DELETE => return self.follow(kernel, method, message),
            api::RELEASED | api::LIST => return self.list(kernel, method, message),
            api::STAT => return self.stat(kernel, message),
            _ => {}
        }
        let remote = self.disk.as_ref().ok_or(StoreError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let store = &mut self.store;
        match (method, message.words()) {
            (api::CREATE, &[size]) => {
                store.create(owner, size)?;
                message.reply(&[]);
            }
            (api::WRITE, &[length]) => {
                let written = store.write(disk, owner, length, &self.ingest)?;
                message.reply(&[written]);
            }
            (api::COMMIT, &[a, b, c, d]) => {
                let committed = store.commit(disk, owner, &digest_from_words(&[a, b, c, d]))?;
                message.reply(&api::committed_words(&committed));
            }
            (api::READ, &[a, b, c, d, offset, length]) => {
                let digest = digest_from_words(&[a, b, c, d]);
                let count = store.read(disk, &digest, offset, length, &mut self.publish)?;
                message.reply(&[count]);
            }
            (api::CHECK, &[a, b, c, d, offset]) => {
                let next = store.check(disk, &digest_from_words(&[a, b, c, d]), offset)?;
                message.reply(&[next]);
            }
            (api::CREATE | api::WRITE | api::COMMIT | api::READ | api::CHECK, _) => {
                return Err(Failure::BadRequest);
            }
            _ => return Err(Failure::BadMethod),
        }
        Ok(())
    }

    /// What is known of an object and, where a name is asked for, whether an entry of the ledger takes it
    /// in under that.
    fn stat<K: Syscalls>(&mut self, kernel: &mut K, message: &mut Message) -> Result<(), Failure> {
        let mut buffer: Buffer = [0; _];
        let asked = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
        let api::Asked { digest, path } = asked;
        let remote = self.disk.as_ref().ok_or(StoreError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let stat = self.store.stat(disk, &digest)?;
        let named = match path {
            None => Named::default(),
            Some(path) => {
                let mut naming = self.store.naming(disk, &digest, path)?;
                while let Some(next) = naming.next() {
                    let ledger = self.ledger.ok_or(StoreError::NoLedger)?;
                    let mut buffer: Buffer = [0; _];
                    match document(kernel, ledger, next, &mut buffer) {
                        Ok(document) => self.store.look_for(&mut naming, path, Some(document)),
                        Err(StoreError::NotADocument { .. }) => {
                            self.store.look_for(&mut naming, path, None);
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                naming.named()
            }
        };
        message.reply(&api::stat_words(&stat, &named));
        Ok(())
    }

    /// Follows an entry of the ledger, as the ledger has it.
    fn follow<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let &[index] = message.words() else {
            return Err(Failure::BadRequest);
        };
        let ledger = self.ledger.ok_or(StoreError::NoLedger)?;
        let remote = self.disk.as_ref().ok_or(StoreError::Closed)?;
        let mut buffer: Buffer = [0; _];
        let (DocumentEntry { digest, act, .. }, _) = document(kernel, ledger, index, &mut buffer)?;
        if (method == api::DELETE) != (act == Act::Removed) {
            return Err(StoreError::OtherAct { index }.into());
        }
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let mut following = self.store.follow(disk, &digest, index)?;
        while let Some(next) = following.next() {
            match document(kernel, ledger, next, &mut buffer) {
                Ok((document, _)) => {
                    following.entry(Some(&document));
                    self.store.followed(next, &document);
                }
                // An earlier entry that is lost is the ledger's to report. One that cannot be read now may
                // be another time, and is not passed over.
                Err(StoreError::NotADocument { .. }) if next < index => following.entry(None),
                Err(error) => return Err(error.into()),
            }
        }
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let references = self.store.keep(disk, following)?;
        message.reply(&[references.into()]);
        Ok(())
    }

    /// The next object of a list. One whose entry is damaged is said on the console, and passed over:
    /// it must not keep all that come after it from being seen.
    fn list<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let cursor = message.decode(&mut [0; (MAX_WORDS - 1) * 8]);
        let mut cursor: u64 = cursor.ok_or(Failure::BadRequest)?;
        let remote = self.disk.as_ref().ok_or(StoreError::Closed)?;
        loop {
            let disk = &mut remote.attach(kernel, &mut self.buffer);
            let next = if method == api::LIST {
                self.store.list(disk, cursor)
            } else {
                self.store.released(disk, cursor)
            };
            match next {
                Ok(object) => {
                    let encoded = message.encode(label::OK, &view(&object));
                    return encoded.map_err(|_| Failure::BadRequest);
                }
                Err((error @ StoreError::DamagedEntry { .. }, next)) => {
                    self.console
                        .line(kernel, format_args!("passed over: {error}"));
                    cursor = next;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

/// A document's entry of the ledger, and the one before that it speaks of.
fn document<'b>(
    kernel: &mut impl Syscalls,
    ledger: ledger::Client,
    index: u64,
    buffer: &'b mut Buffer,
) -> Result<(DocumentEntry<'b>, Option<u64>), StoreError> {
    match ledger.read(kernel, index, buffer) {
        Ok(entry) => DocumentEntry::decode_behind(entry).ok_or(StoreError::NotADocument { index }),
        Err(Refusal::Object(ledger::NO_RECORD | ledger::LOST)) => {
            Err(StoreError::NotADocument { index })
        }
        Err(_) => Err(StoreError::NoLedger),
    }
}

fn view(object: &Listed) -> ObjectView<'_> {
    ObjectView {
        next: object.next,
        digest: object.digest,
        size: object.stat.size,
        references: object.stat.references,
        name: &object.name,
    }
}

/// Refusals that say something of the vault's state, not only of the request.
const fn is_worth_a_line(error: &StoreError) -> bool {
    error.is_damage()
        || matches!(
            error,
            StoreError::NoSpace { .. }
                | StoreError::IndexFull { .. }
                | StoreError::NoLedger
                | StoreError::Disk(_)
        )
}

impl<K: Syscalls, M: Mapping> Component<K> for Vault<'_, M> {
    fn init(&mut self, kernel: &mut K) {
        self.console = Terminal::find_or_silent(kernel, self.channel);
        self.open(kernel);
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let Caller::Grant(grant) = caller else {
            // Nothing is served on a static channel: no policy line would stand behind it.
            message.refuse(label::BAD_METHOD);
            return;
        };
        match self.serve(kernel, grant.badge().0, method, message) {
            Ok(()) => {}
            Err(Failure::BadRequest) => message.refuse(label::BAD_REQUEST),
            Err(Failure::BadMethod) => message.refuse(label::BAD_METHOD),
            Err(Failure::Store(error)) => {
                message.refuse(error.code());
                if is_worth_a_line(&error) {
                    self.console.line(kernel, format_args!("{error}"));
                }
            }
        }
    }
}
