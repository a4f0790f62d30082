//! The two pages between the attacker and its warden.
//!
//! The attacker writes whether it is in an attempt, and where it wants to go on; the warden writes
//! what became of it. Each is one page of words, which only one side writes.

/// A page of words that another protection domain maps too.
#[derive(Debug)]
pub struct Page {
    base: *mut u64,
}

/// Words of the attacker's page.
pub mod state {
    /// 1 while an attempt is under way, 2 when all were made, else 0.
    pub const PHASE: usize = 0;
    /// Where the attacker goes on if it cannot by itself.
    pub const LANDING: usize = 1;
}

/// Words of the warden's page.
pub mod word {
    /// How often the warden had to put the attacker back on its feet.
    pub const COUNT: usize = 0;
    /// Why, the last time: [`FAULT`](super::FAULT) or [`BLOCKED`](super::BLOCKED).
    pub const KIND: usize = 1;
    /// Label of the fault message.
    pub const LABEL: usize = 2;
    /// Words of the fault message.
    pub const LENGTH: usize = 3;
    /// The first of them.
    pub const FIRST: usize = 4;
}

/// The attacker faulted.
pub const FAULT: u64 = 1;
/// The attacker was blocked, and nobody but `watch` was not.
pub const BLOCKED: u64 = 2;

/// The phase of an attacker that has made every attempt.
pub const THROUGH: u64 = 2;

/// The id of the attacker as a child of the warden, in `system.xml`.
pub const CHILD: u8 = 1;

impl Page {
    /// The page at `base`.
    ///
    /// # Safety
    ///
    /// `base` is the `setvar_vaddr` of a `<map>` of at least a page in this protection domain, mapped
    /// for as long as it runs; [`set`](Self::set) is used only where `perms` has `w`.
    pub const unsafe fn new(base: usize) -> Self {
        Self {
            base: base as *mut u64,
        }
    }

    /// Reads a word.
    pub fn word(&self, index: usize) -> u64 {
        // SAFETY: inside the page (`at`), aligned; plain words, any value is valid.
        unsafe { self.at(index).read_volatile() }
    }

    /// Writes a word.
    pub fn set(&self, index: usize, word: u64) {
        // SAFETY: as for `word`; writable (`new`).
        unsafe { self.at(index).write_volatile(word) }
    }

    /// Where a word lies.
    pub fn at(&self, index: usize) -> *mut u64 {
        assert!(index < 512, "a page has 512 words");
        self.base.wrapping_add(index)
    }
}
