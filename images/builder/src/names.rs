//! How the Microkit tool names the objects of its capDL specification.

use std::collections::HashMap;

use portcullis_kernel::cspace;
use portcullis_policy::distribution::{CNodeKind, Memory, Object};
use portcullis_policy::image::MONITOR;

/// The names that the tool gives the root page table, by the levels of the board's page tables.
const ROOT_TABLES: [&str; 2] = ["pgd", "pud"];

/// The capDL name of an object; `None` for those that have none of their own.
pub fn capdl_name(object: &Object) -> Option<String> {
    Some(match object {
        Object::Endpoint(pd) => format!("ep_{pd}"),
        Object::Notification(pd) => format!("ntfn_{pd}"),
        Object::Reply(pd) => format!("reply_{pd}"),
        Object::PooledReply { pd, number } => format!("pooled_reply_{pd}_{number}"),
        Object::CNode { pd, kind } => cnode_name(pd, *kind),
        Object::Tcb(pd) => format!("tcb_{pd}"),
        Object::SchedContext(pd) => format!("sched_context_{pd}"),
        Object::MonitorEndpoint => format!("ep_fault_{MONITOR}"),
        Object::MonitorReply => format!("reply_{MONITOR}"),
        Object::ArmSmc => "arm_smc".to_owned(),
        Object::VSpace(_)
        | Object::IrqHandler(_)
        | Object::IoPorts { .. }
        | Object::Vcpu { .. }
        | Object::VcpuTcb { .. }
        | Object::Frame { .. }
        | Object::Other { .. } => return None,
    })
}

/// The capDL name of a CNode. Grants and authority CNodes and those of reply objects are ours; a protection domain whose own name
/// ends like one of these is refused by the tool, since object names are unique.
pub fn cnode_name(pd: &str, kind: CNodeKind) -> String {
    match kind {
        CNodeKind::Root => format!("cnode_{pd}_root"),
        CNodeKind::Microkit => format!("cnode_{pd}"),
        CNodeKind::Grants => format!("cnode_{pd}_grants"),
        CNodeKind::Authority => format!("cnode_{pd}_authority"),
        CNodeKind::Replies => format!("cnode_{pd}_replies"),
        CNodeKind::Monitor => format!("cnode_{MONITOR}"),
    }
}

/// Every object and memory that a system can have, by its capDL name.
pub struct Names {
    objects: HashMap<String, Object>,
    memory: HashMap<String, Memory>,
}

impl Names {
    /// The names in a system with these protection domains and memory regions.
    pub fn of<'n>(
        pds: impl Iterator<Item = &'n str>,
        regions: impl Iterator<Item = &'n str>,
    ) -> Self {
        let mut names = Self {
            objects: HashMap::new(),
            memory: HashMap::new(),
        };
        for pd in pds {
            names.protection_domain(pd);
        }
        for region in regions {
            let of = Memory::Region(region.to_owned());
            names.memory.insert(format!("frame_mr_{region}"), of);
        }
        names.monitor();
        names
    }

    /// The object with this name.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.objects.get(name)
    }

    /// What a frame with this name is part of, and its number in it.
    pub fn frame(&self, name: &str) -> (Memory, u64) {
        let numbered = name.rsplit_once('_').and_then(|(of, page)| {
            let of = self.memory.get(of)?;
            Some((of.clone(), page.parse().ok()?))
        });
        let single = || self.memory.get(name).map(|of| (of.clone(), 0));
        let other = || (Memory::Other(name.to_owned()), 0);
        numbered.or_else(single).unwrap_or_else(other)
    }

    fn protection_domain(&mut self, pd: &str) {
        let name = || pd.to_owned();
        let kinds = [
            CNodeKind::Root,
            CNodeKind::Microkit,
            CNodeKind::Grants,
            CNodeKind::Authority,
            CNodeKind::Replies,
        ];
        let cnodes = kinds.map(|kind| Object::CNode { pd: name(), kind });
        let others = [
            Object::Endpoint(name()),
            Object::Notification(name()),
            Object::Reply(name()),
            Object::ArmSmc,
        ];
        let pool =
            (1..=cspace::MAX_REPLIES).map(|number| Object::PooledReply { pd: name(), number });
        self.named(cnodes.into_iter().chain(others).chain(pool));
        self.thread(pd);
    }

    /// The monitor is one more protection domain, but for its endpoint and its single CNode.
    fn monitor(&mut self) {
        let cnode = Object::CNode {
            pd: MONITOR.to_owned(),
            kind: CNodeKind::Monitor,
        };
        self.named([cnode, Object::MonitorEndpoint, Object::MonitorReply]);
        self.thread(MONITOR);
        let stack = Memory::Stack(MONITOR.to_owned());
        self.memory.insert(format!("frame_{MONITOR}_stack"), stack);
    }

    fn thread(&mut self, pd: &str) {
        let name = || pd.to_owned();
        self.named([Object::Tcb(name()), Object::SchedContext(name())]);
        for table in ROOT_TABLES {
            self.objects
                .insert(format!("{table}_{pd}"), Object::VSpace(name()));
        }
        self.memory.extend([
            (format!("frame_elf_{pd}"), Memory::Program(name())),
            (format!("frame_{pd}_stack"), Memory::Stack(name())),
            (format!("frame_ipcbuf_{pd}"), Memory::IpcBuffer(name())),
        ]);
    }

    fn named(&mut self, objects: impl IntoIterator<Item = Object>) {
        let named = objects
            .into_iter()
            .filter_map(|object| Some((capdl_name(&object)?, object)));
        self.objects.extend(named);
    }
}
