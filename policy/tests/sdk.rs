//! What an SDK says of a board is read as it stands there, and what does not say it is refused.

use std::fs;
use std::path::Path;

use portcullis_policy::sdk::{SdkError, board};
use portcullis_sdf::{Architecture, PhysicalPlace, Target};
use proptest::prelude::*;
use tempfile::TempDir;

const AARCH64: &str = r#"{
    "SEL4_ARCH": "aarch64", "ARM_HYPERVISOR_SUPPORT": true, "ALLOW_SMC_CALLS": true, "KERNEL_MCS": true,
    "ENABLE_SMP_SUPPORT": true, "MAX_NUM_NODES": "4", "NUM_DOMAINS": "16", "NUM_DOMAIN_SCHEDULES": "100"
}"#;
const RISCV64: &str = r#"{
    "SEL4_ARCH": "riscv64", "ENABLE_SMP_SUPPORT": false, "MAX_NUM_NODES": "1", "NUM_DOMAINS": "1",
    "NUM_DOMAIN_SCHEDULES": "7"
}"#;
const X86_64: &str = r#"{
    "SEL4_ARCH": "x86_64", "VTX": true, "IOMMU": true, "ENABLE_SMP_SUPPORT": false, "MAX_NUM_NODES": "4",
    "NUM_DOMAINS": "16", "NUM_DOMAIN_SCHEDULES": "100"
}"#;
const PLATFORM: &str = r#"{
    "devices": [{"start": 0, "end": 134217728}, {"start": 134348800, "end": 1073741824}],
    "memory": [{"start": 1073741824, "end": 3221225472}]
}"#;

/// An SDK of one board in two configurations.
fn sdk(kernel: &str) -> TempDir {
    let sdk = TempDir::new().unwrap();
    for config in ["debug", "release"] {
        let folder = sdk.path().join("board/virt").join(config);
        let file = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        file("include/kernel/gen_config.json", kernel.as_bytes());
        let space = br#"{"page_table_index_bits": 9, "vspace_user_top": 1099511627775}"#;
        file("address_space_constants.json", space);
        file("platform_gen.json", PLATFORM.as_bytes());
        file("elf/sel4.elf", &kernel_elf());
    }
    sdk
}

/// An ELF file with two loadable segments and one that is not: 0x4000_0000..0x4001_0000 and
/// 0x4020_0000..0x4020_0800.
fn kernel_elf() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[32] = 64;
    elf[54] = 56;
    elf[56] = 3;
    for (kind, address, size) in [
        (1_u32, 0x4000_0000_u64, 0x1_0000_u64),
        (6, 0, 0xffff_ffff),
        (1, 0x4020_0000, 0x800),
    ] {
        let mut segment = vec![0; 56];
        segment[..4].copy_from_slice(&kind.to_le_bytes());
        segment[24..32].copy_from_slice(&address.to_le_bytes());
        segment[40..48].copy_from_slice(&size.to_le_bytes());
        elf.extend(segment);
    }
    elf
}

fn path(sdk: &TempDir, file: &str) -> std::path::PathBuf {
    sdk.path().join("board/virt/release").join(file)
}

#[test]
fn every_fact_comes_from_the_sdk() {
    let arm = board(sdk(AARCH64).path(), "virt", "release").unwrap();
    let limits = Target {
        architecture: Some(Architecture::Aarch64),
        cores: 4,
        hypervisor: true,
        iommu: false,
        smc: true,
        domains: 16,
        domain_schedules: 100,
        user_top: 0xff_ffff_ffff,
    };
    assert_eq!(arm.target, limits);
    let memory = arm.memory.unwrap();
    assert_eq!(memory.kernel, 0x4000_0000..0x4020_0800);
    let gic = 0x800_0000..0x800_1000;
    assert_eq!(memory.places(&gic), [PhysicalPlace::KernelDevice]);

    let riscv = board(sdk(RISCV64).path(), "virt", "debug").unwrap();
    let limits = Target {
        architecture: Some(Architecture::Riscv64),
        cores: 1,
        hypervisor: false,
        smc: false,
        domains: 1,
        domain_schedules: 7,
        ..limits
    };
    assert_eq!((riscv.target, riscv.memory.is_some()), (limits, true));

    // Not known when the image is built, so the files need not be there.
    let pc = sdk(X86_64);
    fs::remove_file(path(&pc, "platform_gen.json")).unwrap();
    fs::remove_file(path(&pc, "elf/sel4.elf")).unwrap();
    let pc = board(pc.path(), "virt", "release").unwrap();
    let limits = Target {
        architecture: Some(Architecture::X86_64),
        hypervisor: true,
        iommu: true,
        domains: 16,
        domain_schedules: 100,
        ..limits
    };
    // One core, whatever the most is that the kernel could be built for.
    assert_eq!((pc.target, pc.memory), (limits, None));
}

/// Switches of an architecture mean nothing on another.
#[test]
fn a_switch_counts_on_its_own_architecture_alone() {
    let with_all = |kernel: &str| {
        let all = r#"{"ARM_HYPERVISOR_SUPPORT": true, "VTX": true, "IOMMU": true,
                      "ALLOW_SMC_CALLS": true,"#;
        kernel.replacen('{', all, 1)
    };
    let riscv = board(sdk(&with_all(RISCV64)).path(), "virt", "release").unwrap();
    let Target {
        hypervisor,
        iommu,
        smc,
        ..
    } = riscv.target;
    assert!(!hypervisor && !iommu && !smc);
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let sdk = sdk(AARCH64);
    let said = |board_name, config| {
        let error = board(sdk.path(), board_name, config).unwrap_err();
        error
            .to_string()
            .replace(sdk.path().to_str().unwrap(), "SDK")
    };
    assert_eq!(
        said("vrit", "release"),
        "SDK/board has no board `vrit`; it has virt"
    );
    assert_eq!(
        said("virt", "fast"),
        "SDK/board/virt has no configuration `fast`; it has debug, release"
    );
    // A name is a name and no path.
    assert!(said("virt", "../virt/debug").contains("no configuration"));
    let error = board(&sdk.path().join("board"), "virt", "debug").unwrap_err();
    assert!(matches!(error, SdkError::NotAnSdk(_)), "{error}");
}

#[test]
fn every_file_is_needed_and_must_say_what_it_is_for() {
    for file in [
        "include/kernel/gen_config.json",
        "address_space_constants.json",
        "platform_gen.json",
        "elf/sel4.elf",
    ] {
        let sdk = sdk(AARCH64);
        let path = path(&sdk, file);
        for content in ["", "{}", "[]", "\x7fELF"] {
            fs::write(&path, content).unwrap();
            let error = board(sdk.path(), "virt", "release").unwrap_err();
            assert!(matches!(error, SdkError::Unexpected { .. }), "{error}");
            assert!(error.to_string().contains(file), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = board(sdk.path(), "virt", "release").unwrap_err();
        assert!(matches!(error, SdkError::Unreadable { .. }), "{error}");
    }
}

fn with_kernel(elf: &[u8]) -> Result<std::ops::Range<u64>, SdkError> {
    let sdk = sdk(AARCH64);
    fs::write(path(&sdk, "elf/sel4.elf"), elf).unwrap();
    let board = board(Path::new(sdk.path()), "virt", "release")?;
    Ok(board.memory.unwrap().kernel)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A kernel that is cut or changed somewhere gives a range or an error, and no panic.
    #[test]
    fn no_kernel_makes_it_panic(
        cut in 0..300_usize,
        changes in prop::collection::vec((0..232_usize, any::<u8>()), 0..6),
    ) {
        let mut elf = kernel_elf();
        for (at, byte) in changes {
            elf[at] = byte;
        }
        elf.truncate(cut);
        if let Ok(kernel) = with_kernel(&elf) {
            prop_assert!(kernel.start <= kernel.end);
        }
    }
}
