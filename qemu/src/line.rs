//! A running QEMU, and lines of text to it and from it.

use std::env;
use std::fs::{self, DirEntry};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::Error;
use crate::trace::{Account, Trace, watch_panics};

/// How long is waited at once: where the host stood still meanwhile, it counts as no more.
const SLICE: Duration = Duration::from_secs(1);
/// Of a slice in which QEMU never ran, such a part counts: so every wait ends.
const STARVED: u32 = 32;

/// A running QEMU whose standard input and output carry lines of text; it is killed when this is
/// dropped. Where a test fails, what it did is left in a file, also where it ended before.
#[derive(Debug)]
pub struct Line {
    qemu: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    trace: Trace,
    /// What it did was left in a file.
    left: bool,
    last: Option<String>,
    waited: Duration,
}

impl Line {
    /// Starts QEMU.
    pub(crate) fn start(mut command: Command) -> Result<Self, Error> {
        watch_panics();
        let trace = Trace::new(&mut command).map_err(|error| Error::File {
            doing: "make a folder for QEMU's monitor in",
            path: env::temp_dir(),
            error,
        })?;
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
            trace,
            left: false,
            last: None,
            waited: Duration::ZERO,
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

    /// Says what the test is about to do: seed, sequence. It is in the file that a failure leaves.
    pub fn note(&mut self, note: impl ToString) {
        self.trace.note(note.to_string());
    }

    /// Leaves what the board did in a file, which is named: `why`, what the test noted, QEMU's command,
    /// the last lines, and how QEMU stands.
    pub fn leave(&mut self, why: &str) -> String {
        self.left = true;
        let account = self.account();
        let state = match self.qemu.try_wait() {
            Ok(Some(status)) => format!("QEMU had ended with {status}"),
            _ => self.trace.state(),
        };
        account.leave(why, &state)
    }

    /// What the board did so far.
    fn account(&mut self) -> Account {
        while let Ok(line) = self.lines.try_recv() {
            self.trace.line('<', &line);
        }
        self.trace.account()
    }

    /// How long the board was waited for, by its own time: without the time in which it was ready to
    /// run and the host ran others, or in which the host itself stood still.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Waits, a slice at most, and counts that.
    pub(crate) fn wait<T>(
        &mut self,
        slice: Duration,
        wait: impl FnOnce(&Self, Duration) -> T,
    ) -> T {
        let slice = slice.min(SLICE);
        let (begun, delayed) = (Instant::now(), self.delayed());
        let result = wait(self, slice);
        let passed = begun.elapsed().min(slice);
        let own = passed.saturating_sub(self.delayed().saturating_sub(delayed));
        self.waited += own.max(passed / STARVED);
        result
    }

    /// How long QEMU was ready to run and did not, since it was started (schedstat, in the kernel's
    /// `Documentation/scheduler/sched-stats.rst`).
    fn delayed(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.qemu.id());
        let delay = |task: DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
        Duration::from_nanos(tasks.filter_map(delay).sum())
    }

    /// The next line, within `time` of the board's; `awaited` says what for.
    pub fn line(&mut self, time: Duration, awaited: &str) -> Result<String, Error> {
        let end = self.waited + time;
        loop {
            let left = end.saturating_sub(self.waited);
            match self.wait(left, |line, slice| line.lines.recv_timeout(slice)) {
                Ok(line) => {
                    self.trace.line('<', &line);
                    self.last = Some(line.clone());
                    return Ok(line);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(awaited)),
                Err(RecvTimeoutError::Timeout) if self.waited >= end => {
                    return Err(Error::Silent {
                        seconds: time.as_secs(),
                        awaited: awaited.to_owned(),
                        last: self.last.clone(),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// The lines up to the first that `is_last` accepts, within `time` of the board's; `awaited` says
    /// what for.
    pub fn until(
        &mut self,
        awaited: &str,
        time: Duration,
        mut is_last: impl FnMut(&str) -> bool,
    ) -> Result<Vec<String>, Error> {
        let end = self.waited + time;
        let mut lines = Vec::new();
        loop {
            let line = self.line(end.saturating_sub(self.waited), awaited)?;
            lines.push(line);
            if is_last(lines.last().expect("one was just pushed")) {
                return Ok(lines);
            }
        }
    }

    /// Sends `text`.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        self.trace.line('>', text);
        let sent = self.input.write_all(text.as_bytes());
        sent.and_then(|()| self.input.flush())
            .map_err(|_| self.ended("it was written to"))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if thread::panicking() && !self.left {
            eprintln!("{}", self.leave("the test failed"));
        }
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        if !self.left {
            self.account().keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::path::PathBuf;

    use super::*;

    /// What a thread leaves that fails while a program runs which said something, or afterwards.
    fn left(is_after: bool) -> String {
        let fails = move || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "echo one; echo two; read line"]);
            let mut line = Line::start(shell).unwrap();
            line.note("seed 7");
            for said in ["one", "two"] {
                assert_eq!(line.line(10 * SLICE, said).unwrap(), said);
            }
            let path = line.account().path().unwrap();
            if is_after {
                drop(line);
            }
            panic_any(path);
        };
        let failed = thread::spawn(fails).join().unwrap_err();
        let path = failed.downcast::<PathBuf>().unwrap();
        let text = fs::read_to_string(&*path).unwrap();
        fs::remove_file(*path).unwrap();
        text
    }

    #[test]
    fn a_test_that_fails_leaves_a_file_while_the_board_runs_and_afterwards() {
        for (is_after, state) in [
            (false, "QEMU does not say how it stands"),
            (true, "QEMU had ended before"),
        ] {
            let text = left(is_after);
            for part in ["seed 7", "\"sh\" \"-c\"", "< one\n< two\n", state] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
