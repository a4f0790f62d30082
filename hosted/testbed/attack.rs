//! What a component under an attacker's control would try on Linux.
//!
//! Each attempt writes 1 to the first word of region `result` before it starts, and 2 and the
//! error number (or 0 where the attempt succeeded) once it is over. An attempt that the sandbox
//! kills leaves the 1.

use std::convert::Infallible;
use std::os::fd::AsRawFd as _;

use portcullis_blk::BLOCK;
use portcullis_hosted::pd::device::DISK;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::RegionMut;

use crate::talk::wait;

/// One system call by number, with up to six arguments: no wrapper does anything besides.
type Arguments = [i64; 6];

pub(crate) fn program(name: &str) -> Option<Program> {
    name.strip_prefix("attack:").map(|_| attack as Program)
}

fn attack(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    let secret = environment.region("secret");
    let attempt = environment
        .parameter("attempt")
        .expect("the test says which");
    let victim = environment.parameter("victim").unwrap_or_default() as i64;
    let mut buffer = [0_u8; 8];
    let vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut time = [0_i64; 2];
    // The driver's alone.
    let disk = (attempt >= FIRST_ON_DISK).then(|| environment.device(DISK));
    let places = Places {
        disk: disk.as_ref().map_or(-1, |file| file.as_raw_fd().into()),
        secret: secret.address() as i64,
        vector: &raw const vector as i64,
        time: &raw mut time as i64,
    };
    let (number, arguments) = attempt_of(attempt, victim, &places);
    result.store(0, 1).expect("the region has a page");
    let error = system_call(number, arguments);
    result.store(8, error).expect("the region has a page");
    result.store(0, 2).expect("the region has a page");
    wait(environment)
}

/// Addresses and descriptors that attempts use.
struct Places {
    /// The descriptor of a disk of one block.
    disk: i64,
    /// A region that the component may only read.
    secret: i64,
    /// An I/O vector of one buffer.
    vector: i64,
    /// Room for a time.
    time: i64,
}

/// The clock of the processor time of a process (clock_getcpuclockid(3)).
const fn cpu_clock(process: i64) -> i64 {
    const SCHEDULED: i64 = 2;
    !process << 3 | SCHEDULED
}

/// The system call of an attempt. The order is that of `ATTEMPTS` in `tests/sandbox.rs`,
/// and then of `GROWTHS`.
fn attempt_of(attempt: u64, victim: i64, places: &Places) -> (libc::c_long, Arguments) {
    let Places {
        disk,
        secret,
        vector,
        time,
    } = *places;
    let end = BLOCK as i64;
    let path = c"/etc/passwd".as_ptr() as i64;
    let memory = c"/proc/1/mem".as_ptr() as i64;
    let directory = c"/tmp/portcullis-attack".as_ptr() as i64;
    let null = 0;
    match attempt {
        0 => (libc::SYS_openat, [libc::AT_FDCWD.into(), path, 0, 0, 0, 0]),
        1 => (
            libc::SYS_openat,
            [libc::AT_FDCWD.into(), memory, 2, 0, 0, 0],
        ),
        2 => (
            libc::SYS_socket,
            [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0],
        ),
        3 => (libc::SYS_connect, [0, path, 16, 0, 0, 0]),
        4 => (libc::SYS_execve, [path, null, null, 0, 0, 0]),
        5 => (
            libc::SYS_ptrace,
            [libc::PTRACE_ATTACH.into(), victim, 0, 0, 0, 0],
        ),
        6 => (libc::SYS_kill, [victim, libc::SIGKILL.into(), 0, 0, 0, 0]),
        7 => (
            libc::SYS_process_vm_readv,
            [victim, vector, 1, vector, 1, 0],
        ),
        8 => (libc::SYS_mmap, [0, 4096, EXECUTE, PRIVATE, -1, 0]),
        9 => (libc::SYS_mprotect, [secret, 4096, WRITE, 0, 0, 0]),
        10 => (libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
        11 => (libc::SYS_clone3, [null, 0, 0, 0, 0, 0]),
        12 => (libc::SYS_pidfd_open, [victim, 0, 0, 0, 0, 0]),
        13 => (libc::SYS_memfd_create, [path, 0, 0, 0, 0, 0]),
        14 => (libc::SYS_sendmsg, [0, null, 0, 0, 0, 0]),
        15 => (libc::SYS_recvmsg, [0, null, 0, 0, 0, 0]),
        // Not its descriptor.
        16 => (libc::SYS_write, [1, path, 1, 0, 0, 0]),
        17 => (libc::SYS_read, [2, secret, 1, 0, 0, 0]),
        18 => (libc::SYS_pwrite64, [0, path, 1, 0, 0, 0]),
        19 => (libc::SYS_ioctl, [0, 0x5412, path, 0, 0, 0]),
        20 => (libc::SYS_io_uring_setup, [8, null, 0, 0, 0, 0]),
        21 => (libc::SYS_seccomp, [0, 0, 0, 0, 0, 0]),
        22 => (
            libc::SYS_unshare,
            [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0],
        ),
        23 => (
            libc::SYS_prctl,
            [libc::PR_SET_DUMPABLE.into(), 1, 0, 0, 0, 0],
        ),
        24 => (libc::SYS_setsid, [0; 6]),
        25 => (libc::SYS_mremap, [secret, 4096, 8192, 1, 0, 0]),
        26 => (libc::SYS_getpid, [0; 6]),
        27 => (
            libc::SYS_mkdirat,
            [libc::AT_FDCWD.into(), directory, 0o700, 0, 0, 0],
        ),
        28 => (
            libc::SYS_clock_gettime,
            [cpu_clock(victim), time, 0, 0, 0, 0],
        ),
        29 => (libc::SYS_clock_gettime, [cpu_clock(1), time, 0, 0, 0, 0]),
        30 => (
            libc::SYS_clock_gettime,
            [libc::CLOCK_BOOTTIME.into(), time, 0, 0, 0, 0],
        ),
        31 => (
            libc::SYS_clock_getres,
            [cpu_clock(victim), time, 0, 0, 0, 0],
        ),
        32 => (libc::SYS_fcntl, [0, libc::F_SETOWN.into(), victim, 0, 0, 0]),
        33 => (
            libc::SYS_madvise,
            [secret, 4096, libc::MADV_DONTNEED.into(), 0, 0, 0],
        ),
        34 => (libc::SYS_preadv, [0, vector, 1, 0, 0, 0]),
        35 => (libc::SYS_fsync, [0; 6]),
        36 => (
            libc::SYS_timerfd_create,
            [libc::CLOCK_MONOTONIC.into(), 0, 0, 0, 0, 0],
        ),
        37 => (libc::SYS_timerfd_settime, [0, 0, secret, null, 0, 0]),
        // In its place a write is allowed: what follows is refused for what it is.
        FIRST_ON_DISK => (libc::SYS_pwrite64, [disk, secret, end, 0, 0, 0]),
        39 => (libc::SYS_pwrite64, [disk, secret, end, end, 0, 0]),
        40 => (libc::SYS_ftruncate, [disk, 2 * end, 0, 0, 0, 0]),
        41 => (libc::SYS_fallocate, [disk, 0, end, end, 0, 0]),
        other => panic!("there is no attempt {other}"),
    }
}

/// The first attempt that needs a disk.
const FIRST_ON_DISK: u64 = 38;

const WRITE: i64 = (libc::PROT_READ | libc::PROT_WRITE) as i64;
const EXECUTE: i64 = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as i64;
const PRIVATE: i64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as i64;

/// The error number of a system call, or 0 where it succeeded.
fn system_call(number: libc::c_long, arguments: Arguments) -> u64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the pointers above are null, to constant text, or to a mapped page; the calls are
    // meant to be refused, and one that is not ends the test.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        return 0;
    }
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO) as u64
}
