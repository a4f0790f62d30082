//! `<memory_region>`, `<map>` and `<io_address_space>`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use roxmltree::Node;

use super::pci_address;
use crate::element::{Context, Element, Text};
use crate::names::Names;
use crate::{
    Architecture, BootInfo, Fault, FileId, IoAddressSpace, IoMap, Map, MemoryRegion, PAGE_SIZES,
    Perms, PhysicalMemory, PhysicalPlace, Prefill, Spanned,
};

const REGION: &[&str] = &[
    "name",
    "size",
    "page_size",
    "phys_addr",
    "prefill_path",
    "prefill_bootinfo",
];
const MAP: &[&str] = &[
    "mr",
    "vaddr",
    "perms",
    "cached",
    "setvar_vaddr",
    "setvar_size",
    "setvar_prefill_size",
];
/// A guest has no program whose symbols could be set.
const GUEST_MAP: &[&str] = &["mr", "vaddr", "perms", "cached"];

const BOOT_INFO_WORDS: &[&str] = &[
    "x86_vbe",
    "x86_mbmmap",
    "x86_acpi_rsdp",
    "x86_framebuffer",
    "x86_tsc_freq",
    "fdt",
];
/// In the order of [`BOOT_INFO_WORDS`].
const BOOT_INFO: [BootInfo; 6] = [
    BootInfo::X86Vbe,
    BootInfo::X86Mbmmap,
    BootInfo::X86AcpiRsdp,
    BootInfo::X86FrameBuffer,
    BootInfo::X86TscFreq,
    BootInfo::Fdt,
];

/// Reads a memory region; `None` where it has no name.
pub(super) fn region(node: Node<'_, '_>, context: &Context<'_>) -> Option<MemoryRegion> {
    let element = Element::leaf(node, "memory_region", REGION, context);
    let name = element.required("name", Text::name);
    let page_size = element.optional("page_size", page_size);
    let page = page_size.as_ref().map_or(PAGE_SIZES[0], |size| size.value);
    let path = element.optional("prefill_path", Text::name);
    let file = path.as_ref().and_then(|path| file(path, context));
    let file_size = file.as_ref().map(fs::Metadata::len);
    let boot_info = element.optional("prefill_bootinfo", |text| {
        text.word(BOOT_INFO_WORDS, &BOOT_INFO)
    });
    let label = || {
        name.as_ref()
            .map_or_else(String::new, |name| name.value.clone())
    };
    if path.is_some() && boot_info.is_some() {
        element.note(Fault::FilledTwice { region: label() });
    }
    let is_filled = element.has("prefill_path") || element.has("prefill_bootinfo");
    if !element.has("size") && !is_filled {
        element.note(Fault::SizeMissing { region: label() });
    }
    let said = element.optional("size", |text| size(text, page));
    if let (Some(size), Some(path), Some(found)) = (&said, &path, file_size)
        && found > size.value
    {
        let fault = Fault::PrefillTooLarge {
            path: path.value.clone(),
            found,
            limit: size.value,
        };
        context.note(path.span.clone(), fault);
    }
    // Boot information fills one page.
    let filled = boot_info.as_ref().map(|_| page).or(file_size);
    let filled = filled.and_then(|bytes| bytes.checked_next_multiple_of(page));
    let size = said.or_else(|| filled.map(|bytes| Spanned::new(bytes, element.span())));
    let phys_addr = element.optional("phys_addr", |text| aligned(text, text.number()?, page));
    let mut region = MemoryRegion {
        span: element.span(),
        name: name?,
        size,
        page_size,
        phys_addr,
        places: Vec::new(),
        prefill: path.map(Prefill::Path).or(boot_info.map(Prefill::BootInfo)),
        file: file.map(|file| FileId {
            device: file.dev(),
            inode: file.ino(),
        }),
    };
    region.places = places(&region, context.board.memory.as_ref());
    Some(region)
}

fn places(region: &MemoryRegion, memory: Option<&PhysicalMemory>) -> Vec<PhysicalPlace> {
    let (Some(address), Some(memory)) = (&region.phys_addr, memory) else {
        return Vec::new();
    };
    let start = address.value;
    memory.places(&(start..start.saturating_add(region.least_size())))
}

/// The file that a region is filled from; `None` where no file is looked at, or where it fills nothing,
/// which is noted.
fn file(path: &Spanned<String>, context: &Context<'_>) -> Option<fs::Metadata> {
    let folders = context.board.search_paths.as_ref()?;
    let found = folders
        .iter()
        .find_map(|folder| fs::metadata(folder.join(&path.value)).ok())
        .filter(fs::Metadata::is_file);
    let fault = match found {
        Some(file) if file.len() == 0 => Fault::PrefillEmpty {
            path: path.value.clone(),
        },
        Some(file) => return Some(file),
        None => Fault::PrefillNotFound {
            path: path.value.clone(),
        },
    };
    context.note(path.span.clone(), fault);
    None
}

fn page_size(text: Text<'_>) -> Result<u64, Fault> {
    let size = text.number()?;
    if PAGE_SIZES.contains(&size) {
        return Ok(size);
    }
    Err(Fault::BadChoice {
        attribute: text.attribute,
        text: text.value.to_owned(),
        allowed: &["0x1000", "0x200000"],
    })
}

fn size(text: Text<'_>, page: u64) -> Result<u64, Fault> {
    aligned(text, text.number_in(1, u64::MAX)?, page)
}

/// The number, which must be a multiple of a page's size.
pub(super) fn aligned(text: Text<'_>, number: u64, page: u64) -> Result<u64, Fault> {
    if number.is_multiple_of(page) {
        return Ok(number);
    }
    Err(Fault::Misaligned {
        attribute: text.attribute,
        text: text.value.to_owned(),
        alignment: page,
    })
}

/// Reads a mapping of a protection domain.
pub(super) fn map(node: Node<'_, '_>, names: &Names<'_>, context: &Context<'_>) -> Option<Map> {
    mapping(Element::leaf(node, "map", MAP, context), names)
}

/// Reads a mapping of a virtual machine.
pub(super) fn guest_map(
    node: Node<'_, '_>,
    names: &Names<'_>,
    context: &Context<'_>,
) -> Option<Map> {
    mapping(Element::leaf(node, "map", GUEST_MAP, context), names)
}

fn mapping(element: Element<'_, '_>, names: &Names<'_>) -> Option<Map> {
    let region = element.required("mr", |text| names.region(text));
    let vaddr = element.required("vaddr", Text::number);
    Some(Map {
        span: element.span(),
        perms: element.or("perms", Perms::READ_WRITE, perms),
        cached: element.or("cached", true, Text::boolean),
        setvar_vaddr: element.optional("setvar_vaddr", Text::name),
        setvar_size: element.optional("setvar_size", Text::name),
        setvar_prefill_size: element.optional("setvar_prefill_size", Text::name),
        region: region?,
        vaddr: vaddr?,
    })
}

/// The letters in any order. On no architecture does the kernel have a mapping that can be written
/// and not read.
fn perms(text: Text<'_>) -> Result<Perms, Fault> {
    let perms = letters(text, "rwx")?;
    if perms.write && !perms.read {
        return Err(Fault::WriteOnly {
            text: text.value.to_owned(),
        });
    }
    Ok(perms)
}

/// The letters in any order; a device may write what it cannot read.
fn device_perms(text: Text<'_>) -> Result<Perms, Fault> {
    letters(text, "rw")
}

fn letters(text: Text<'_>, letters: &'static str) -> Result<Perms, Fault> {
    let known = text.value.chars().all(|c| letters.contains(c));
    if !known || text.value.is_empty() {
        return Err(Fault::BadPerms {
            text: text.value.to_owned(),
            letters,
        });
    }
    Ok(Perms {
        read: text.value.contains('r'),
        write: text.value.contains('w'),
        execute: text.value.contains('x'),
    })
}

/// Reads what a device can reach; `None` where something required is missing.
pub(super) fn io_address_space(
    node: Node<'_, '_>,
    names: &Names<'_>,
    context: &Context<'_>,
) -> Option<IoAddressSpace> {
    let attributes = &["name", "peripheral_id", "domain_id"];
    let element = Element::new(node, "io_address_space", attributes, context);
    let target = context.target;
    // Microkit 2.3.0 knows how to name devices on x86-64 only.
    if !(target.iommu && target.may_be(Architecture::X86_64)) {
        element.note(Fault::NotOnTarget {
            what: "an I/O address space",
            architecture: target.architecture,
        });
    }
    let name = element.required("name", Text::name);
    let peripheral_id = element.required("peripheral_id", pci_address);
    let domain_id = element.required("domain_id", Text::number);
    let maps = element
        .children(&["iomap"])
        .filter_map(|(_, node)| io_map(node, names, context))
        .collect();
    Some(IoAddressSpace {
        span: element.span(),
        name: name?,
        peripheral_id: peripheral_id?,
        domain_id: domain_id?,
        maps,
    })
}

fn io_map(node: Node<'_, '_>, names: &Names<'_>, context: &Context<'_>) -> Option<IoMap> {
    let element = Element::leaf(node, "iomap", &["mr", "iovaddr", "perms"], context);
    let region = element.required("mr", |text| names.region(text));
    let iovaddr = element.required("iovaddr", Text::number);
    Some(IoMap {
        span: element.span(),
        perms: element.or("perms", Perms::READ_WRITE, device_perms),
        region: region?,
        iovaddr: iovaddr?,
    })
}
