//! Descriptions that others could have written are read in full.

use portcullis_sdf::{
    BootInfo, ExtraCapKind, IrqSource, PciAddress, Perms, Polarity, Prefill, SymbolValue, System,
    Target, Trigger, Unit, parse,
};

const MICROKIT: &str = include_str!("fixtures/valid/microkit.system");
const SDDF: &str = include_str!("fixtures/valid/sddf.system");
const LIONSOS: &str = include_str!("fixtures/valid/lionsos.system");
const X86_64: &str = include_str!("fixtures/valid/x86_64.system");

fn read(text: &str, target: &Target) -> System {
    parse(text, target).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn what_has_a_target_is_read_for_any_too() {
    for (text, target) in [
        (MICROKIT, Target::AARCH64),
        (SDDF, Target::AARCH64),
        (SDDF, Target::RISCV64),
        (LIONSOS, Target::AARCH64),
        (X86_64, Target::X86_64),
    ] {
        assert_eq!(read(text, &target), read(text, &Target::ANY));
    }
}

#[test]
fn children_follow_their_parent_and_know_it() {
    let system = read(MICROKIT, &Target::AARCH64);
    let names: Vec<&str> = system
        .protection_domains
        .iter()
        .map(|pd| pd.name.value.as_str())
        .collect();
    assert_eq!(names, ["root", "worker", "grandchild", "client"]);
    let parent = |name: &str| {
        let pd = system.pd(system.pd_named(name).unwrap());
        let parent = pd.parent.as_ref()?;
        Some((system.pd(parent.pd).name.value.as_str(), parent.id.value))
    };
    assert_eq!(parent("root"), None);
    assert_eq!(parent("worker"), Some(("root", 1)));
    assert_eq!(parent("grandchild"), Some(("worker", 1)));
    let root = system.pd_named("root").unwrap();
    assert_eq!(system.children(root).count(), 1);
}

#[test]
fn every_attribute_of_a_protection_domain_is_read() {
    let system = read(MICROKIT, &Target::AARCH64);
    let root = &system.protection_domains[0];
    assert_eq!(root.priority.value, 254);
    assert_eq!((root.budget.value, root.period.value), (500, 1024));
    assert_eq!((root.stack_size.value, root.cpu.value), (0x4000, 0));
    let flags = (root.passive.value, root.smc.value, root.fpu.value);
    assert_eq!(flags, (false, true, false));
    let symbols = root.program.path_for_symbols.as_ref().unwrap();
    assert_eq!(symbols.value, "root.debug.elf");
    let caps: Vec<_> = root
        .caps
        .iter()
        .map(|cap| (cap.kind, cap.slot.value))
        .collect();
    assert_eq!(
        caps,
        [
            (ExtraCapKind::Tcb, 2),
            (ExtraCapKind::SchedContext, 3),
            (ExtraCapKind::VSpace, 63)
        ]
    );
    assert_eq!(root.setvars[0].symbol.value, "ring_paddr");
    let triggers: Vec<Trigger> = root
        .irqs
        .iter()
        .map(|irq| match &irq.source {
            IrqSource::Conventional { trigger, .. } => trigger.value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(triggers, [Trigger::Edge, Trigger::Level]);
}

#[test]
fn defaults_are_the_stock_tools() {
    let text = r#"<system>
        <memory_region name="m" size="0x1000" />
        <protection_domain name="a"><program_image path="a.elf" /><map mr="m" vaddr="0" /></protection_domain>
        <protection_domain name="b"><program_image path="b.elf" /></protection_domain>
        <channel><end pd="a" id="0" /><end pd="b" id="0" /></channel>
    </system>"#;
    let system = read(text, &Target::ANY);
    let pd = &system.protection_domains[0];
    assert_eq!((pd.priority.value, pd.cpu.value), (0, 0));
    assert_eq!((pd.budget.value, pd.period.value), (1000, 1000));
    assert_eq!(pd.stack_size.value, 0x2000);
    assert_eq!(
        (pd.passive.value, pd.smc.value, pd.fpu.value),
        (false, false, true)
    );
    assert_eq!(
        (pd.maps[0].perms.value, pd.maps[0].cached.value),
        (Perms::READ_WRITE, true)
    );
    let end = &system.channels[0].ends[0];
    assert_eq!((end.pp.value, end.notify.value), (false, true));
}

#[test]
fn every_kind_of_region_is_read() {
    let system = read(MICROKIT, &Target::AARCH64);
    let region = |name: &str| system.region(system.region_named(name).unwrap());
    assert_eq!(region("uart").phys_addr.as_ref().unwrap().value, 0x900_0000);
    assert_eq!(region("ring").alignment(), 0x20_0000);
    assert!(
        matches!(&region("file").prefill, Some(Prefill::Path(path)) if path.value == "table.bin")
    );
    assert_eq!(
        (&region("file").size, region("file").least_size()),
        (&None, 0x1000)
    );
    assert!(
        matches!(&region("tree").prefill, Some(Prefill::BootInfo(kind)) if kind.value == BootInfo::Fdt)
    );
    assert_eq!(region("tree").least_size(), 0x1000);
}

#[test]
fn domains_without_an_id_get_the_smallest_that_is_left() {
    let system = read(MICROKIT, &Target::AARCH64);
    let domains = system.domains.unwrap();
    let ids: Vec<u8> = domains
        .domains
        .iter()
        .map(|domain| domain.id.value)
        .collect();
    assert_eq!(ids, [0, 1, 5]);
    assert_eq!(domains.start_index.value, 1);
    assert_eq!(domains.index_shift.unwrap().value, 2);
    let second = domains.schedule[1].as_ref().unwrap();
    assert_eq!((second.length.value, second.unit), (16, Unit::Ticks));
    assert_eq!(domains.schedule.last(), Some(&None));
    let client = &system.protection_domains[3];
    assert_eq!(client.domain.as_ref().unwrap().value, 2);
}

#[test]
fn a_virtual_machine_has_vcpus_and_memory() {
    let system = read(LIONSOS, &Target::AARCH64);
    let vmm = system.pd_named("fs_driver_vmm").unwrap();
    let vm = system.pd(vmm).virtual_machine.as_ref().unwrap();
    assert_eq!((vm.priority.value, vm.period.value), (100, 10_000));
    let vcpus: Vec<_> = vm
        .vcpus
        .iter()
        .map(|vcpu| (vcpu.id.value, vcpu.setvar_id.is_some()))
        .collect();
    assert_eq!(vcpus, [(0, true), (1, false)]);
    assert!(vm.maps[0].perms.value.execute);
    assert!(system.has_endpoint(vmm));
    assert!(!system.has_endpoint(system.pd_named("nfs").unwrap()));
}

#[test]
fn what_only_x86_has_is_read() {
    let system = read(X86_64, &Target::X86_64);
    let serial = &system.protection_domains[0];
    let numbers: Vec<u64> = serial.irqs.iter().map(|irq| irq.number().value).collect();
    assert_eq!(numbers, [107, 0, 50]);
    assert!(matches!(
        &serial.irqs[1].source,
        IrqSource::IoApic { ioapic, polarity, .. }
            if ioapic.value == 1 && polarity.value == Polarity::Low
    ));
    let device = PciAddress {
        bus: 0,
        device: 0x1f,
        function: 2,
    };
    assert!(matches!(
        &serial.irqs[2].source,
        IrqSource::Msi { device: found, handle, .. } if found.value == device && handle.value == 5
    ));
    assert_eq!(
        (serial.ioports[0].addr.value, serial.ioports[0].size.value),
        (0x3f8, 8)
    );
    let edu = &system.io_address_spaces[0];
    assert_eq!(edu.maps[0].perms.value, Perms::READ_WRITE);
    let symbols = system.symbols(system.pd_named("serial").unwrap());
    let symbols: Vec<_> = symbols
        .map(|(symbol, value)| (symbol.value.as_str(), value))
        .collect();
    let dma = system.region_named("dma").unwrap();
    assert_eq!(
        symbols,
        [
            ("pin_id", SymbolValue::Number(2)),
            ("msi_id", SymbolValue::Number(3)),
            ("com1_id", SymbolValue::Number(1)),
            ("com1_addr", SymbolValue::Number(0x3f8)),
            ("dma_paddr", SymbolValue::PhysicalAddress(dma)),
        ]
    );
    // A device may write what it cannot read.
    assert!(edu.maps[1].perms.value.write && !edu.maps[1].perms.value.read);
    assert_eq!(
        system.io_address_spaces[1].peripheral_id.value.to_string(),
        "01:1f.7"
    );
}

#[test]
fn spans_are_the_text_that_was_read() {
    let system = read(SDDF, &Target::ANY);
    let text = |span: &std::ops::Range<usize>| &SDDF[span.clone()];
    let eth = system.pd(system.pd_named("eth").unwrap());
    assert_eq!(text(&eth.name.span), "eth");
    assert_eq!(
        text(&eth.span),
        r#"<protection_domain name="eth" priority="100" budget="100" period="400""#
    );
    assert_eq!(text(&eth.maps[0].vaddr.span), "0x2_000_000");
    assert_eq!(text(&eth.maps[0].region.span), "eth_regs");
    assert_eq!(
        text(&eth.irqs[0].span),
        r#"<irq irq="79" id="0" trigger="edge""#
    );
    // What is not said has the place of the element that could say it.
    assert_eq!(eth.passive.span, eth.span);
    let end = &system.channels[1].ends[1];
    assert_eq!(
        (text(&end.pp.span), text(&end.pd.span)),
        ("true", "client0")
    );
}

#[test]
fn the_reference_appliance_is_read() {
    let text = include_str!("../../../system.xml");
    let system = read(text, &Target::AARCH64);
    assert_eq!(system.protection_domains.len(), 10);
    let calls = system.ends().filter(|(end, _)| end.pp.value).count();
    assert_eq!(calls, 7);
}
