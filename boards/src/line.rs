//! A running QEMU, and lines of text to it and from it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::Error;

/// A running QEMU whose standard input and output carry lines of text; it is killed when this is
/// dropped.
#[derive(Debug)]
pub struct Line {
    qemu: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    last: Option<String>,
}

impl Line {
    /// Starts QEMU.
    pub(crate) fn start(mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut qemu = command.spawn().map_err(|error| Error::Start {
            program: command.get_program().to_string_lossy().into_owned(),
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
            qemu,
            input,
            lines,
            last: None,
        })
    }

    /// QEMU's process.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.qemu)
    }

    /// The error that QEMU ended before something.
    pub(crate) fn ended(&self, awaited: &str) -> Error {
        Error::Ended {
            awaited: awaited.to_owned(),
            last: self.last.clone(),
        }
    }

    /// The next line, before `deadline`; `awaited` says what for.
    pub fn line(&mut self, deadline: Instant, awaited: &str) -> Result<String, Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.last = Some(line.clone());
                Ok(line)
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.ended(awaited)),
            Err(RecvTimeoutError::Timeout) => Err(Error::Silent {
                seconds: left.as_secs(),
                awaited: awaited.to_owned(),
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

    /// Sends `text`.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        let sent = self.input.write_all(text.as_bytes());
        sent.and_then(|()| self.input.flush())
            .map_err(|_| self.ended("it was written to"))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
