//! Each rule broken in turn, and exactly that found.

use std::collections::BTreeSet;

use portcullis_kernel::{Badge, Rights};
use portcullis_policy::distribution::{CNode, CNodeKind, Capability, Memory, Object};
use portcullis_policy::image::{Binding, Frames, Image, Mapping, Rule};

use crate::change::{cnode, frames, give, irq, mapping, name, pd, region, set, share, slot, tcb};
use crate::{APPLIANCE, check};

/// The rule, how it is broken, and the line that says so, up to the remedy.
type Case = (Rule, fn(&mut Image), &'static str);

const CASES: &[Case] = &[
    (
        Rule::Policy,
        |image| image.policy.as_mut().unwrap().version = 2,
        "manager, its memory: policy 'reference-appliance', version 2, SHA-256 \
         {sha256}; expected policy \
         'reference-appliance', version 1, SHA-256 \
         {sha256}",
    ),
    (
        Rule::Policy,
        |image| image.policy = None,
        "manager, its memory: no policy; expected policy 'reference-appliance', version 1, \
         SHA-256 {sha256}",
    ),
    (
        Rule::Custody,
        |image| image.policy.as_mut().unwrap().region = name("inbox"),
        "manager, its memory: the policy in region 'inbox'; expected in region 'policy'",
    ),
    (
        Rule::Symbols,
        |image| set(image, "manager", "microkit_pps", 1),
        "manager, symbol 'microkit_pps': 0x1; expected 0x0",
    ),
    (
        Rule::Symbols,
        |image| set(image, "edge", "microkit_passive", 1),
        "edge, symbol 'microkit_passive': 0x1; expected 0x0",
    ),
    (
        Rule::Symbols,
        |image| set(image, "manager", "policy_size", 0x2000),
        "manager, symbol 'policy_size': 0x2000; expected 0x3000",
    ),
    (
        Rule::Symbols,
        |image| set(image, "ledger", "grant_log", 0x1010_0000),
        "ledger, symbol 'grant_log': 0x10100000; expected 0x10000000",
    ),
    (
        Rule::Symbols,
        |image| set(image, "blk", "virtio_dma_paddr", 0x4000_0000),
        "blk, symbol 'virtio_dma_paddr': 0x40000000; expected 0x0",
    ),
    (
        Rule::Symbols,
        |image| set(image, "manager", "generation", 1),
        "manager, symbol 'generation': 0x1; expected not set",
    ),
    (
        Rule::Symbols,
        |image| set(image, "monitor", "pd_names_len", 1),
        "monitor, symbol 'pd_names_len': 0x1; expected not set",
    ),
    (
        Rule::Symbols,
        |image| {
            pd(image, "edge").symbols.remove("publish_edge");
        },
        "edge, symbol 'publish_edge': not set; expected 0x10000000",
    ),
    (
        Rule::Sdk,
        |image| image.sdk = name("2.2.0"),
        "image, SDK: 2.2.0; expected 2.3.0",
    ),
    (
        Rule::Thread,
        |image| image.protection_domains.retain(|pd| pd.name != "edge"),
        "edge, thread: no thread; expected one",
    ),
    (
        Rule::Thread,
        |image| {
            let mut more = pd(image, "edge").clone();
            more.name = name("probe");
            more.vspace = Default::default();
            image.protection_domains.push(more);
        },
        "probe, thread: a thread; expected no such thread",
    ),
    (
        Rule::UnknownObject,
        |image| {
            let (kind, name) = (name("endpoint"), name("ep_probe"));
            image.others.push(Object::Other { kind, name });
        },
        "image, objects: endpoint 'ep_probe'; expected nothing",
    ),
    (
        Rule::UnknownObject,
        |image| {
            let (kind, name) = (name("endpoint"), name("ep_probe"));
            give(image, "edge", 300, Object::Other { kind, name });
        },
        "edge, slot 300 of its Microkit CNode: endpoint 'ep_probe'; expected empty",
    ),
    (
        Rule::UnknownObject,
        |image| {
            let frames = frames(image, &region("uart")).clone();
            let of = Memory::Other(name("frame_x"));
            image.memory.push(Frames {
                of,
                phys_addr: None,
                ..frames
            });
        },
        "image, memory 'frame_x': 1 pages; expected nothing",
    ),
    (
        Rule::Unaccounted,
        |image| give(image, "edge", 75, Object::Endpoint(name("vault"))),
        "edge, slot 75 of its Microkit CNode: endpoint of 'vault', \
         Read+Write+Grant+GrantReply; expected empty",
    ),
    (
        Rule::Unaccounted,
        |image| {
            slot(image, "edge", CNodeKind::Microkit, 74).object = Object::Endpoint(name("vault"))
        },
        "edge, slot 74 of its Microkit CNode: endpoint of 'vault', Write+GrantReply, badge \
         0x8000000000000005; expected endpoint of 'manager', Write+GrantReply, badge \
         0x8000000000000005",
    ),
    (
        Rule::Unaccounted,
        |image| give(image, "edge", 2, Object::MonitorEndpoint),
        "edge, slot 2 of its Microkit CNode: endpoint of the monitor, \
         Read+Write+Grant+GrantReply; expected empty",
    ),
    (
        Rule::Missing,
        |image| drop(cnode(image, "blk", CNodeKind::Microkit).slots.remove(&139)),
        "blk, slot 139 of its Microkit CNode: empty; expected handler of IRQ 79",
    ),
    (
        Rule::WiderRights,
        |image| slot(image, "edge", CNodeKind::Microkit, 74).rights.read = true,
        "edge, slot 74 of its Microkit CNode: endpoint of 'manager', Read+Write+GrantReply, \
         badge 0x8000000000000005; expected endpoint of 'manager', Write+GrantReply, badge \
         0x8000000000000005",
    ),
    (
        Rule::NarrowerRights,
        |image| {
            slot(image, "edge", CNodeKind::Microkit, 74)
                .rights
                .grant_reply = false
        },
        "edge, slot 74 of its Microkit CNode: endpoint of 'manager', Write, badge \
         0x8000000000000005; expected endpoint of 'manager', Write+GrantReply, badge \
         0x8000000000000005",
    ),
    (
        Rule::NarrowerRights,
        |image| {
            slot(image, "manager", CNodeKind::Authority, 13)
                .rights
                .grant = false
        },
        "manager, slot 13 of its authority CNode: endpoint of 'blk', Read+Write+GrantReply; \
         expected endpoint of 'blk', Read+Write+Grant+GrantReply",
    ),
    (
        Rule::Badge,
        |image| slot(image, "edge", CNodeKind::Microkit, 74).badge = Badge::channel(3).0,
        "edge, slot 74 of its Microkit CNode: endpoint of 'manager', Write+GrantReply, badge \
         0x8000000000000003; expected endpoint of 'manager', Write+GrantReply, badge \
         0x8000000000000005",
    ),
    (
        Rule::Guard,
        |image| slot(image, "edge", CNodeKind::Root, 1).guard_bits = 0,
        "edge, slot 1 of its root CNode: grants CNode of 'edge'; expected grants CNode of \
         'edge', guard 0x0 of 52 bits",
    ),
    (
        Rule::Guard,
        |image| slot(image, "edge", CNodeKind::Root, 1).guard = 1,
        "edge, slot 1 of its root CNode: grants CNode of 'edge', guard 0x1 of 52 bits; \
         expected grants CNode of 'edge', guard 0x0 of 52 bits",
    ),
    (
        Rule::Radix,
        |image| cnode(image, "edge", CNodeKind::Grants).radix = 12,
        "edge, grants CNode: 12 bits; expected 6 bits",
    ),
    (
        Rule::CNode,
        |image| {
            let more = CNode::new(CNodeKind::Authority, 9);
            pd(image, "edge").cspace.push(more);
        },
        "edge, CSpace: authority CNode of 9 bits; expected no such CNode",
    ),
    (
        Rule::CNode,
        |image| {
            pd(image, "edge")
                .cspace
                .retain(|cnode| cnode.kind != CNodeKind::Grants)
        },
        "edge, CSpace: no grants CNode; expected grants CNode of 6 bits",
    ),
    (
        Rule::CNode,
        |image| {
            pd(image, "manager")
                .cspace
                .retain(|cnode| cnode.kind != CNodeKind::Replies)
        },
        "manager, CSpace: no CNode of reply objects; expected CNode of reply objects of 6 bits",
    ),
    (
        Rule::Missing,
        |image| drop(cnode(image, "manager", CNodeKind::Replies).slots.remove(&7)),
        "manager, slot 7 of its CNode of reply objects: empty; expected reply object 7 of the pool of \
         'manager'",
    ),
    (
        Rule::Unaccounted,
        |image| {
            let (pd, number) = (name("manager"), 7);
            give(image, "edge", 300, Object::PooledReply { pd, number });
        },
        "edge, slot 300 of its Microkit CNode: reply object 7 of the pool of 'manager'; expected empty",
    ),
    (
        Rule::GrantsNotEmpty,
        |image| {
            let vault = Capability::new(Object::Endpoint(name("vault")), Rights::CALL);
            let call = vault.with_badge(1 << 63 | 1 << 16);
            cnode(image, "edge", CNodeKind::Grants)
                .slots
                .insert(1, call);
        },
        "edge, slot 1 of its grants CNode: endpoint of 'vault', Write+GrantReply, badge \
         0x8000000000010000; expected empty",
    ),
    (
        Rule::CNodeHeld,
        |image| {
            let authority = slot(image, "manager", CNodeKind::Root, 1).clone();
            cnode(image, "edge", CNodeKind::Root)
                .slots
                .insert(2, authority);
        },
        "edge, slot 2 of its root CNode: authority CNode of 'manager', guard 0x0 of 52 bits; \
         expected empty",
    ),
    (
        Rule::CNodeHeld,
        |image| {
            let (pd, kind) = (name("edge"), CNodeKind::Grants);
            give(image, "edge", 300, Object::CNode { pd, kind });
        },
        "edge, slot 300 of its Microkit CNode: grants CNode of 'edge'; expected empty",
    ),
    (
        Rule::PowerHeld,
        |image| give(image, "edge", 300, Object::Tcb(name("vault"))),
        "edge, slot 300 of its Microkit CNode: TCB of 'vault'; expected empty",
    ),
    (
        Rule::PowerHeld,
        |image| give(image, "manager", 300, Object::SchedContext(name("vault"))),
        "manager, slot 300 of its Microkit CNode: scheduling context of 'vault'; expected \
         empty",
    ),
    (
        Rule::PowerHeld,
        |image| give(image, "edge", 3, Object::VSpace(name("edge"))),
        "edge, slot 3 of its Microkit CNode: VSpace of 'edge'; expected empty",
    ),
    (
        Rule::PowerHeld,
        |image| {
            let (of, page) = (region("vault_key"), 0);
            give(image, "edge", 300, Object::Frame { of, page });
        },
        "edge, slot 300 of its Microkit CNode: page 0 of the memory region 'vault_key'; \
         expected empty",
    ),
    (
        Rule::PowerHeld,
        |image| {
            let (kind, name) = (name("untyped"), name("ut_0"));
            give(image, "manager", 300, Object::Other { kind, name });
        },
        "manager, slot 300 of its Microkit CNode: untyped 'ut_0'; expected empty",
    ),
    (
        Rule::IrqHeld,
        |image| give(image, "edge", 139, Object::IrqHandler(33)),
        "edge, slot 139 of its Microkit CNode: handler of IRQ 33; expected empty",
    ),
    (
        Rule::Binding,
        |image| tcb(image, "edge", Binding::Vspace).object = Object::VSpace(name("vault")),
        "edge, VSpace of its TCB: VSpace of 'vault'; expected VSpace of 'edge'",
    ),
    (
        Rule::Binding,
        |image| drop(pd(image, "edge").tcb.remove(&Binding::Notification)),
        "edge, notification of its TCB: empty; expected notification of 'edge', Read",
    ),
    (
        Rule::FaultEndpoint,
        |image| {
            tcb(image, "edge", Binding::FaultEndpoint).object = Object::Endpoint(name("ingest"))
        },
        "edge, fault endpoint of its TCB: endpoint of 'ingest', Write+GrantReply, badge \
         0x4000000000000006; expected endpoint of 'manager', Write+GrantReply, badge \
         0x4000000000000006",
    ),
    (
        Rule::FaultEndpoint,
        |image| tcb(image, "edge", Binding::FaultEndpoint).badge = 1 << 62 | 7,
        "edge, fault endpoint of its TCB: endpoint of 'manager', Write+GrantReply, badge \
         0x4000000000000007; expected endpoint of 'manager', Write+GrantReply, badge \
         0x4000000000000006",
    ),
    (
        Rule::Priority,
        |image| pd(image, "edge").priority = 254,
        "edge, priority: 254; expected 120",
    ),
    (
        Rule::Priority,
        |image| pd(image, "edge").max_priority = 254,
        "edge, maximum controlled priority: 254; expected 120",
    ),
    (
        Rule::Budget,
        |image| pd(image, "edge").budget_us = 999,
        "edge, budget: 999 µs; expected 1000 µs",
    ),
    (
        Rule::Passive,
        |image| pd(image, "vault").passive = false,
        "vault, passive: false; expected true",
    ),
    (
        Rule::Passive,
        |image| drop(image.monitor.cspace[0].slots.remove(&141)),
        "monitor, slot 141 of its monitor's CNode: empty; expected scheduling context of \
         'vault'",
    ),
    (
        Rule::Processor,
        |image| image.monitor.starts = false,
        "monitor, started: false; expected true",
    ),
    (
        Rule::Processor,
        |image| pd(image, "edge").cpu = 1,
        "edge, core: 1; expected 0",
    ),
    (
        Rule::Processor,
        |image| pd(image, "edge").fpu = false,
        "edge, FPU: false; expected true",
    ),
    (
        Rule::Processor,
        |image| pd(image, "edge").domain = Some(1),
        "edge, scheduling domain: 1; expected none",
    ),
    (
        Rule::Irq,
        |image| {
            let mut more = irq(image, 79).clone();
            more.number = 80;
            image.irqs.push(more);
        },
        "image, IRQ 80: an interrupt that nobody has; expected none",
    ),
    (
        Rule::Irq,
        |image| image.irqs.retain(|irq| irq.number != 79),
        "blk, IRQ 79: no interrupt; expected one",
    ),
    (
        Rule::IrqSignal,
        |image| {
            let signal = irq(image, 33).slots.get_mut(&0).unwrap();
            signal.object = Object::Notification(name("edge"));
        },
        "console, IRQ 33: notification of 'edge', Write, badge 0x2; expected notification of \
         'console', Write, badge 0x2",
    ),
    (
        Rule::IrqTrigger,
        |image| irq(image, 79).edge = false,
        "blk, IRQ 79: level; expected edge",
    ),
    (
        Rule::WritableMemory,
        |image| share(image, "publish", &region("publish_edge"), "edge"),
        "edge, 0x40000000: pages 0 to 127 of the memory region 'publish_edge', \"rw\"; \
         expected no such mapping",
    ),
    (
        Rule::ReadableMemory,
        |image| share(image, "vault", &region("vault_key"), "edge"),
        "edge, 0x40000000: page 0 of the memory region 'vault_key', \"r\"; expected no such \
         mapping",
    ),
    (
        Rule::DeviceMemory,
        |image| share(image, "console", &region("uart"), "edge"),
        "edge, 0x40000000: page 0 of the memory region 'uart', \"rw\", not cached; expected \
         no such mapping",
    ),
    (
        Rule::WiderMapping,
        |image| mapping(image, "edge", &region("publish_edge")).write = true,
        "edge, 0x10000000: pages 0 to 127 of the memory region 'publish_edge', \"rw\"; \
         expected \"r\"",
    ),
    (
        Rule::WiderMapping,
        |image| {
            let stack = mapping(image, "edge", &Memory::Stack(name("edge")));
            (stack.write, stack.execute) = (false, true);
        },
        "edge, 0xfffffbe000: pages 0 to 63 of the stack of 'edge', \"rx\"; expected \"rw\"",
    ),
    (
        Rule::NarrowerMapping,
        |image| mapping(image, "publish", &region("publish_edge")).write = false,
        "publish, 0x10100000: pages 0 to 127 of the memory region 'publish_edge', \"r\"; \
         expected \"rw\"",
    ),
    (
        Rule::MissingMapping,
        |image| mapping(image, "edge", &region("publish_edge")).pages -= 1,
        "edge, 0x10000000: 127 pages of the memory region 'publish_edge'; expected 128",
    ),
    (
        Rule::Caching,
        |image| mapping(image, "console", &region("uart")).cached = true,
        "console, 0x10000000: page 0 of the memory region 'uart', \"rw\"; expected not cached",
    ),
    (
        Rule::WriteXorExecute,
        |image| mapping(image, "edge", &Memory::Program(name("edge"))).write = true,
        "edge, 0x200000: pages 0 to 1 of the program of 'edge', \"rwx\"; expected one of \
         \"w\" and \"x\"",
    ),
    (
        Rule::PrivateMemory,
        |image| share(image, "vault", &Memory::Stack(name("vault")), "edge"),
        "edge, 0x40000000: pages 0 to 63 of the stack of 'vault', \"rw\"; expected memory of \
         its own",
    ),
    (
        Rule::PrivateMemory,
        |image| share(image, "edge", &Memory::Program(name("edge")), "edge"),
        "edge, 0x40000000: pages 0 to 1 of the program of 'edge', \"rx\"; expected one \
         mapping",
    ),
    (
        Rule::PageTable,
        |image| pd(image, "edge").vspace.tables.push(name("pt_vault")),
        "edge, VSpace: page table 'pt_vault' is also reached by 'vault'; expected a table of \
         its own",
    ),
    (
        Rule::RegionSize,
        |image| frames(image, &Memory::Stack(name("edge"))).pages += 1,
        "edge, stack of 'edge': 0x41000 bytes; expected 0x40000 bytes",
    ),
    (
        Rule::PhysicalAddress,
        |image| frames(image, &region("uart")).phys_addr = Some(0xc00_0000),
        "image, memory region 'uart', page 0: physical address 0xc000000; expected physical \
         address 0x9000000",
    ),
    (
        Rule::PhysicalAddress,
        |image| frames(image, &region("grant_log")).phys_addr = Some(0x4000_0000),
        "image, memory region 'grant_log', page 0: physical address 0x40000000; expected no \
         fixed physical address",
    ),
    (
        Rule::PhysicalAddress,
        |image| {
            lay_dma(image, 0x901_0000);
            image.initialiser.untyped[0].phys_addr = 0x901_0000;
        },
        "image, memory region 'virtio_dma': begins at 0x9010000, inside the memory region \
         'rtc'; expected memory of its own",
    ),
    (
        Rule::PhysicalAddress,
        |image| lay_dma(image, 0x801_0000),
        "image, memory region 'virtio_dma', page 0: physical address 0x8010000; expected \
         ordinary memory",
    ),
    (
        Rule::PhysicalAddress,
        |image| lay_dma(image, 0x7fff_f000),
        "image, memory region 'virtio_dma', page 0: physical address 0x7ffff000; expected \
         ordinary memory",
    ),
    (
        Rule::PhysicalAddress,
        |image| {
            let (dma, last) = (region("virtio_dma"), 127);
            lay_dma(image, 0x4000_0000);
            let first = frames(image, &dma);
            first.pages = last;
            let second = Frames {
                first_page: last,
                pages: 1,
                phys_addr: Some(0x5000_0000),
                ..first.clone()
            };
            let at = image.memory.iter().position(|it| it.of == dma).unwrap();
            image.memory.insert(at + 1, second);
            let first = mapping(image, "blk", &dma);
            first.pages = last;
            let second = Mapping {
                vaddr: first.vaddr + last * first.page_size,
                first_page: last,
                pages: 1,
                ..first.clone()
            };
            pd(image, "blk").vspace.mappings.push(second);
        },
        "image, memory region 'virtio_dma', page 127: physical address 0x50000000; expected \
         the address after the page before",
    ),
];

/// Lays the region that the disk's driver is told the address of, and tells it.
fn lay_dma(image: &mut Image, address: u64) {
    frames(image, &region("virtio_dma")).phys_addr = Some(address);
    set(image, "blk", "virtio_dma_paddr", address);
}

#[test]
fn each_rule_broken_in_turn_is_found() {
    let this = APPLIANCE.image.policy.as_ref().unwrap();
    for (rule, change, line) in CASES {
        let mut image = APPLIANCE.image.clone();
        change(&mut image);
        assert_ne!(
            image, APPLIANCE.image,
            "{rule}: the change must change something"
        );
        let found = check(&image);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        let line = line.replace("{sha256}", &this.sha256);
        let expected = format!("{rule}: {line}. Remedy: {}", rule.remedy());
        assert_eq!(lines, [expected], "{rule}");
    }
}

#[test]
fn every_rule_has_a_test_that_breaks_it() {
    let broken: BTreeSet<Rule> = CASES.iter().map(|(rule, _, _)| *rule).collect();
    let all: BTreeSet<Rule> = Rule::ALL.iter().copied().collect();
    assert_eq!(broken, all);
}
