//! The machine a number was measured on.

use serde::{Deserialize, Serialize};
use sysinfo::System;

/// What identifies a machine for comparing times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Processor, cores, memory, operating system.
    #[serde(flatten)]
    pub machine: mobilenas_record::run::Host,
    /// How the kernel chooses frequencies, or `unknown`.
    #[serde(default = "unknown")]
    pub governor: String,
    /// What the machine runs on, `none seen`, or `unknown`.
    #[serde(default = "unknown")]
    pub hypervisor: String,
    /// Engines of this program with their versions.
    #[serde(default)]
    pub engines: Vec<String>,
    /// Version of this program.
    #[serde(default = "unknown")]
    pub program: String,
}

fn unknown() -> String {
    "unknown".to_string()
}

fn line_of(file: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().next()?.trim().to_string();
    (!line.is_empty()).then_some(line)
}

/// The hypervisor by what it says of itself, or that there is one.
fn hypervisor() -> String {
    let named = line_of("/sys/hypervisor/type").or_else(|| line_of("/sys/class/dmi/id/sys_vendor"));
    let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") else { return unknown() };
    let flags = info.lines().find(|l| l.starts_with("flags")).unwrap_or_default();
    match (flags.split_whitespace().any(|f| f == "hypervisor"), named) {
        (true, Some(name)) => name,
        (true, None) => "not named".to_string(),
        (false, _) => "none seen".to_string(),
    }
}

impl Host {
    /// What this machine is called; empty if it does not tell.
    pub fn name() -> String {
        System::host_name().unwrap_or_default()
    }

    /// Reads this machine; what it does not tell is `unknown` or 0.
    pub fn read() -> Host {
        let system = System::new_all().ok();
        let cpus = system.as_ref().map_or(&[][..], System::cpus);
        let os = System::long_os_version().unwrap_or_else(|_| unknown());
        let kernel = System::kernel_version().unwrap_or_else(|_| unknown());
        let governor = line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Host {
            machine: mobilenas_record::run::Host {
                cpu: cpus.first().map_or_else(unknown, |c| c.brand().trim().to_string()),
                cores: cpus.len(),
                memory: system.as_ref().map_or(0, System::total_memory),
                os: format!("{os} {kernel}"),
            },
            governor: governor.unwrap_or_else(unknown),
            hypervisor: hypervisor(),
            engines: crate::engine::ENGINES.iter().map(|e| format!("{} {}", e.name(), e.version())).collect(),
            program: env!("CARGO_PKG_VERSION").to_string(),
        }
    }

    /// What times depend on, in one line: processor, cores, governor, hypervisor.
    pub fn kind(&self) -> String {
        let Host { machine, governor, hypervisor, .. } = self;
        format!("{}, governor {governor}, hypervisor {hypervisor}", machine.caption())
    }

    /// What differs from another machine or set-up in a way that makes times incomparable, in words. The program's own
    /// version is what is under test, and memory may differ by what a kernel keeps for itself.
    pub fn differences(&self, other: &Host) -> Vec<String> {
        let mut all = Vec::new();
        let mut differ = |what: &str, a: &str, b: &str| {
            if a != b {
                all.push(format!("{what} {a} -> {b}"));
            }
        };
        let (was, is) = (&other.machine, &self.machine);
        differ("processor", &was.cpu, &is.cpu);
        differ("cores", &was.cores.to_string(), &is.cores.to_string());
        differ("system", &was.os, &is.os);
        differ("governor", &other.governor, &self.governor);
        differ("hypervisor", &other.hypervisor, &self.hypervisor);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_like_itself() {
        let host = Host::read();
        let machine = &host.machine;
        assert!(machine.cores > 0 && machine.memory > 0 && !machine.cpu.is_empty());
        assert_eq!(host.differences(&host), Vec::<String>::new());
    }

    #[test]
    fn another_processor_is_named() {
        let host = Host::read();
        let mut other = Host { program: "9".into(), ..host.clone() };
        other.machine.cpu = "Other".into();
        assert_eq!(other.differences(&host), [format!("processor {} -> Other", host.machine.cpu)]);
    }
}
