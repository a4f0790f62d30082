//! Reads address spaces and frames back from a payload, and joins neighbours into runs.

use miette::{Result, miette};
use portcullis_policy::distribution::{Memory, Object};
use portcullis_policy::image::{Frames, Mapping, VSpace};
use sel4_capdl_initializer_types::{ArchivedCap, ArchivedObject};

use crate::found::{Reader, slots};

impl Reader<'_> {
    /// All that a thread's VSpace reaches; empty where it has none.
    pub(crate) fn vspace(&mut self, name: &str) -> Result<VSpace> {
        let mut vspace = VSpace::default();
        if let Some(root) = self.find(&Object::VSpace(name.to_owned())) {
            let level = self.config().vspace_root_level();
            self.table(root, level, 0, &mut vspace)?;
        }
        vspace.mappings.sort_by_key(|mapping| mapping.vaddr);
        vspace.mappings = joined(vspace.mappings, |last, next| {
            let alike = (last.read, last.write, last.execute, last.cached)
                == (next.read, next.write, next.execute, next.cached);
            let bytes = last.pages * last.page_size;
            let follows =
                last.vaddr + bytes == next.vaddr && last.first_page + last.pages == next.first_page;
            let joins =
                alike && follows && (&last.of, last.page_size) == (&next.of, next.page_size);
            last.pages += u64::from(joins);
            joins
        });
        Ok(vspace)
    }

    fn table(&mut self, id: usize, level: usize, base: u64, vspace: &mut VSpace) -> Result<()> {
        let levels = self.config().num_page_table_levels();
        if level >= levels {
            return Err(miette!(
                "'{}' lies below the last level of page tables",
                self.name(id)
            ));
        }
        self.tables.insert(id);
        vspace.tables.push(self.name(id).to_owned());
        let below: u64 = (level + 1..levels)
            .map(|level| self.config().vspace_level_index_bits(level))
            .sum();
        let mut next = Vec::new();
        for entry in slots(self.object(id)?) {
            let vaddr = base + (u64::from(entry.slot.0.to_native()) << (12 + below));
            match &entry.cap {
                ArchivedCap::PageTable(table) => next.push((usize::from(table.object), vaddr)),
                ArchivedCap::Frame(frame) => {
                    let id = usize::from(frame.object);
                    let (of, first_page) = self.names.frame(self.name(id));
                    vspace.mappings.push(Mapping {
                        vaddr,
                        pages: 1,
                        page_size: self.page_size(id)?,
                        of,
                        first_page,
                        read: frame.rights.read,
                        write: frame.rights.write,
                        execute: frame.executable,
                        cached: frame.cached,
                    });
                }
                _ => {
                    let name = self.name(id);
                    return Err(miette!("'{name}' maps what is neither a table nor a frame"));
                }
            }
        }
        for (table, vaddr) in next {
            self.table(table, level + 1, vaddr, vspace)?;
        }
        Ok(())
    }

    fn page_size(&self, id: usize) -> Result<u64> {
        match self.object(id)? {
            ArchivedObject::Frame(frame) => Ok(1 << frame.size_bits),
            _ => Err(miette!("'{}' is mapped and no frame", self.name(id))),
        }
    }

    /// All frames.
    pub(crate) fn memory(&self) -> Vec<Frames> {
        let objects = self.payload.objects.iter().enumerate();
        let mut memory: Vec<Frames> = objects
            .filter_map(|(id, named)| {
                let ArchivedObject::Frame(frame) = &named.object else {
                    return None;
                };
                let (of, first_page): (Memory, u64) = self.names.frame(self.name(id));
                Some(Frames {
                    of,
                    first_page,
                    pages: 1,
                    page_size: 1 << frame.size_bits,
                    phys_addr: frame.paddr.as_ref().map(|paddr| paddr.0.to_native()),
                })
            })
            .collect();
        memory.sort();
        joined(memory, |last, next| {
            let bytes = last.pages * last.page_size;
            let joins = (&last.of, last.page_size) == (&next.of, next.page_size)
                && last.first_page + last.pages == next.first_page
                && last.phys_addr.map(|start| start + bytes) == next.phys_addr;
            last.pages += u64::from(joins);
            joins
        })
    }
}

/// Joins each item to the one before where `join` takes it over into that.
fn joined<T>(items: Vec<T>, mut join: impl FnMut(&mut T, &T) -> bool) -> Vec<T> {
    let mut runs: Vec<T> = Vec::new();
    for item in items {
        if !runs.last_mut().is_some_and(|last| join(last, &item)) {
            runs.push(item);
        }
    }
    runs
}
