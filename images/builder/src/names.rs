//! How the Microkit tool names the objects of its capDL specification.

use portcullis_policy::distribution::{CNodeKind, Object};

/// Name of the monitor, which the tool treats as one more protection domain.
pub const MONITOR: &str = "monitor";

/// The capDL name of an object; `None` for those that have none of their own.
pub fn capdl_name(object: &Object) -> Option<String> {
    Some(match object {
        Object::Endpoint(pd) => format!("ep_{pd}"),
        Object::Notification(pd) => format!("ntfn_{pd}"),
        Object::Reply(pd) => format!("reply_{pd}"),
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
        | Object::VcpuTcb { .. } => return None,
    })
}

/// The capDL name of a CNode. The last two are ours; a protection domain whose own name ends like
/// one of these is refused by the tool, since object names are unique.
pub fn cnode_name(pd: &str, kind: CNodeKind) -> String {
    match kind {
        CNodeKind::Root => format!("cnode_{pd}_root"),
        CNodeKind::Microkit => format!("cnode_{pd}"),
        CNodeKind::Grants => format!("cnode_{pd}_grants"),
        CNodeKind::Authority => format!("cnode_{pd}_authority"),
        CNodeKind::Monitor => format!("cnode_{MONITOR}"),
    }
}
