//! What a component's process is given before its sandbox closes.
//!
//! The kernel's process sends one packet: a [`Setup`], and the descriptors that it names, in order.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use super::mapped::{Mapped, MappedMut};
use super::{Client, SandboxError};

/// Most descriptors in one packet (Linux's SCM_MAX_FD is 253); the reference appliance needs 5.
const MAX_DESCRIPTORS: usize = 64;
/// Largest setup packet, in bytes: names and numbers of [`MAX_DESCRIPTORS`] regions.
const MAX_SETUP: usize = 16 * 1024;

/// A component's process, in words.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Name of its program.
    pub(crate) program: String,
    /// Regions to map; their descriptors come first.
    pub(crate) regions: Vec<RegionSetup>,
    /// Devices; their descriptors follow.
    pub(crate) devices: Vec<DeviceSetup>,
    /// Numbers that the program is told.
    pub(crate) parameters: Vec<(String, u64)>,
    /// Which walls to close.
    pub(crate) isolation: Isolation,
}

/// A memory region to map.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RegionSetup {
    /// Its name.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size: usize,
    /// How to map it.
    pub(crate) access: Access,
}

/// A device: an open descriptor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct DeviceSetup {
    /// Its name.
    pub(crate) name: String,
    /// What the component may do with it.
    pub(crate) used: Use,
}

/// How a component maps a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write.
    ReadWrite,
}

/// What a component may do with a device's descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Use {
    /// `pread`, `pwrite` and `fdatasync`.
    Disk,
    /// `read`.
    Input,
    /// `write`.
    Output,
    /// `timerfd_settime`.
    Alarm,
}

/// The walls around a component's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Isolation {
    /// Landlock: no file, no network, no signal to others.
    pub landlock: bool,
    /// seccomp: no system call but those that reach the kernel's process and the own device.
    pub seccomp: bool,
}

impl Isolation {
    /// Every wall. Nothing less is used unless a person accepted it.
    pub const FULL: Isolation = Isolation {
        landlock: true,
        seccomp: true,
    };
}

/// What a program runs on: its kernel, regions, devices and parameters.
pub struct Environment {
    /// The way to the kernel.
    pub kernel: Client,
    readable: BTreeMap<String, Mapped>,
    writable: BTreeMap<String, MappedMut>,
    devices: BTreeMap<String, OwnedFd>,
    parameters: BTreeMap<String, u64>,
}

impl Environment {
    /// The region that the component maps read-only under this name.
    ///
    /// # Panics
    /// Where system.xml gives the component no such region: the program and the description differ.
    pub fn region(&mut self, name: &str) -> Mapped {
        self.readable
            .remove(name)
            .unwrap_or_else(|| panic!("system.xml maps no region {name:?} read-only here"))
    }

    /// As [`region`](Self::region), of a region that a system may do without.
    pub fn region_if_mapped(&mut self, name: &str) -> Option<Mapped> {
        self.readable.remove(name)
    }

    /// The region that the component maps read-write under this name.
    ///
    /// # Panics
    /// As [`region`](Self::region).
    pub fn region_mut(&mut self, name: &str) -> MappedMut {
        self.writable
            .remove(name)
            .unwrap_or_else(|| panic!("system.xml maps no region {name:?} read-write here"))
    }

    /// As [`region_mut`](Self::region_mut), of a region that a system may do without.
    pub fn region_mut_if_mapped(&mut self, name: &str) -> Option<MappedMut> {
        self.writable.remove(name)
    }

    /// The device with this name.
    ///
    /// # Panics
    /// Where the component was given no such device.
    pub fn device(&mut self, name: &str) -> OwnedFd {
        self.devices
            .remove(name)
            .unwrap_or_else(|| panic!("there is no device {name:?} here"))
    }

    /// The number that the component was told under this name.
    pub fn parameter(&self, name: &str) -> Option<u64> {
        self.parameters.get(name).copied()
    }
}

/// A region as a component maps it: its type says how.
pub(crate) trait FromEnvironment: Sized {
    /// [`Environment::region`] or [`Environment::region_mut`].
    fn take(environment: &mut Environment, name: &str) -> Self;
}

impl FromEnvironment for Mapped {
    fn take(environment: &mut Environment, name: &str) -> Self {
        environment.region(name)
    }
}

impl FromEnvironment for MappedMut {
    fn take(environment: &mut Environment, name: &str) -> Self {
        environment.region_mut(name)
    }
}

/// An [`Environment`] without its kernel.
pub(super) struct Unstarted {
    readable: BTreeMap<String, Mapped>,
    writable: BTreeMap<String, MappedMut>,
    devices: BTreeMap<String, (OwnedFd, Use)>,
    parameters: BTreeMap<String, u64>,
}

impl Unstarted {
    /// The descriptors that stay open, and what may be done with each.
    pub(super) fn devices(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Use)> {
        self.devices
            .values()
            .map(|(file, used)| (file.as_fd(), *used))
    }

    /// The environment, complete.
    pub(super) fn with_kernel(self, kernel: Client) -> Environment {
        let devices = self
            .devices
            .into_iter()
            .map(|(name, (file, _))| (name, file));
        Environment {
            kernel,
            readable: self.readable,
            writable: self.writable,
            devices: devices.collect(),
            parameters: self.parameters,
        }
    }
}

/// Why a component's process could not start.
#[derive(Debug)]
pub enum SetupError {
    /// The setup packet did not arrive whole.
    Packet(&'static str),
    /// A system call failed.
    System(&'static str, rustix::io::Errno),
    /// A region could not be mapped.
    Map(String, rustix::io::Errno),
    /// This executable has no such program.
    Program(String),
    /// The sandbox could not be closed.
    Sandbox(SandboxError),
}

/// Sends `setup` and the descriptors of its regions and devices.
pub(crate) fn send(
    socket: &OwnedFd,
    setup: &Setup,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), SetupError> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(SetupError::Packet(
            "there are more regions and devices than one packet takes",
        ));
    }
    let bytes = postcard::to_allocvec(setup)
        .map_err(|_| SetupError::Packet("the setup does not encode"))?;
    if bytes.len() > MAX_SETUP {
        return Err(SetupError::Packet("the setup is larger than one packet"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let slices = [std::io::IoSlice::new(&bytes)];
    rustix::net::sendmsg(socket, &slices, &mut ancillary, SendFlags::empty())
        .map_err(|error| SetupError::System("sendmsg", error))?;
    Ok(())
}

/// Receives what [`send`] sent.
pub(super) fn receive(socket: &OwnedFd) -> Result<(Setup, Vec<OwnedFd>), SetupError> {
    let mut bytes = vec![0; MAX_SETUP];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [std::io::IoSliceMut::new(&mut bytes)];
    let received =
        rustix::net::recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .map_err(|error| SetupError::System("recvmsg", error))?;
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(SetupError::Packet("the setup packet was cut"));
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            descriptors.extend(files);
        }
    }
    let setup = postcard::from_bytes(&bytes[..received.bytes])
        .map_err(|_| SetupError::Packet("the setup packet does not decode"))?;
    Ok((setup, descriptors))
}

/// Maps the regions and takes the devices. The regions' descriptors are closed.
pub(super) fn prepare(setup: &Setup, descriptors: Vec<OwnedFd>) -> Result<Unstarted, SetupError> {
    if descriptors.len() != setup.regions.len() + setup.devices.len() {
        return Err(SetupError::Packet(
            "there is not one descriptor a region and device",
        ));
    }
    let mut descriptors = descriptors.into_iter();
    let mut unstarted = Unstarted {
        readable: BTreeMap::new(),
        writable: BTreeMap::new(),
        devices: BTreeMap::new(),
        parameters: setup.parameters.iter().cloned().collect(),
    };
    for (region, file) in setup.regions.iter().zip(&mut descriptors) {
        let failed = |error| SetupError::Map(region.name.clone(), error);
        let name = region.name.clone();
        match region.access {
            Access::Read => {
                let mapped = Mapped::read_only(&file, region.size).map_err(failed)?;
                unstarted.readable.insert(name, mapped);
            }
            Access::ReadWrite => {
                let mapped = MappedMut::read_write(&file, region.size).map_err(failed)?;
                unstarted.writable.insert(name, mapped);
            }
        }
    }
    for (device, file) in setup.devices.iter().zip(descriptors) {
        unstarted
            .devices
            .insert(device.name.clone(), (file, device.used));
    }
    Ok(unstarted)
}

impl From<SandboxError> for SetupError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(why) => f.write_str(why),
            Self::System(call, error) => write!(f, "{call}: {error}"),
            Self::Map(name, error) => write!(f, "region {name:?} could not be mapped: {error}"),
            Self::Program(name) => write!(f, "this executable has no program {name:?}"),
            Self::Sandbox(error) => write!(f, "the sandbox could not be closed: {error}"),
        }
    }
}

impl std::error::Error for SetupError {}
