//! Opening: the disk, the index, what the ledger says beyond it; and what is said of it all.

use portcullis_blk::{
    Disk, DiskId,
    api::{Area, Client as Blk},
};
use portcullis_console::api::Terminal;
use portcullis_kernel::{Mapping, Refusal, Region, Syscalls};
use portcullis_ledger::api as ledger;
use portcullis_manager_api::Buffer;
use zeroize::Zeroizing;

use crate::{Opened, Store, StoreError, Vault, Walk, error::Short};

impl<M: Mapping> Vault<'_, M> {
    pub(crate) fn open<K: Syscalls>(&mut self, kernel: &mut K) {
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
        let remote = portcullis_blk::Remote::new(client, Area::Vault, &info);
        let remote = self.disk.insert(remote);
        let mut disk = remote.attach(kernel, &mut self.buffer);
        match open_with_key(&mut self.store, &mut disk, &self.key, &info.id) {
            Ok(opened) => {
                say_opened(kernel, console, &opened);
                self.catch_up(kernel);
            }
            Err(error) => console.line(kernel, format_args!("no vault: {error}")),
        }
    }

    /// Looks at what the ledger says beyond what the vault has followed.
    fn catch_up<K: Syscalls>(&mut self, kernel: &mut K) {
        let console = self.console;
        let outcome = ledger::Client::find(kernel, self.channel).and_then(|ledger| {
            self.ledger = Some(ledger);
            self.walk(kernel, ledger)
        });
        if let Err(refusal) = outcome {
            let text = format_args!("whether objects are missing is not known: ledger: {refusal}");
            console.line(kernel, text);
        }
    }

    fn walk<K: Syscalls>(&mut self, kernel: &mut K, ledger: ledger::Client) -> Result<(), Refusal> {
        let console = self.console;
        let mut buffer: Buffer = [0; _];
        let mut walk = self.store.walk();
        if let Some(last) = walk.next().checked_sub(1)
            && let Err(Refusal::Object(ledger::NO_RECORD)) = ledger.read(kernel, last, &mut buffer)
        {
            let text =
                format_args!("the ledger is older than the vault, which has seen entry {last}");
            console.line(kernel, text);
            return Ok(());
        }
        loop {
            match ledger.read(kernel, walk.next(), &mut buffer) {
                Ok(entry) => {
                    let Some(remote) = &self.disk else {
                        return Ok(());
                    };
                    let disk = &mut remote.attach(kernel, &mut self.buffer);
                    if let Err(error) = walk.look(&mut self.store, disk, entry) {
                        console.line(kernel, format_args!("the ledger is not followed: {error}"));
                        return Ok(());
                    }
                }
                Err(Refusal::Object(ledger::LOST)) => walk.skip(),
                Err(Refusal::Object(ledger::NO_RECORD)) => break,
                Err(refusal) => return Err(refusal),
            }
        }
        walk.end(&mut self.store);
        say_missing(kernel, console, &walk);
        Ok(())
    }
}

fn open_with_key(
    store: &mut Store<'_>,
    disk: &mut impl Disk,
    region: &impl Region,
    id: &DiskId,
) -> Result<Opened, StoreError> {
    let mut key = Zeroizing::new([0; 32]);
    region.read(0, &mut *key).map_err(|_| StoreError::Closed)?;
    store.open(disk, &key, id)
}

fn say_opened<K: Syscalls>(kernel: &mut K, console: Terminal, opened: &Opened) {
    let Opened {
        objects,
        void,
        unread,
        blocks,
        used,
        changes,
        ..
    } = *opened;
    if opened.formatted {
        let text = format_args!("the vault's region was empty: made a vault");
        console.line(kernel, text);
    }
    if opened.superblock_damaged {
        let text = format_args!("a superblock was damaged: written anew from the other");
        console.line(kernel, text);
    }
    if void > 0 {
        let text = format_args!("{void} index entries do not authenticate: their objects are lost");
        console.line(kernel, text);
    }
    if unread > 0 {
        let text = format_args!(
            "{unread} blocks of the index cannot be read: what they hold is not served, and nothing is \
             taken in; copy the disk to a sound one"
        );
        console.line(kernel, text);
    }
    if opened.changed {
        let text = format_args!(
            "THE INDEX IS NOT AS THE VAULT LEFT IT: entries are gone, or older than they should be"
        );
        console.line(kernel, text);
    } else if changes > 0 {
        let text = format_args!("{changes} times before, the index was not as the vault left it");
        console.line(kernel, text);
    }
    let text = format_args!("vault of {objects} objects, {used} of {blocks} blocks in use");
    console.line(kernel, text);
}

fn say_missing<K: Syscalls>(kernel: &mut K, console: Terminal, walk: &Walk) {
    for missing in walk.missing() {
        let (digest, index) = (Short(&missing.digest), missing.index);
        let text =
            format_args!("MISSING: object {digest}, which entry {index} of the ledger names");
        console.line(kernel, text);
    }
    if walk.more() > 0 {
        let text = format_args!("MISSING: {} more objects", walk.more());
        console.line(kernel, text);
    }
    if walk.waiting() > 0 {
        let text = format_args!("{} removals are in the ledger and not done", walk.waiting());
        console.line(kernel, text);
    }
}
