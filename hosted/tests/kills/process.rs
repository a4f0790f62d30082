//! The appliance as somebody outside sees it: its processes, and what it shows.
//!
//! The tests of the `portcullis` command include this file.

use std::fs;
use std::io::{BufRead as _, BufReader, pipe};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest that anything takes here, by far: what takes longer hangs.
const HANGS: Duration = Duration::from_secs(120);

/// A running appliance.
pub(crate) struct Running {
    kernel: Child,
    lines: Receiver<String>,
    /// Every whole line that it showed.
    shown: Vec<String>,
    has_ended: bool,
}

/// A process that may be gone, its number another's.
struct Process {
    id: i32,
    /// When it started, in ticks since Linux did.
    start: String,
}

impl Running {
    /// Starts it. What it shows is read; what it is to be typed is up to the command.
    pub(crate) fn start(mut command: Command) -> Self {
        let (output, shows) = pipe().unwrap();
        command.stdout(shows.try_clone().unwrap()).stderr(shows);
        let kernel = command.spawn().unwrap();
        // And with it this process's end of what it writes to.
        drop(command);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            // What has no end was cut off: nobody was told that.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                let _ = sender.send(std::mem::take(&mut line));
            }
        });
        Self {
            kernel,
            lines,
            shown: Vec::new(),
            has_ended: false,
        }
    }

    /// Waits for a line; whether it came before the end.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        while !self.has_ended {
            match self.lines.recv_timeout(HANGS) {
                Ok(line) => {
                    let line = line.trim_end();
                    self.shown.push(line.to_owned());
                    if wanted(line) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => self.has_ended = true,
                Err(RecvTimeoutError::Timeout) => panic!("it hangs: {:#?}", self.shown),
            }
        }
        false
    }

    /// Sends the kernel's process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.kernel.id() as i32, signal);
    }

    /// Kills one component's process, where it has one yet.
    pub(crate) fn kill_component(&self, name: &str) {
        for id in self.components() {
            let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            // The last argument; each ends with a zero.
            if arguments.rsplit(|byte| *byte == 0).nth(1) == Some(name.as_bytes()) {
                send(id, Signal::KILL);
            }
        }
    }

    /// Kills every process in an order, and waits until nothing is left; everything that it showed.
    pub(crate) fn kill_each(self, order: impl FnOnce(&mut Vec<i32>)) -> Vec<String> {
        let mut all = self.components();
        all.push(self.kernel.id() as i32);
        order(&mut all);
        self.end_by(|| all.into_iter().for_each(|id| send(id, Signal::KILL)))
            .1
    }

    /// Sends the kernel's process the signal that is to end it, and waits until nothing is left: how
    /// it ended, and everything that it showed.
    pub(crate) fn end(self, signal: Signal) -> (ExitStatus, Vec<String>) {
        let kernel = self.kernel.id() as i32;
        self.end_by(|| send(kernel, signal))
    }

    fn end_by(mut self, end: impl FnOnce()) -> (ExitStatus, Vec<String>) {
        let components = self.components();
        let processes: Vec<_> = components.into_iter().filter_map(Process::find).collect();
        end();
        let status = self.kernel.wait().unwrap();
        let start = Instant::now();
        for process in processes {
            while process.is_there() {
                assert!(start.elapsed() < HANGS, "process {} is left", process.id);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.wait_for(|_| false);
        (status, std::mem::take(&mut self.shown))
    }

    /// The processes of the components, as far as they are started.
    fn components(&self) -> Vec<i32> {
        let kernel = self.kernel.id();
        let children = fs::read_to_string(format!("/proc/{kernel}/task/{kernel}/children"));
        let children = children.unwrap_or_default();
        let ids = children.split_whitespace().map(|id| id.parse().unwrap());
        ids.collect()
    }
}

/// Where a test fails.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kernel.kill();
        let _ = self.kernel.wait();
    }
}

impl Process {
    fn find(id: i32) -> Option<Self> {
        let start = Self::field(id, 19)?;
        Some(Self { id, start })
    }

    /// Whether it runs: one that only waits for its status to be read does not.
    fn is_there(&self) -> bool {
        Self::field(self.id, 0).is_some_and(|state| state != "Z" && state != "X")
            && Self::field(self.id, 19).as_ref() == Some(&self.start)
    }

    /// A field of a process's status, counted from its state (proc(5), field 3).
    fn field(id: i32, number: usize) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, fields) = status.rsplit_once(") ")?;
        fields.split(' ').nth(number).map(str::to_owned)
    }
}

/// Sends a signal to a process that may be gone.
fn send(id: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(id).unwrap(), signal);
}
