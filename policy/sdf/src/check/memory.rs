//! Where memory lies: alignment, limits, overlaps.

use super::Findings;
use crate::{
    Architecture, Fault, MemoryRegion, PhysicalPlace, Prefill, RegionId, Span, Spanned, System,
    Target,
};

/// Address after the last that a device behind the IOMMU can have (`CAPDL_MAX_IOVA` of the
/// initialiser: 39 bits).
const IO_ADDRESS_END: u64 = 1 << 39;

/// A region at an address of some space.
struct Placed<'s> {
    region: &'s MemoryRegion,
    start: u64,
    end: u64,
    span: &'s Span,
}

/// One address space: what it is called, and where user memory ends in it.
struct Space {
    name: String,
    limit: u64,
    address: &'static str,
}

pub(super) fn check(system: &System, target: &Target, found: &mut Findings) {
    for pd in &system.protection_domains {
        let space = Space {
            name: format!("protection domain '{}'", pd.name.value),
            limit: target.map_end(pd.stack_size.value),
            address: "vaddr",
        };
        let maps = pd.maps.iter().map(|map| (&map.region, &map.vaddr));
        mappings(system, &space, maps, found);
        if let Some(vm) = &pd.virtual_machine {
            let space = Space {
                name: format!("virtual machine '{}'", vm.name.value),
                limit: target.vm_map_end(),
                address: "vaddr",
            };
            let maps = vm.maps.iter().map(|map| (&map.region, &map.vaddr));
            mappings(system, &space, maps, found);
        }
    }
    for device in &system.io_address_spaces {
        let space = Space {
            name: format!("device {}", device.peripheral_id.value),
            limit: IO_ADDRESS_END,
            address: "iovaddr",
        };
        let maps = device.maps.iter().map(|map| (&map.region, &map.iovaddr));
        mappings(system, &space, maps, found);
        for map in &device.maps {
            large_pages(system, &map.region, found);
        }
    }
    physical(system, found);
    filled(system, found);
    addresses_known(system, target, found);
}

fn mappings<'s>(
    system: &'s System,
    space: &Space,
    maps: impl Iterator<Item = (&'s Spanned<RegionId>, &'s Spanned<u64>)>,
    found: &mut Findings,
) {
    let mut placed = Vec::new();
    for (region, address) in maps {
        let region = system.region(region.value);
        let alignment = region.alignment();
        if !address.value.is_multiple_of(alignment) {
            let fault = Fault::Misaligned {
                attribute: space.address,
                text: format!("{:#x}", address.value),
                alignment,
            };
            found.note(&address.span, fault);
        }
        if let Some(one) = place(region, address, found) {
            if one.end > space.limit {
                let fault = Fault::BeyondAddressSpace {
                    region: region.name.value.clone(),
                    start: one.start,
                    end: one.end,
                    limit: space.limit,
                };
                found.note(one.span, fault);
            }
            placed.push(one);
        }
    }
    overlaps(placed, |second, first| {
        let fault = Fault::OverlappingMaps {
            region: second.region.name.value.clone(),
            range: (second.start, second.end),
            other: first.region.name.value.clone(),
            other_range: (first.start, first.end),
            space: space.name.clone(),
        };
        found.clash(second.span, first.span, fault);
    });
}

/// The region at an address; `None`, and noted, where it reaches beyond 64 bits.
fn place<'s>(
    region: &'s MemoryRegion,
    address: &'s Spanned<u64>,
    found: &mut Findings,
) -> Option<Placed<'s>> {
    let end = address.value.checked_add(region.least_size());
    if end.is_none() {
        let region = region.name.value.clone();
        found.note(&address.span, Fault::AddressOverflow { region });
    }
    Some(Placed {
        region,
        start: address.value,
        end: end?,
        span: &address.span,
    })
}

/// Calls `clash` for every region that starts before an earlier one in address order has ended,
/// with the one that stands later in the text first.
fn overlaps<'s>(mut placed: Vec<Placed<'s>>, mut clash: impl FnMut(&Placed<'s>, &Placed<'s>)) {
    placed.sort_by_key(|one| (one.start, one.span.start));
    let mut highest: Option<Placed<'s>> = None;
    for one in placed {
        let Some(before) = highest.take() else {
            highest = Some(one);
            continue;
        };
        if one.start < before.end {
            if one.span.start < before.span.start {
                clash(&before, &one);
            } else {
                clash(&one, &before);
            }
        }
        highest = Some(if one.end > before.end { one } else { before });
    }
}

fn physical(system: &System, found: &mut Findings) {
    let mut placed = Vec::new();
    for region in &system.memory_regions {
        if let Some(address) = &region.phys_addr {
            placed.extend(place(region, address, found));
        }
    }
    placed.iter().for_each(|one| withheld(one, found));
    overlaps(placed, |second, first| {
        let fault = Fault::OverlappingRegions {
            region: second.region.name.value.clone(),
            range: (second.start, second.end),
            other: first.region.name.value.clone(),
            other_range: (first.start, first.end),
        };
        found.clash(second.span, first.span, fault);
    });
}

/// The kernel gives out neither its own memory nor its own devices.
fn withheld(one: &Placed<'_>, found: &mut Findings) {
    let given = [PhysicalPlace::Ram, PhysicalPlace::Device];
    let mut places = one.region.places.iter();
    if let Some(over) = places.find(|place| !given.contains(place)) {
        let fault = Fault::Withheld {
            region: one.region.name.value.clone(),
            start: one.start,
            end: one.end,
            over: *over,
        };
        found.note(one.span, fault);
    }
}

fn large_pages(system: &System, region: &Spanned<RegionId>, found: &mut Findings) {
    let pages = system.region(region.value);
    if pages.alignment() != crate::PAGE_SIZES[0] {
        let fault = Fault::LargePageForDevice {
            region: pages.name.value.clone(),
        };
        found.note(&region.span, fault);
    }
}

/// The size of what fills a region is known only where a file fills it.
fn filled(system: &System, found: &mut Findings) {
    let maps = system.protection_domains.iter().flat_map(|pd| &pd.maps);
    for map in maps {
        let region = system.region(map.region.value);
        let by_file = matches!(region.prefill, Some(Prefill::Path(_)));
        if let (Some(setvar), false) = (&map.setvar_prefill_size, by_file) {
            let fault = Fault::NotFilled {
                region: region.name.value.clone(),
            };
            found.clash(&setvar.span, &region.name.span, fault);
        }
    }
}

/// On x86-64 the layout of physical memory is not known when the image is built.
fn addresses_known(system: &System, target: &Target, found: &mut Findings) {
    if target.architecture != Some(Architecture::X86_64) {
        return;
    }
    let setvars = system.protection_domains.iter().flat_map(|pd| &pd.setvars);
    for setvar in setvars {
        let region = system.region(setvar.region.value);
        if region.phys_addr.is_none() {
            let fault = Fault::AddressNotKnown {
                region: region.name.value.clone(),
            };
            found.clash(&setvar.region.span, &region.name.span, fault);
        }
    }
}
