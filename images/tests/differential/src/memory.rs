//! The root task's own memory, CSpace and pages.

use core::ops::Range;
use core::ptr;

use sel4::ObjectBlueprint;
use sel4::cap_type::Unspecified;
use sel4::init_thread::{Slot, slot};

/// Bytes of a page.
pub const PAGE: usize = sel4::FrameObjectType::GRANULE.bytes();

/// A page of this program that a thread has for its own.
#[repr(C, align(4096))]
pub struct Page([u8; PAGE]);

impl Page {
    /// A page of zeros.
    pub const ZERO: Self = Self([0; PAGE]);
}

/// What the root task was given at boot.
pub struct Memory<'a> {
    bootinfo: &'a sel4::BootInfoPtr,
    slots: Range<usize>,
    untyped: sel4::cap::Untyped,
}

impl<'a> Memory<'a> {
    /// What is in the boot info.
    pub fn new(bootinfo: &'a sel4::BootInfoPtr) -> Self {
        let all = bootinfo.untyped_list().iter().enumerate();
        let kernel = all.filter(|(_, it)| !it.is_device());
        let largest = kernel.max_by_key(|(_, it)| it.size_bits());
        let (place, _) = largest.expect("a board has memory");
        Self {
            bootinfo,
            slots: bootinfo.empty().range(),
            untyped: bootinfo.untyped().index(place).cap(),
        }
    }

    /// Empty slots of the root CNode, one after the other; the first of them.
    pub fn slots(&mut self, count: usize) -> usize {
        let first = self.slots.start;
        self.slots.start += count;
        assert!(self.slots.start <= self.slots.end, "the root CNode is full");
        first
    }

    /// A new object.
    pub fn create<T: sel4::CapType>(
        &mut self,
        blueprint: ObjectBlueprint,
    ) -> sel4::Result<Slot<T>> {
        let place = self.slots(1);
        retype(self.untyped, &blueprint, place, 1)?;
        Ok(Slot::from_index(place))
    }

    /// Control over the processor's time.
    pub fn time(&self) -> sel4::cap::SchedControl {
        self.bootinfo.sched_control().index(0).cap()
    }

    /// The frame of a page of this program.
    pub fn frame(&self, page: *const Page) -> sel4::cap::Granule {
        unsafe extern "C" {
            static __executable_start: u8;
        }
        let start = ptr::addr_of!(__executable_start).addr();
        let frames = self.bootinfo.user_image_frames();
        frames.index(page.addr() / PAGE - start / PAGE).cap()
    }
}

/// Makes objects out of untyped memory, into slots of the root CNode.
pub fn retype(
    untyped: sel4::cap::Untyped,
    blueprint: &ObjectBlueprint,
    first: usize,
    count: usize,
) -> sel4::Result<()> {
    let root = slot::CNODE.cap().absolute_cptr_for_self();
    untyped.untyped_retype(blueprint, &root, first, count)
}

/// A slot of the root CNode, for CNode invocations.
pub fn at(place: usize) -> sel4::AbsoluteCPtr {
    slot::CNODE
        .cap()
        .absolute_cptr(Slot::<Unspecified>::from_index(place).cptr())
}
