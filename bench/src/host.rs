//! The machine a number was measured on.

use serde::{Deserialize, Serialize};
use sysinfo::System;

/// What identifies a machine for comparing times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Model name of the processor.
    pub cpu: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Operating system and kernel.
    pub os: String,
}

impl Host {
    /// Reads this machine.
    pub fn read() -> Host {
        let system = System::new_all();
        let name = |s: Option<String>| s.unwrap_or_else(|| "unknown".to_string());
        Host {
            cpu: system.cpus().first().map_or_else(|| "unknown".to_string(), |c| c.brand().trim().to_string()),
            cores: system.cpus().len(),
            memory: system.total_memory(),
            os: format!("{} {}", name(System::long_os_version()), name(System::kernel_version())),
        }
    }
}

/// Memory this process holds now, in bytes; 0 where the system does not say.
pub fn resident_memory() -> u64 {
    let Ok(pid) = sysinfo::get_current_pid() else { return 0 };
    let mut system = System::new();
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), false);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}
