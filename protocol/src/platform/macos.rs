//! macOS: figures from `proc_pidinfo` and `sysctl`. It has no counts of TCP connections that are exact to the byte, and does not tell the
//! processors' stolen time.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::time::Duration;

use socket2::SockRef;

use super::figures::{CpuTime, Usage};
pub use super::timer::Timer;
pub use super::unix::*;
use crate::ledger::KernelCount;

fn task() -> Option<libc::proc_taskinfo> {
    // SAFETY: the structure consists of numbers, for which zero is valid.
    #[allow(unsafe_code)]
    let mut info: libc::proc_taskinfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::proc_taskinfo>() as c_int;
    // SAFETY: the kernel writes at most `size` bytes to `info`, which has as many.
    #[allow(unsafe_code)]
    let written = unsafe {
        let pid = libc::getpid();
        libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, (&raw mut info).cast::<c_void>(), size)
    };
    (written == size).then_some(info)
}

/// The value of a variable of the system, at most 256 bytes.
fn variable(name: &CStr) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; 256];
    let mut length = bytes.len();
    // SAFETY: the name ends with a zero, and the kernel writes at most `length` bytes to `bytes`, which has as many.
    #[allow(unsafe_code)]
    let status = unsafe {
        libc::sysctlbyname(name.as_ptr(), bytes.as_mut_ptr().cast(), &raw mut length, std::ptr::null_mut(), 0)
    };
    bytes.truncate(length);
    (status == 0).then_some(bytes)
}

/// The resident memory of this process, in bytes.
pub fn resident_bytes() -> Option<u64> {
    Some(task()?.pti_resident_size)
}

/// Context switches of this process.
pub fn context_switches() -> Option<u64> {
    Some(task()?.pti_csw as u64)
}

/// How many files a process has open; not known on this system.
pub fn open_files(_pid: u32) -> Option<usize> {
    None
}

/// Sleeps end on time without further measures.
pub fn sleep_precisely() {}

/// The processor's name.
pub fn cpu_name() -> Option<String> {
    let name = variable(c"machdep.cpu.brand_string")?;
    Some(CStr::from_bytes_until_nul(&name).ok()?.to_string_lossy().into_owned())
}

/// The machine's memory, in bytes.
pub fn memory_bytes() -> Option<u64> {
    Some(u64::from_ne_bytes(variable(c"hw.memsize")?.try_into().ok()?))
}

/// The time during which a task waited for a processor; not known on this system.
pub fn cpu_pressure_us() -> Option<u64> {
    None
}

/// The processors' time; the stolen time is not known on this system.
pub fn cpu_time() -> Option<CpuTime> {
    None
}

/// What another process has used; not measured on this system.
pub fn usage(_pid: u32) -> Option<Usage> {
    None
}

/// This system has no such timeout for a connection. Deliveries have a timeout of their own.
///
/// # Errors
/// None on this system.
pub fn set_user_timeout(_socket: SockRef<'_>, _timeout: Duration) -> io::Result<()> {
    Ok(())
}

/// What the kernel has counted on a TCP connection; not known on this system.
pub fn tcp_counts(_socket: SockRef<'_>, _ended: bool) -> Option<KernelCount> {
    None
}
