//! Turns a system description and a distribution into a bootable image.

use std::fs;
use std::path::{Path, PathBuf};

use microkit_tool::capdl::allocation::{
    CapDLAllocEmulationErrorLevel, simulate_capdl_object_alloc_algorithm,
};
use microkit_tool::capdl::initialiser::CapDLInitialiser;
use microkit_tool::capdl::packaging::pack_spec_into_initial_task;
use microkit_tool::capdl::spec::capdl_obj_physical_size_bits;
use microkit_tool::capdl::{CapDLSpecContainer, build_capdl_spec};
use microkit_tool::elf::ElfFile;
use microkit_tool::loader::Loader;
use microkit_tool::sdf::{SysMemoryRegionPaddr, SystemDescription, parse};
use microkit_tool::sel4::{Config, emulate_kernel_boot, emulate_kernel_boot_partial};
use microkit_tool::symbols::patch_symbols;
use microkit_tool::util::get_full_path;
use microkit_tool::{DisjointMemoryRegion, MemoryRegion};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_policy::distribution::Distribution;
use portcullis_policy::image::Image;
use serde::Serialize;

use crate::found::Source;
use crate::impose::impose;
use crate::output;
use crate::sdk::Board;

/// Rounds of choosing physical addresses. Choosing changes the specification, which is compressed
/// into the image, which moves what is free; upstream found that two rounds settle it.
const ROUNDS: usize = 3;

/// Type of the program header that leads the initialiser to its payload (`PT_SEL4_CAPDL_SPEC` of
/// rust-sel4's `sel4-phdrs`).
const PAYLOAD: u32 = 0x64c3_4003;

/// Everything that an image is made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The SDK's files for the board.
    pub board: &'a Board,
    /// The system description.
    pub system: &'a Path,
    /// Where programs and prefill files are looked for.
    pub search: Vec<PathBuf>,
    /// What the image is to hand out; `None`: what the Microkit tool has it hand out.
    pub distribution: Option<&'a Distribution>,
}

/// What an image takes, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    /// The file that the board's firmware loads.
    pub image: u64,
    /// All kernel objects: frames, page tables, CNodes, threads. Devices' frames are not memory.
    pub objects: u64,
    /// The initialiser, which stays in memory.
    pub initialiser: u64,
}

impl Parts<'_> {
    /// Builds the image, and writes it to `path` if `accept` takes what it hands out, read back from
    /// what the initialiser boots from.
    pub fn write(&self, path: &Path, accept: impl Fn(&Image) -> Result<()>) -> Result<Sizes> {
        let config = self.board.kernel_config()?;
        let text = fs::read_to_string(self.system)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot read {}", self.system.display()))?;
        let mut system =
            parse(self.system, &text, &config, &self.search).map_err(|error| miette!("{error}"))?;
        let mut programs = self.programs(&system)?;
        for _ in 0..ROUNDS {
            let round = self.round(&config, &mut system, &mut programs, path, &accept)?;
            if let Some(sizes) = round {
                return Ok(sizes);
            }
        }
        Err(miette!(
            help = "give the regions that `setvar region_paddr` names a `phys_addr` of their own",
            "no physical addresses could be settled on in {ROUNDS} rounds"
        ))
    }

    /// One attempt: `None` where physical addresses were chosen, so that another round is needed.
    fn round(
        &self,
        config: &Config,
        system: &mut SystemDescription,
        programs: &mut [ElfFile],
        path: &Path,
        accept: &impl Fn(&Image) -> Result<()>,
    ) -> Result<Option<Sizes>> {
        let kernel = elf(&self.board.elf("sel4.elf"))?;
        let mut initialiser = CapDLInitialiser::new(elf(&self.board.elf("initialiser.elf"))?);
        patch_symbols(config, programs, system).map_err(|error| miette!("{error}"))?;
        let mut spec =
            build_capdl_spec(config, programs, system).map_err(|error| miette!("{error}"))?;
        if let Some(distribution) = self.distribution {
            impose(&mut spec, distribution, config)?;
        }
        pack_spec_into_initial_task(
            config,
            self.board.configuration(),
            &spec,
            programs,
            &mut initialiser,
        );

        let (mut available, boot) = emulate_kernel_boot_partial(config, &kernel);
        let bound = initialiser.image_bound();
        let size = bound.end - bound.start;
        let base = available
            .allocate_from(size, boot.end)
            .ok_or_else(|| miette!("the board has no {size} contiguous bytes for the image"))?;
        initialiser.set_phys_base(base);
        let info = emulate_kernel_boot(
            config,
            &kernel,
            MemoryRegion::new(base, base + size),
            MemoryRegion::new(initialiser.elf.lowest_vaddr(), bound.end),
        );
        let fits = simulate_capdl_object_alloc_algorithm(
            &mut spec,
            &info,
            config,
            CapDLAllocEmulationErrorLevel::PrintStderr,
        );
        if !fits {
            return Err(miette!(
                "the board's memory does not hold the system's objects"
            ));
        }

        let mut free = DisjointMemoryRegion::default();
        for untyped in info
            .untyped_objects
            .iter()
            .filter(|untyped| !untyped.is_device)
        {
            free.insert_region(untyped.base(), untyped.end());
        }
        if choose_addresses(system, &mut free)? {
            return Ok(None);
        }
        initialiser.add_expected_untypeds(&info.untyped_objects);
        let source = Source {
            board: self.board,
            config,
            system,
            spec: &spec,
            programs,
            untyped: &info.untyped_objects,
        };
        accept(&source.found(payload(&initialiser.elf)?)?)?;

        let loader_path = self.board.elf("loader.elf");
        let loader = Loader::new(
            config,
            &loader_path,
            &kernel,
            &initialiser.elf,
            base,
            &bound,
        );
        output::image(&loader, config.arch, path)?;
        let image = fs::metadata(path).into_diagnostic()?.len();
        Ok(Some(Sizes {
            image,
            objects: memory(&spec, config),
            initialiser: size,
        }))
    }

    /// The programs in the order of their protection domains, and the monitor last.
    fn programs(&self, system: &SystemDescription) -> Result<Vec<ElfFile>> {
        let own = system.protection_domains.iter().map(|pd| {
            let path = get_full_path(&pd.program_image, &self.search).ok_or_else(|| {
                miette!(
                    help = "name the folder it is in with --search-path",
                    "there is no program '{}' for '{}'",
                    pd.program_image.display(),
                    pd.name
                )
            })?;
            elf(&path)
        });
        own.chain([elf(&self.board.elf("monitor.elf"))]).collect()
    }
}

/// Bytes of memory that the objects of a specification take.
fn memory(spec: &CapDLSpecContainer, config: &Config) -> u64 {
    let in_memory = |address: u64| {
        let mut regions = config.normal_regions.iter().flatten();
        regions.any(|region| (region.start..region.end).contains(&address))
    };
    let objects = spec.spec.objects.iter().map(|named| &named.object);
    objects
        .filter(|object| object.paddr().is_none_or(|paddr| in_memory(paddr.into())))
        .map(|object| capdl_obj_physical_size_bits(object, config))
        .filter(|bits| *bits > 0)
        .map(|bits| 1 << bits)
        .sum()
}

/// Chooses a physical address for every region that needs one and has none.
fn choose_addresses(
    system: &mut SystemDescription,
    free: &mut DisjointMemoryRegion,
) -> Result<bool> {
    for region in &system.memory_regions {
        let Some(base) = region.paddr() else { continue };
        let end = base + region.size;
        if free
            .regions
            .iter()
            .any(|there| there.base <= base && end <= there.end)
        {
            free.remove_region(base, end);
        }
    }
    let mut chosen = false;
    for region in &mut system.memory_regions {
        if let SysMemoryRegionPaddr::ToolAllocated(address @ None) = &mut region.phys_addr {
            *address = Some(
                free.allocate(region.size, region.page_size)
                    .ok_or_else(|| {
                        miette!(
                            "the board has no {} contiguous bytes for '{}'",
                            region.size,
                            region.name
                        )
                    })?,
            );
            chosen = true;
        }
    }
    Ok(chosen)
}

/// What the initialiser boots from.
fn payload(initialiser: &ElfFile) -> Result<&[u8]> {
    let mut headers = initialiser.program_headers.iter();
    let header = headers.find(|header| header.r#type == PAYLOAD);
    let segment = header.and_then(|header| initialiser.segments.get(header.segment_idx));
    let segment = segment.ok_or_else(|| miette!("the initialiser has no payload"))?;
    Ok(segment.data())
}

/// Reads a program.
pub fn elf(path: &Path) -> Result<ElfFile> {
    ElfFile::from_path(path).map_err(|error| miette!("{}: {error}", path.display()))
}
