//! The device of training and scoring: the CPU or an NVIDIA GPU, with the same binary.
//!
//! The program is linked with libtorch for the CPU only. `libtorch_cuda.so` registers itself when it is loaded, and finds the
//! GPU's driver, so it is loaded from the same folder before the first tensor is made.

use std::fs;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Device;

/// The device of training and scoring. Latency is always measured on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DeviceName {
    #[default]
    Cpu,
    Cuda,
}

impl DeviceName {
    /// Its name in configs.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceName::Cpu => "cpu",
            DeviceName::Cuda => "cuda",
        }
    }
}

impl std::str::FromStr for DeviceName {
    type Err = String;

    fn from_str(word: &str) -> Result<DeviceName, String> {
        match word {
            "cpu" => Ok(DeviceName::Cpu),
            "cuda" => Ok(DeviceName::Cuda),
            _ => Err(format!("found {word:?}, expected cpu or cuda")),
        }
    }
}

/// The environment variable that names the folder of another libtorch, of the version that the program was built with.
pub const VARIABLE: &str = "MOBILENAS_LIBTORCH";

/// libtorch for NVIDIA GPUs.
const CUDA: &str = "libtorch_cuda.so";

/// A device that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("device: cuda: {found}, expected {expected}")]
pub struct DeviceError {
    found: String,
    expected: String,
}

/// The device that a config names, ready for use.
///
/// # Errors
/// When there is no GPU that this libtorch can use.
pub fn open(device: DeviceName) -> Result<Device, DeviceError> {
    open_nth(device, 0)
}

/// The device of the `nth` process of this host: processes share the GPUs that they see, in turn.
///
/// # Errors
/// As for [`open`].
pub fn open_nth(device: DeviceName, nth: usize) -> Result<Device, DeviceError> {
    match device {
        DeviceName::Cpu => Ok(Device::Cpu),
        DeviceName::Cuda => cuda(nth),
    }
}

fn cuda(nth: usize) -> Result<Device, DeviceError> {
    let fail = |found: String, expected: String| DeviceError { found, expected };
    let another = || format!("a libtorch with CUDA; {VARIABLE} names its folder");
    let folder = folder().ok_or_else(|| fail("the folder of the loaded libtorch is unknown".into(), another()))?;
    let file = folder.join(CUDA);
    if !file.exists() {
        return Err(fail(format!("{} has no {CUDA}", folder.display()), another()));
    }
    load(&file).map_err(|e| fail(format!("{} cannot be loaded ({e})", file.display()), another()))?;
    match tch::Cuda::is_available() {
        true => Ok(Device::Cuda(nth % (tch::Cuda::device_count().max(1) as usize))),
        false => Err(fail("no GPU that libtorch can use".into(), "an NVIDIA GPU with its driver".into())),
    }
}

/// Loads a library for the whole process, for its whole life.
#[cfg(unix)]
#[allow(unsafe_code)]
fn load(file: &std::path::Path) -> Result<(), libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: loading runs libtorch's own registrations, as in Python; the library is never unloaded.
    let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL)? };
    std::mem::forget(library);
    Ok(())
}

/// The folder of the libtorch that this process has loaded.
fn folder() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let file = maps.lines().filter_map(|l| l.find('/').map(|at| &l[at..])).find(|f| f.ends_with("/libtorch_cpu.so"))?;
    PathBuf::from(file).parent().map(PathBuf::from)
}

/// Waits until all work of a GPU is done; returns at once for the CPU.
pub fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libtorch_in_use_is_found() {
        assert_eq!(open(DeviceName::Cpu).unwrap(), Device::Cpu);
        // Uses libtorch, so that it is loaded whatever the linker decides.
        assert_eq!(tch::Tensor::from(1i64).numel(), 1);
        assert!(folder().unwrap().join("libtorch_cpu.so").exists());
    }
}
