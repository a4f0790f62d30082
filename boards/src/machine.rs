//! A running QEMU and its serial line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::memory::Ram;
use crate::{Error, Image, Memory};

/// A board that runs; QEMU is killed when this is dropped.
#[derive(Debug)]
pub struct Machine {
    image: Image,
    qemu: Child,
    ram: Ram,
    input: ChildStdin,
    lines: Receiver<String>,
    last: Option<String>,
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
        let mut command = Self::command(image, disk);
        let ram = Ram::new(image.board).map_err(Error::Memory)?;
        command.args(ram.arguments());
        command.args(["-serial", "stdio"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut qemu = command.spawn().map_err(|error| Error::Start {
            program: image.board.emulator().to_owned(),
            error,
        })?;
        let input = qemu.stdin.take().expect("it was asked for");
        let output = qemu.stdout.take().expect("it was asked for");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line);
                if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            image: image.clone(),
            qemu,
            ram,
            input,
            lines,
            last: None,
        })
    }

    /// QEMU with the image and a disk on the bus that the system description names.
    pub fn command(image: &Image, disk: Option<&str>) -> Command {
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

    /// The next line on the serial line, before `deadline`; `awaited` says what for.
    pub fn line(&mut self, deadline: Instant, awaited: &str) -> Result<String, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        let awaited = || awaited.to_owned();
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.last = Some(line.clone());
                Ok(line)
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::Ended {
                awaited: awaited(),
                last: self.last.clone(),
            }),
            Err(RecvTimeoutError::Timeout) => Err(Error::Silent {
                seconds: left.as_secs(),
                awaited: awaited(),
                last: self.last.clone(),
            }),
        }
    }

    /// The lines up to the first that `is_last` accepts, within `time`; `awaited` says what for.
    pub fn until(
        &mut self,
        awaited: &str,
        time: Duration,
        mut is_last: impl FnMut(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        let deadline = Instant::now() + time;
        let mut lines = Vec::new();
        loop {
            let line = self.line(deadline, awaited)?;
            lines.push(line);
            if is_last(lines.last().expect("one was just pushed")) {
                return Ok(lines);
            }
        }
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
        let ended = || Error::Ended {
            awaited: "its memory was read".to_owned(),
            last: self.last.clone(),
        };
        let qemu = Pid::from_child(&self.qemu);
        kill_process(qemu, Signal::STOP).map_err(|_| ended())?;
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let change = waitid(WaitId::Pid(qemu), changes);
        if !matches!(change, Ok(Some(status)) if status.stopped()) {
            return Err(ended());
        }
        let memory = self.ram.copy().map_err(Error::Memory);
        kill_process(qemu, Signal::CONT).map_err(|_| ended())?;
        memory
    }

    /// Types `text` on the serial line.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        let sent = self.input.write_all(text.as_bytes());
        sent.and_then(|()| self.input.flush())
            .map_err(|_| Error::Ended {
                awaited: "it was written to".to_owned(),
                last: self.last.clone(),
            })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
