//! What lies where on a board, and what a description may put there.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "a board may have one range"
)]

use portcullis_sdf::PhysicalPlace::{Beyond, Device, Kernel, KernelDevice, Ram};
use portcullis_sdf::{Board, PhysicalMemory};
use proptest::prelude::*;

/// Ordinary memory at 0x10..0x40 with the kernel in its midst, devices below and above, and gaps.
fn memory() -> PhysicalMemory {
    PhysicalMemory {
        ram: vec![0x10..0x20, 0x20..0x40],
        devices: vec![0..0x8, 0xa..0x10, 0x50..0x60],
        kernel: 0x1e..0x24,
    }
}

#[test]
fn every_kind_of_place_that_a_range_touches_is_named() {
    for (range, places) in [
        (0..0x8, vec![Device]),
        (0x8..0xa, vec![KernelDevice]),
        (0x7..0xb, vec![Device, KernelDevice]),
        (0x10..0x1e, vec![Ram]),
        (0x1e..0x24, vec![Kernel]),
        (0x1d..0x1f, vec![Ram, Kernel]),
        (0x5f..0x60, vec![Device]),
        (0x5f..0x61, vec![Device, Beyond]),
        (0x70..0x80, vec![Beyond]),
        (0..0x61, vec![Ram, Device, Kernel, KernelDevice, Beyond]),
    ] {
        assert_eq!(memory().places(&range), places, "{range:x?}");
    }
    assert_eq!(PhysicalMemory::default().places(&(0..1)), [Beyond]);
}

proptest! {
    /// A range touches what its bytes touch.
    #[test]
    fn a_range_is_its_addresses(start in 0..0x70_u64, length in 0..0x70_u64) {
        let memory = memory();
        let mut bytes: Vec<_> = (start..start + length)
            .flat_map(|at| memory.places(&(at..at + 1)))
            .collect();
        bytes.sort_unstable();
        bytes.dedup();
        prop_assert_eq!(memory.places(&(start..start + length)), bytes);
    }
}

/// Ordinary memory and devices may be placed; without the board's memory, anything may.
#[test]
fn what_the_kernel_gives_out_is_accepted() {
    let at = |address: &str| {
        format!(
            r#"<system><memory_region name="m" size="0x1000" phys_addr="{address}" />
            <protection_domain name="a"><program_image path="a.elf" /></protection_domain></system>"#
        )
    };
    let board = Board {
        memory: Some(PhysicalMemory {
            ram: vec![0x10_0000..0x20_0000],
            devices: vec![0..0x8_0000],
            kernel: 0x10_0000..0x11_0000,
        }),
        ..Board::default()
    };
    for (given, place) in [
        ("0", Device),
        ("0x7f000", Device),
        ("0x110000", Ram),
        ("0x1ff000", Ram),
    ] {
        let system = board.parse(&at(given)).unwrap();
        assert_eq!(system.memory_regions[0].places, [place], "{given}");
    }
    for withheld in ["0x80000", "0x10f000", "0x200000"] {
        assert!(board.parse(&at(withheld)).is_err(), "{withheld}");
        let system = Board::default().parse(&at(withheld)).unwrap();
        assert!(system.memory_regions[0].places.is_empty(), "{withheld}");
    }
}
