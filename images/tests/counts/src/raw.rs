//! The kernel's part of issuing and revoking a grant, and nothing else.

use portcullis_kernel::{Generation, Grant, GrantBadge, Rights, cspace};
use portcullis_manager_api::Authority;
use sel4::cap::CNode;
use sel4::{AbsoluteCPtr, CPtrWithDepth, CapRights, CapRightsBuilder};

/// The invocations that the manager makes for a grant, with the same capabilities in the same slots.
/// The grant is not in force meanwhile.
#[derive(Debug)]
pub struct Raw {
    source: AbsoluteCPtr,
    root: AbsoluteCPtr,
    copy: AbsoluteCPtr,
    badge: u64,
    rights: CapRights,
}

impl Raw {
    /// For a grant, under an index that nothing is issued with.
    pub fn new(layout: Authority, index: u16, grant: &Grant) -> Self {
        let authority = |slot| place(Authority::ITSELF, slot);
        let subject = layout.grants_cnode(grant.subject);
        let badge = GrantBadge::new(index, Generation::default(), grant.methods);
        Self {
            source: authority(layout.endpoint(grant.object)),
            root: authority(layout.root(index)),
            copy: place(subject, grant.slot.into()),
            badge: badge.expect("every grant has a method").badge().0,
            rights: cap_rights(grant.mode.rights()),
        }
    }

    /// Mint and Copy.
    pub fn issue(&self) {
        let all = cap_rights(Rights::ALL);
        let minted = self.root.mint(&self.source, all, self.badge);
        minted.expect("the root is free");
        let copied = self.copy.copy(&self.root, self.rights.clone());
        copied.expect("the slot is free");
    }

    /// Revoke, CancelBadgedSends where `cancel` says so, and Delete.
    pub fn revoke(&self, cancel: bool) {
        self.root.revoke().expect("the root is there");
        if cancel {
            let (root, path) = (self.root.root().bits(), self.root.path());
            let code = sel4::with_ipc_buffer_mut(|buffer| {
                let depth = Authority::DEPTH;
                let buffer = buffer.inner_mut();
                buffer.seL4_CNode_CancelBadgedSends(root, path.bits(), depth)
            });
            assert!(code == sel4::sys::seL4_Error::seL4_NoError);
        }
        self.root.delete().expect("the root is there");
    }
}

fn place(cnode: u32, slot: u32) -> AbsoluteCPtr {
    let path = CPtrWithDepth::from_bits_with_depth(slot.into(), Authority::DEPTH.into());
    AbsoluteCPtr::new(CNode::from_bits(cspace::grant(cnode).bits()), path)
}

fn cap_rights(rights: Rights) -> CapRights {
    CapRightsBuilder::none()
        .read(rights.read)
        .write(rights.write)
        .grant(rights.grant)
        .grant_reply(rights.grant_reply)
        .build()
}
