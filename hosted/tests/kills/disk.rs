//! The disk under the appliance: what is on it, and what a power cut leaves of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use portcullis_appliance::FileDisk;
use portcullis_appliance::State;
use portcullis_blk::testing::FaultyDisk;
use portcullis_blk::{BLOCK, Disk as _, Header, initialise};

use crate::journal::{Entry, Journaled};

/// Blocks of the disk, 16 MiB: the appliance starts some dozens of times on it.
const BLOCKS: u64 = 1 << 12;
/// Blocks for the journal of one run, 1 GiB; the file is sparse.
const JOURNAL: u64 = 1 << 18;

/// The disk of a state directory, followed from run to run.
pub(crate) struct Disk {
    state: PathBuf,
    /// What is durable, and what was written since the last flush, of all runs.
    platter: FaultyDisk,
}

impl Disk {
    /// Makes a state directory, with a smaller disk than its own.
    pub(crate) fn new(state: &Path) -> Self {
        let id = State::open(state).unwrap().id;
        let mut platter = FaultyDisk::new(BLOCKS);
        initialise(&mut platter, &Header::new(BLOCKS, id.0).unwrap()).unwrap();
        let mut disk = Self {
            state: state.to_owned(),
            platter,
        };
        disk.write_out();
        disk
    }

    /// The state directory that it is in.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Copies the whole state directory.
    pub(crate) fn copy(&self, state: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&state);
        copy_files(&self.state, &state);
        Self {
            state,
            platter: self.platter.clone(),
        }
    }

    fn path(&self) -> PathBuf {
        self.state.join("disk.img")
    }

    /// Makes room for the journal of a run, in which the driver may have to die after so many writes
    /// and flushes.
    pub(crate) fn begin(&self, dies_after: Option<u64>) {
        let file = File::options().write(true).open(self.path()).unwrap();
        let last = (BLOCKS + JOURNAL - 1) * BLOCK as u64;
        file.set_len(last + BLOCK as u64).unwrap();
        if let Some(operations) = dies_after {
            let block = Journaled::dies_after(operations);
            file.write_all_at(&block, last).unwrap();
        }
    }

    /// Takes in what a run that was killed wrote, and leaves the file as the run left it; how many
    /// writes and flushes there were.
    pub(crate) fn end(&mut self) -> u64 {
        let file = File::open(self.path()).unwrap();
        let mut journal = Journaled::new(FileDisk::new(file.into(), BLOCKS + JOURNAL));
        let mut operations = 0;
        while let Some(entry) = journal.entry() {
            operations += 1;
            match entry {
                Entry::Write { first, data } => self.platter.write(first, &data).unwrap(),
                Entry::Flush => self.platter.flush().unwrap(),
            }
        }
        // A write that was cut off is in the file, as far as it came, and not in the journal.
        let mut block = [0; BLOCK];
        for number in 0..BLOCKS {
            journal.read(number, &mut block).unwrap();
            let at = number as usize * BLOCK;
            if self.platter.bytes_mut()[at..][..BLOCK] != block {
                self.platter.write(number, &block).unwrap();
            }
        }
        self.shrink();
        operations
    }

    /// Cuts the power: of the sectors that were not flushed, those are left for which `keep` says so;
    /// how many there were.
    pub(crate) fn cut(&mut self, keep: impl FnMut(usize) -> bool) -> usize {
        let sectors = self.platter.unflushed_sectors();
        self.platter = self.platter.cut(keep);
        self.write_out();
        sectors
    }

    /// Whether all that it reads as is there after a power cut too.
    pub(crate) fn is_durable(&self) -> bool {
        self.platter.unflushed_sectors() == 0
    }

    /// What the disk reads as now.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.platter.bytes_mut()
    }

    fn write_out(&mut self) {
        let file = File::options().write(true).open(self.path());
        file.unwrap()
            .write_all_at(self.platter.bytes_mut(), 0)
            .unwrap();
        self.shrink();
    }

    fn shrink(&self) {
        let file = File::options().write(true).open(self.path()).unwrap();
        file.set_len(BLOCKS * BLOCK as u64).unwrap();
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, copy) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_files(&entry.path(), &copy);
        } else if kind.is_file() {
            fs::copy(entry.path(), copy).unwrap();
        }
    }
}
