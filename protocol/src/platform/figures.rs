//! Figures of the processors and of a process, as the system reports them.

/// The time of all processors together since the machine was started, in any unit.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// All time.
    pub all: u64,
    /// The time that the hypervisor gave to other machines.
    pub stolen: u64,
}

/// What a process and its children have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, in ns.
    pub cpu_ns: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
}
