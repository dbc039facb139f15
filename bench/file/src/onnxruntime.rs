//! ONNX Runtime's library, loaded on first use from the path in the environment variable [`LIBRARY`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use crate::error::first_line;

/// The variable that holds the path of ONNX Runtime's library.
pub const LIBRARY: &str = "ORT_DYLIB_PATH";

/// The library in use.
struct Library {
    path: PathBuf,
    environment: Environment,
}

/// Loads the library, once for the process.
fn library() -> Result<&'static Library, String> {
    static FOUND: OnceLock<Result<Library, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let advice = "expected the path of libonnxruntime.so there (`cargo xtask` fetches one and sets it)";
        let path = std::env::var_os(LIBRARY).filter(|v| !v.is_empty());
        let path = PathBuf::from(path.ok_or_else(|| format!("{LIBRARY} is not set, {advice}"))?);
        let whole = path.canonicalize().map_err(|e| format!("{LIBRARY}={}: {e}, {advice}", path.display()))?;
        let environment = ort::init_from(&whole).map_err(|e| format!("{LIBRARY}={}: {e}, {advice}", path.display()))?;
        let environment = environment.with_telemetry(false).build().map_err(|e| e.to_string())?;
        Ok(Library { path: whole, environment })
    });
    found.as_ref().map_err(Clone::clone)
}

/// `1.32.0` of `libonnxruntime.so.1.32.0`.
fn version_in(library: &Path) -> Option<String> {
    let name = library.file_name()?.to_str()?;
    name.split_once(".so.").map(|(_, version)| version.to_string())
}

/// The library's version.
pub fn version() -> String {
    let version = |l: &Library| version_in(&l.path).unwrap_or_else(|| ort::info().to_string());
    library().map_or_else(|_| "not here".to_string(), version)
}

/// A session with all optimisations and so many intra-op threads, before it has a model.
///
/// # Errors
/// What is wrong in one line, when the library is not here or refuses.
pub fn session(threads: usize) -> Result<SessionBuilder, String> {
    let builder = builder()?.with_intra_threads(threads).map_err(first_line)?;
    let builder = builder.with_inter_threads(1).map_err(first_line)?;
    if sums_overflow() { builder.with_precise_qmm().map_err(first_line) } else { Ok(builder) }
}

/// A session with nothing set.
///
/// # Errors
/// As for [`session`].
pub fn builder() -> Result<SessionBuilder, String> {
    Session::builder(&library()?.environment).map_err(first_line)
}

/// Whether ONNX Runtime's fast 8-bit matrix products saturate here: on x86 without VNNI. The exact ones are then used;
/// elsewhere they are only slower.
fn sums_overflow() -> bool {
    #[cfg(target_arch = "x86_64")]
    let overflow =
        !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    let overflow = false;
    overflow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_librarys_name() {
        assert_eq!(version_in(Path::new("/x/libonnxruntime.so.1.32.0")).as_deref(), Some("1.32.0"));
        assert_eq!(version_in(Path::new("/x/libonnxruntime.so")), None);
    }
}
