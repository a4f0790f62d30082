//! A running QEMU: its serial line, its disk and its memory.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::memory::Ram;
use crate::{Error, Image, Line, Memory};

/// A board that runs, with its serial line; QEMU is killed when this is dropped.
#[derive(Debug)]
pub struct Machine {
    image: Image,
    ram: Ram,
    line: Line,
}

/// QEMU's `-drive` for a disk image, of any format.
pub fn raw_disk(path: &Path) -> String {
    // In QEMU's options a comma in a value is doubled.
    let path = path.display().to_string().replace(',', ",,");
    format!("file={path},format=raw")
}

impl Machine {
    /// Boots the image. `disk` is the value of a `-drive` option, such as [`raw_disk`]'s; `more` are
    /// further arguments for QEMU.
    pub fn boot(image: &Image, disk: Option<&str>, more: &[&str]) -> Result<Self, Error> {
        Self::start(image, Self::command(image, disk), more)
    }

    /// Boots with a command of this type's: [`command`](Self::command), or one like it.
    pub fn start(image: &Image, mut command: Command, more: &[&str]) -> Result<Self, Error> {
        let ram = Ram::new(image.board).map_err(Error::Memory)?;
        command.args(ram.arguments());
        command.args(["-serial", "stdio"]).args(more);
        Ok(Self {
            image: image.clone(),
            ram,
            line: Line::start(command)?,
        })
    }

    /// QEMU with the image, and with a random number generator and a disk on the buses that the system
    /// description names.
    pub fn command(image: &Image, disk: Option<&str>) -> Command {
        let mut command = Self::without_randomness(image, disk);
        let bus = image.board.rng_bus();
        command.args(["-device", &format!("virtio-rng-device,bus={bus}")]);
        command
    }

    /// The same without a random number generator.
    pub fn without_randomness(image: &Image, disk: Option<&str>) -> Command {
        let mut command = image.board.machine(&image.loader);
        if let Some(disk) = disk {
            let device = format!(
                "virtio-blk-device,drive=disk,bus={}",
                image.board.disk_bus()
            );
            command.args(["-drive", &format!("{disk},if=none,id=disk")]);
            command.args(["-device", &device]);
        }
        command
    }

    /// The image that it runs.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Eight bytes of the RAM, at a physical address, while the machine goes on.
    pub(crate) fn word(&self, address: u64) -> Result<u64, Error> {
        self.ram.word(address).map_err(Error::Memory)
    }

    /// What the RAM holds at this moment: the whole machine is paused while it is copied.
    pub fn memory(&mut self) -> Result<Memory, Error> {
        self.memory_and(|| ()).map(|(memory, ())| memory)
    }

    /// As [`memory`](Self::memory), with what `look` finds elsewhere at the same moment.
    pub fn memory_and<T>(&mut self, look: impl FnOnce() -> T) -> Result<(Memory, T), Error> {
        let ended = || self.line.ended("its memory was read");
        let qemu = self.line.process();
        kill_process(qemu, Signal::STOP).map_err(|_| ended())?;
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let change = waitid(WaitId::Pid(qemu), changes);
        if !matches!(change, Ok(Some(status)) if status.stopped()) {
            return Err(ended());
        }
        let found = look();
        let memory = self.ram.copy().map_err(Error::Memory);
        kill_process(qemu, Signal::CONT).map_err(|_| ended())?;
        Ok((memory?, found))
    }
}

impl Deref for Machine {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Line {
        &mut self.line
    }
}
