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
    /// Reads this machine; what it does not tell is `unknown` or 0.
    pub fn read() -> Host {
        let unknown = || "unknown".to_string();
        let system = System::new_all().ok();
        let cpus = system.as_ref().map_or(&[][..], System::cpus);
        let os = System::long_os_version().unwrap_or_else(|_| unknown());
        let kernel = System::kernel_version().unwrap_or_else(|_| unknown());
        Host {
            cpu: cpus.first().map_or_else(unknown, |c| c.brand().trim().to_string()),
            cores: cpus.len(),
            memory: system.as_ref().map_or(0, System::total_memory),
            os: format!("{os} {kernel}"),
        }
    }
}
