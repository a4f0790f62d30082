//! The memory regions of a system, and who sees them.

use portcullis_sdf::{Perms, Prefill, RegionId, System};

use super::{AddressSpace, Mapping, Region};

/// All regions by name, each with its mappings in order.
pub(super) fn regions(system: &System) -> Vec<Region> {
    let mut regions: Vec<Region> = system
        .memory_regions
        .iter()
        .map(|region| Region {
            name: region.name.value.clone(),
            size: region.size.as_ref().map(|size| size.value),
            phys_addr: region.phys_addr.as_ref().map(|address| address.value),
            prefill: match &region.prefill {
                Some(Prefill::Path(path)) => Some(path.value.clone()),
                Some(Prefill::BootInfo(_)) | None => None,
            },
            mappings: Vec::new(),
        })
        .collect();
    for (RegionId(region), mapping) in mappings(system) {
        regions[region].mappings.push(mapping);
    }
    for region in &mut regions {
        region.mappings.sort();
    }
    regions.sort_by(|a, b| a.name.cmp(&b.name));
    regions
}

fn mappings(system: &System) -> impl Iterator<Item = (RegionId, Mapping)> {
    let of_pds = system.protection_domains.iter().flat_map(|pd| {
        let own = pd.maps.iter().map(|map| {
            let space = AddressSpace::Pd(pd.name.value.clone());
            (map, space)
        });
        let guests = pd.virtual_machine.iter().flat_map(|vm| {
            vm.maps.iter().map(|map| {
                let space = AddressSpace::Vm(vm.name.value.clone());
                (map, space)
            })
        });
        own.chain(guests).map(|(map, space)| {
            let cached = map.cached.value;
            let mapping = mapping(space, map.vaddr.value, map.perms.value, cached);
            (map.region.value, mapping)
        })
    });
    let of_devices = system.io_address_spaces.iter().flat_map(|device| {
        device.maps.iter().map(|map| {
            let space = AddressSpace::Device(device.name.value.clone());
            let mapping = mapping(space, map.iovaddr.value, map.perms.value, false);
            (map.region.value, mapping)
        })
    });
    of_pds.chain(of_devices)
}

fn mapping(space: AddressSpace, vaddr: u64, perms: Perms, cached: bool) -> Mapping {
    Mapping {
        space,
        vaddr,
        read: perms.read,
        write: perms.write,
        execute: perms.execute,
        cached,
    }
}
