//! The vault as a component.

use portcullis_blk::{
    DiskId, Remote,
    api::{Area, Client as Blk},
};
use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, MAX_WORDS, Message, Method, Region, RegionMut, Syscalls, label,
};
use zeroize::Zeroizing;

use crate::{
    Memory, Salt, Store, StoreError,
    api::{self, Create, ReleasedView, digest_from_words},
};

/// The vault. `Y` is the region `vault_key`, `I` `ingest_vault`, `P` `vault_publish`, `B`
/// `vault_disk`.
#[derive(Debug)]
pub struct Vault<'m, Y, I, P, B> {
    channel: u8,
    key: Y,
    ingest: I,
    publish: P,
    buffer: B,
    store: Store<'m>,
    disk: Option<Remote>,
    console: Terminal,
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

impl<'m, Y: Region, I: Region, P: RegionMut, B: RegionMut> Vault<'m, Y, I, P, B> {
    /// A vault that reaches the manager on the static channel `channel`. `salt`: see [`Salt`].
    pub const fn new(
        channel: u8,
        key: Y,
        ingest: I,
        publish: P,
        buffer: B,
        salt: Salt,
        memory: &'m mut Memory,
    ) -> Self {
        Self {
            channel,
            key,
            ingest,
            publish,
            buffer,
            store: Store::new(salt, memory),
            disk: None,
            console: Terminal::SILENT,
        }
    }

    fn open<K: Syscalls>(&mut self, kernel: &mut K) {
        let console = self.console;
        let found = Blk::find(kernel, self.channel)
            .and_then(|client| client.info(kernel).map(|info| (client, info)));
        let (client, info) = match found {
            Ok(found) => found,
            Err(refusal) => {
                console.line(kernel, format_args!("no vault: the disk: {refusal}"));
                return;
            }
        };
        let remote = self.disk.insert(Remote::new(client, Area::Vault, &info));
        let mut disk = remote.attach(kernel, &mut self.buffer);
        match open_with_key(&mut self.store, &mut disk, &self.key, &info.id) {
            Ok(opened) => say_opened(kernel, console, &opened),
            Err(error) => console.line(kernel, format_args!("no vault: {error}")),
        }
    }

    fn serve<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        owner: u64,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let remote = self.disk.as_mut().ok_or(StoreError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let store = &mut self.store;
        match (method, message.words()) {
            (api::CREATE, _) => {
                let mut buffer = [0; (MAX_WORDS - 1) * 8];
                let object: Create<'_> = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
                store.create(disk, owner, object.size, object.released, object.name)?;
                message.reply(&[]);
            }
            (api::WRITE, &[length]) => {
                let written = store.write(disk, owner, length, &self.ingest)?;
                message.reply(&[written]);
            }
            (api::COMMIT, []) => {
                let committed = store.commit(disk, owner)?;
                message.reply(&api::committed_words(&committed));
            }
            (api::RECORD, &[a, b, c, d, index]) => {
                store.record(disk, &digest_from_words(&[a, b, c, d]), index)?;
                message.reply(&[]);
            }
            (api::STAT, &[a, b, c, d]) => {
                let stat = store.stat(disk, &digest_from_words(&[a, b, c, d]))?;
                message.reply(&api::stat_words(&stat));
            }
            (api::READ, &[a, b, c, d, offset, length]) => {
                let digest = digest_from_words(&[a, b, c, d]);
                let count = store.read(disk, &digest, offset, length, &mut self.publish)?;
                message.reply(&[count]);
            }
            (api::RELEASED, _) => {
                let cursor = message.decode(&mut [0; (MAX_WORDS - 1) * 8]);
                self.released(kernel, cursor.ok_or(Failure::BadRequest)?, message)?;
            }
            (api::WRITE | api::COMMIT | api::RECORD | api::STAT | api::READ, _) => {
                return Err(Failure::BadRequest);
            }
            _ => return Err(Failure::BadMethod),
        }
        Ok(())
    }

    /// An object whose entry is damaged is said on the console, and passed over: it must not keep
    /// all that come after it from being published.
    fn released<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        mut cursor: u64,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let remote = self.disk.as_mut().ok_or(StoreError::Closed)?;
        loop {
            let disk = &mut remote.attach(kernel, &mut self.buffer);
            match self.store.released(disk, cursor) {
                Ok(object) => {
                    let view = ReleasedView {
                        next: object.next,
                        digest: object.digest,
                        size: object.size,
                        name: &object.name,
                    };
                    return message
                        .encode(label::OK, &view)
                        .map_err(|_| Failure::BadRequest);
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

fn open_with_key(
    store: &mut Store<'_>,
    disk: &mut impl portcullis_blk::Disk,
    region: &impl Region,
    id: &DiskId,
) -> Result<crate::Opened, StoreError> {
    let mut key = Zeroizing::new([0; 32]);
    region.read(0, &mut *key).map_err(|_| StoreError::Closed)?;
    store.open(disk, &key, id)
}

fn say_opened<K: Syscalls>(kernel: &mut K, console: Terminal, opened: &crate::Opened) {
    if opened.formatted {
        console.line(
            kernel,
            format_args!("the vault's region was empty: made a vault"),
        );
    }
    if opened.superblock_damaged {
        console.line(
            kernel,
            format_args!("a superblock is damaged: the other is used"),
        );
    }
    if opened.void > 0 {
        let void = opened.void;
        let text = format_args!("{void} index entries do not authenticate: their objects are lost");
        console.line(kernel, text);
    }
    let crate::Opened {
        objects,
        used,
        blocks,
        ..
    } = *opened;
    let text = format_args!("vault of {objects} objects, {used} of {blocks} blocks in use");
    console.line(kernel, text);
}

/// Refusals that say something of the vault's state, not only of the request.
const fn is_worth_a_line(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. }
            | StoreError::DamagedEntry { .. }
            | StoreError::NoSpace { .. }
            | StoreError::IndexFull { .. }
            | StoreError::Disk(_)
    )
}

impl<K, Y, I, P, B> Component<K> for Vault<'_, Y, I, P, B>
where
    K: Syscalls,
    Y: Region,
    I: Region,
    P: RegionMut,
    B: RegionMut,
{
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
