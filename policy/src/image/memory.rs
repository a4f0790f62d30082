//! The rules on memory: who sees which frames, and what they may do to them.

use std::collections::BTreeMap;

use portcullis_sdf::{Map, MemoryRegion, Perms, System};

use super::check::Findings;
use super::rule::Rule;
use super::stated::Stated;
use super::{Frames, Image, MONITOR, Mapping, ProtectionDomain};
use crate::distribution::Memory;

/// Size of the monitor's stack in bytes (`MON_STACK_SIZE` of the tool).
const MONITOR_STACK: u64 = 0x1000;
/// Size of an IPC buffer in bytes: one page.
const IPC_BUFFER: u64 = 0x1000;
/// Stacks and IPC buffers can be read and written, and not executed.
const DATA: Perms = Perms::READ_WRITE;

/// Holds every frame and every mapping against the system description.
pub(super) fn check_memory(findings: &mut Findings, stated: &Stated<'_>, image: &Image) {
    let mut memory = MemoryRules {
        findings,
        system: stated.system,
        image,
    };
    memory.sizes();
    memory.physical_addresses();
    for thread in image.threads() {
        memory.vspace(thread);
    }
    memory.mapped_once();
    memory.tables();
}

struct MemoryRules<'a> {
    findings: &'a mut Findings,
    system: &'a System,
    image: &'a Image,
}

impl MemoryRules<'_> {
    fn region(&self, name: &str) -> Option<&MemoryRegion> {
        let id = self.system.region_named(name)?;
        Some(self.system.region(id))
    }

    fn bytes(&self, of: &Memory) -> u64 {
        let own = self.image.memory.iter().filter(|frames| frames.of == *of);
        own.fold(0, |bytes, frames| {
            bytes.saturating_add(frames.pages.saturating_mul(frames.page_size))
        })
    }

    /// Whether the system description, or Microkit, has memory of this name.
    fn is_known(&self, of: &Memory) -> bool {
        match of {
            Memory::Region(name) => self.region(name).is_some(),
            Memory::Program(pd) | Memory::Stack(pd) | Memory::IpcBuffer(pd) => {
                pd == MONITOR || self.system.pd_named(pd).is_some()
            }
            Memory::Other(_) => false,
        }
    }

    fn sizes(&mut self) {
        let mut next: BTreeMap<&Memory, u64> = BTreeMap::new();
        for frames in &self.image.memory {
            if !self.is_known(&frames.of) {
                let found = format!("{} pages", frames.pages);
                let rule = Rule::UnknownObject;
                self.findings
                    .note(rule, "image", &frames.of, found, "nothing");
            }
            let next = next.entry(&frames.of).or_default();
            let page = |number: u64| format!("page {number}");
            let place = frames.of.to_string();
            let (found, expected) = (page(frames.first_page), page(*next));
            self.findings
                .equal(Rule::RegionSize, ("image", &place), found, expected);
            *next = frames.first_page.saturating_add(frames.pages);
        }
        for region in &self.system.memory_regions {
            let of = Memory::Region(region.name.value.clone());
            let found = self.bytes(&of);
            match &region.size {
                Some(size) => self.size("image", &of, found, size.value),
                None if found == 0 => self.size("image", &of, found, region.least_size()),
                // A file decides how large it is.
                None => {}
            }
        }
        let pds = self.system.protection_domains.iter();
        let stacks = pds.map(|pd| (pd.name.value.as_str(), pd.stack_size.value));
        for (name, size) in stacks.chain([(MONITOR, MONITOR_STACK)]) {
            let stack = Memory::Stack(name.to_owned());
            self.size(name, &stack, self.bytes(&stack), size);
            let buffer = Memory::IpcBuffer(name.to_owned());
            self.size(name, &buffer, self.bytes(&buffer), IPC_BUFFER);
        }
    }

    fn size(&mut self, component: &str, of: &Memory, found: u64, expected: u64) {
        let place = of.to_string();
        let bytes = |size| format!("{size:#x} bytes");
        let (found, expected) = (bytes(found), bytes(expected));
        let rule = Rule::RegionSize;
        self.findings
            .equal(rule, (component, &place), found, expected);
    }

    fn physical_addresses(&mut self) {
        for frames in &self.image.memory {
            self.physical_address(frames);
        }
        let fixed = self.image.memory.iter().filter_map(|frames| {
            let start = frames.phys_addr?;
            let size = frames.pages.saturating_mul(frames.page_size);
            Some((start, start.saturating_add(size), &frames.of))
        });
        let mut fixed: Vec<_> = fixed.collect();
        fixed.sort_unstable();
        for pair in fixed.windows(2) {
            let ((_, end, first), (start, _, second)) = (&pair[0], &pair[1]);
            if start < end {
                let found = format!("begins at {start:#x}, inside the {first}");
                let rule = Rule::PhysicalAddress;
                let expected = "memory of its own";
                self.findings.note(rule, "image", second, found, expected);
            }
        }
    }

    fn physical_address(&mut self, frames: &Frames) {
        let region = match &frames.of {
            Memory::Region(name) => self.region(name),
            _ => None,
        };
        let base = region.and_then(|region| region.phys_addr.as_ref());
        let is_filled = base.is_some() && region.is_some_and(|region| region.prefill.is_some());
        // The tool chooses an address for a region that a <setvar> wants to know the address of.
        let is_told = |region: &MemoryRegion| {
            let id = self.system.region_named(&region.name.value);
            let pds = self.system.protection_domains.iter();
            let mut setvars = pds.flat_map(|pd| &pd.setvars);
            setvars.any(|setvar| Some(setvar.region.value) == id)
        };
        if base.is_none() && region.is_some_and(is_told) {
            return self.chosen_address(frames);
        }
        let offset = frames.first_page.saturating_mul(frames.page_size);
        let expected = base.map(|base| base.value.saturating_add(offset));
        if frames.phys_addr != expected {
            let shown = |address: Option<u64>| match address {
                Some(address) => format!("physical address {address:#x}"),
                None => "no fixed physical address".to_owned(),
            };
            let place = format!("{}, page {}", frames.of, frames.first_page);
            let (found, expected) = (shown(frames.phys_addr), shown(expected));
            let rule = Rule::PhysicalAddress;
            self.findings.note(rule, "image", place, found, expected);
        }
        if is_filled {
            self.filled_address(frames);
        }
    }

    /// An address that the tool chose is of ordinary memory, and so are those that follow it: whoever is
    /// told of the first counts on from there.
    fn chosen_address(&mut self, frames: &Frames) {
        let Some(start) = frames.phys_addr else {
            return;
        };
        let size = frames.pages.saturating_mul(frames.page_size);
        let expected = if frames.first_page != 0 {
            "the address after the page before"
        } else if !self.is_ordinary(start, start.saturating_add(size)) {
            "ordinary memory"
        } else {
            return;
        };
        let place = format!("{}, page {}", frames.of, frames.first_page);
        let found = format!("physical address {start:#x}");
        let rule = Rule::PhysicalAddress;
        self.findings.note(rule, "image", place, found, expected);
    }

    /// What is filled is ordinary memory: a device's registers would be written before anybody runs.
    fn filled_address(&mut self, frames: &Frames) {
        let Some(start) = frames.phys_addr else {
            return;
        };
        let size = frames.pages.saturating_mul(frames.page_size);
        if !self.is_ordinary(start, start.saturating_add(size)) {
            let found = format!("physical address {start:#x}, filled at boot");
            let rule = Rule::PhysicalAddress;
            let expected = "ordinary memory";
            self.findings
                .note(rule, "image", &frames.of, found, expected);
        }
    }

    /// Whether all of a range is memory, and no device's.
    fn is_ordinary(&self, start: u64, end: u64) -> bool {
        let untyped = self.image.initialiser.untyped.iter();
        let mut ordinary: Vec<_> = untyped.filter(|untyped| !untyped.device).collect();
        ordinary.sort_unstable_by_key(|untyped| untyped.phys_addr);
        let covered = ordinary.iter().fold(start, |covered, untyped| {
            match untyped.phys_addr <= covered {
                true => covered.max(untyped.phys_addr.saturating_add(untyped.size)),
                false => covered,
            }
        });
        covered >= end
    }

    fn vspace(&mut self, thread: &ProtectionDomain) {
        let pd = self.system.pd_named(&thread.name);
        let maps = pd.map_or(&[][..], |id| &self.system.pd(id).maps);
        for mapping in &thread.vspace.mappings {
            self.write_xor_execute(&thread.name, mapping);
            match &mapping.of {
                Memory::Region(_) | Memory::Other(_) => self.region_mapping(thread, maps, mapping),
                private => self.private_mapping(thread, private, mapping),
            }
        }
        for map in maps {
            self.is_mapped(thread, map);
        }
    }

    fn write_xor_execute(&mut self, component: &str, mapping: &Mapping) {
        if mapping.write && mapping.execute {
            let rule = Rule::WriteXorExecute;
            let place = place(mapping);
            self.findings
                .note(rule, component, place, mapping, "one of \"w\" and \"x\"");
        }
    }

    /// Whether a mapping is a part of this `<map>`.
    fn is_part(&self, mapping: &Mapping, map: &Map) -> bool {
        let name = &self.system.region(map.region.value).name.value;
        let offset = mapping.first_page.checked_mul(mapping.page_size);
        let start = offset.and_then(|offset| map.vaddr.value.checked_add(offset));
        matches!(&mapping.of, Memory::Region(own) if own == name)
            && start == Some(mapping.vaddr)
            && self.exists(mapping)
    }

    /// Whether the image has the frames that are mapped.
    fn exists(&self, mapping: &Mapping) -> bool {
        let end = mapping.first_page.checked_add(mapping.pages);
        let mut own = self.image.memory.iter().filter(|it| it.of == mapping.of);
        own.any(|frames| {
            let last = frames.first_page.saturating_add(frames.pages);
            mapping.pages > 0
                && frames.page_size == mapping.page_size
                && frames.first_page <= mapping.first_page
                && end.is_some_and(|end| end <= last)
        })
    }

    fn region_mapping(&mut self, thread: &ProtectionDomain, maps: &[Map], mapping: &Mapping) {
        let component = thread.name.as_str();
        let Some(map) = maps.iter().find(|map| self.is_part(mapping, map)) else {
            let is_device = match &mapping.of {
                Memory::Region(name) => self.region(name).is_some_and(|it| it.phys_addr.is_some()),
                _ => false,
            };
            let rule = match mapping.write {
                _ if is_device => Rule::DeviceMemory,
                true => Rule::WritableMemory,
                false => Rule::ReadableMemory,
            };
            let place = place(mapping);
            return self
                .findings
                .note(rule, component, place, mapping, "no such mapping");
        };
        self.perms(component, mapping, map.perms.value, map.cached.value);
    }

    fn perms(&mut self, component: &str, mapping: &Mapping, perms: Perms, cached: bool) {
        let own = Perms {
            read: mapping.read,
            write: mapping.write,
            execute: mapping.execute,
        };
        let rule = match (own.is_subset(perms), perms.is_subset(own)) {
            (true, true) => None,
            (true, false) => Some(Rule::NarrowerMapping),
            (false, _) => Some(Rule::WiderMapping),
        };
        let place = place(mapping);
        if let Some(rule) = rule {
            let expected = format!("\"{perms}\"");
            self.findings
                .note(rule, component, &place, mapping, expected);
        }
        if mapping.cached != cached {
            let expected = if cached { "cached" } else { "not cached" };
            let rule = Rule::Caching;
            self.findings
                .note(rule, component, &place, mapping, expected);
        }
    }

    fn private_mapping(&mut self, thread: &ProtectionDomain, of: &Memory, mapping: &Mapping) {
        let component = thread.name.as_str();
        let (owner, is_program) = match of {
            Memory::Program(pd) => (pd, true),
            Memory::Stack(pd) | Memory::IpcBuffer(pd) => (pd, false),
            Memory::Region(_) | Memory::Other(_) => return,
        };
        let wrong = match *owner == thread.name {
            false => Some("memory of its own"),
            true => (!self.exists(mapping)).then_some("pages that there are"),
        };
        if let Some(expected) = wrong {
            let (rule, place) = (Rule::PrivateMemory, place(mapping));
            self.findings
                .note(rule, component, place, mapping, expected);
        } else if !is_program {
            self.perms(component, mapping, DATA, true);
        }
    }

    /// Whether all pages of a region are mapped where a `<map>` says.
    fn is_mapped(&mut self, thread: &ProtectionDomain, map: &Map) {
        let of = Memory::Region(self.system.region(map.region.value).name.value.clone());
        let parts = thread.vspace.mappings.iter();
        let parts = parts.filter(|mapping| self.is_part(mapping, map));
        let found = parts.fold(0u64, |pages, mapping| pages.saturating_add(mapping.pages));
        let pages = self.image.pages(&of);
        if found != pages {
            let rule = Rule::MissingMapping;
            let place = format!("{:#x}", map.vaddr.value);
            let found = format!("{found} pages of the {of}");
            self.findings.note(rule, &thread.name, place, found, pages);
        }
    }

    /// Whether no page of private memory is mapped twice.
    fn mapped_once(&mut self) {
        let mut private: Vec<(&Mapping, &str)> = Vec::new();
        for thread in self.image.threads() {
            let mappings = thread.vspace.mappings.iter();
            let own = mappings.filter(|it| !matches!(it.of, Memory::Region(_) | Memory::Other(_)));
            private.extend(own.map(|mapping| (mapping, thread.name.as_str())));
        }
        private.sort_by_key(|(mapping, _)| (&mapping.of, mapping.first_page));
        for pair in private.windows(2) {
            let ((first, _), (second, component)) = (pair[0], pair[1]);
            let end = first.first_page.saturating_add(first.pages);
            let is_other = matches!(&second.of,
                Memory::Program(pd) | Memory::Stack(pd) | Memory::IpcBuffer(pd) if pd != component);
            // What is mapped by another was found already.
            if first.of == second.of && second.first_page < end && !is_other {
                let rule = Rule::PrivateMemory;
                let place = place(second);
                self.findings
                    .note(rule, component, place, second, "one mapping");
            }
        }
    }

    fn tables(&mut self) {
        let mut owners = BTreeMap::new();
        for thread in self.image.threads() {
            for table in &thread.vspace.tables {
                if let Some(owner) = owners.insert(table, &thread.name) {
                    let found = format!("page table '{table}' is also reached by '{owner}'");
                    let (rule, expected) = (Rule::PageTable, "a table of its own");
                    self.findings
                        .note(rule, &thread.name, "VSpace", found, expected);
                }
            }
        }
    }
}

fn place(mapping: &Mapping) -> String {
    format!("{:#x}", mapping.vaddr)
}
