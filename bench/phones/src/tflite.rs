//! A network as a `.tflite` file for the engine `litert`.
//!
//! Loading PyTorch and the converter takes longer than converting most networks, so the process that converts stays for
//! the next one. It ends with this one, however that ends.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use mobilenas_host::Worker;
use mobilenas_pytorch::{size, source};
use mobilenas_space::ir::{Graph, Value};
use mobilenas_torch::{Net, weights};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::cache::Cache;
use crate::error::PhonesError;
use crate::python::Python;

/// The package that converts, and others on which its result depends.
const PACKAGES: [&str; 3] = ["litert-torch", "litert-converter", "torch"];
/// A conversion that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(900);
/// The module of the source.
const NAME: &str = "network";
/// Raised when files are made otherwise.
const LAYOUT: u32 = 1;

/// A converted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tflite {
    /// The file.
    pub file: PathBuf,
    /// Whether its input is `[B, H, W, C]`, as feature maps inside a network are; an image is `[B, C, H, W]`.
    pub input_last: bool,
    /// Whether its output is `[B, H, W, C]`.
    pub output_last: bool,
    /// Which of its outputs is the network's first.
    pub output: usize,
}

/// The process that converts, and the folder of its temporary files.
struct Converter {
    worker: Worker,
    folder: TempDir,
    jobs: u64,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
}

static CONVERTER: Mutex<Option<Converter>> = Mutex::new(None);

/// The converter and its version.
///
/// # Errors
/// When there is no Python with it.
pub fn converter() -> Result<String, PhonesError> {
    Ok(format!("{} {}", PACKAGES[0], versions()?[0]))
}

fn versions() -> Result<&'static [String], PhonesError> {
    static FOUND: OnceLock<Vec<String>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let found = Python::find()?.versions(&PACKAGES)?;
    Ok(FOUND.get_or_init(|| found))
}

/// Whether a value is a feature map inside a network.
fn is_inner(value: &Value) -> bool {
    value.hw().is_some() && value.channels() != 3
}

/// A network as it is deployed, for batches of so many images: converted now, or kept from an earlier time.
///
/// # Errors
/// When the converter is not here or refuses the network, or the disk refuses.
pub fn tflite(net: &Net, batch: usize) -> Result<Tflite, PhonesError> {
    let net = net.freeze()?;
    let graph = net.graph();
    let text = source(graph, NAME)?;
    let tensors = weights::encode(NAME.as_ref(), &net.named(), &Default::default())?;
    let size = size(graph.input(), batch as u32);
    let alone = graph.outputs.len() == 1;
    let (input_last, output_last) = (is_inner(graph.input()), alone && is_inner(graph.output_value()));
    let how = json!({"size": size, "input_last": input_last, "output_last": output_last});
    let mut digest = Sha256::new();
    // The lengths keep the parts apart.
    let first = format!("{LAYOUT} {:?} {how} {} {}", versions()?, text.len(), tensors.len());
    [first.as_bytes(), text.as_bytes(), &tensors].iter().for_each(|part| digest.update(part));
    let key: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let cache = Cache::open()?;
    let file = match cache.get(&key) {
        Some(file) => file,
        None => {
            let mut slot = CONVERTER.lock().unwrap_or_else(PoisonError::into_inner);
            let mut converter = slot.take().map_or_else(|| Converter::start(&Python::find()?), Ok)?;
            let bytes = converter.convert(&text, &tensors, how);
            // One that ended or hangs is dropped: the next conversion begins with a new one.
            if !matches!(bytes, Err(PhonesError::Worker(_))) {
                *slot = Some(converter);
            }
            cache.put(&key, &bytes?)?
        }
    };
    Ok(Tflite { file, input_last, output_last, output: place(graph) })
}

/// The place of the graph's first output among those of the source, which are in the order of the nodes.
fn place(graph: &Graph) -> usize {
    let mut before: Vec<usize> = graph.outputs.iter().map(|o| o.node).filter(|node| *node < graph.output()).collect();
    before.sort_unstable();
    before.dedup();
    before.len()
}

impl Converter {
    fn start(python: &Python) -> Result<Converter, PhonesError> {
        let folder = TempDir::with_prefix("mobilenas-litert").map_err(PhonesError::io(&std::env::temp_dir()))?;
        let mut command = python.script("serve_litert.py", folder.path())?;
        // In a group of its own, Ctrl-C does not reach it: the program decides whether it goes on.
        command.stderr(Stdio::piped()).process_group(0);
        Ok(Converter { worker: Worker::start(command)?, folder, jobs: 0 })
    }

    /// The bytes of the converted file.
    fn convert(&mut self, source: &str, tensors: &[u8], how: serde_json::Value) -> Result<Vec<u8>, PhonesError> {
        self.jobs += 1;
        let folder = self.folder.path().join(self.jobs.to_string());
        let at = |name: &str| folder.join(name);
        fs::create_dir(&folder).map_err(PhonesError::io(&folder))?;
        for (name, bytes) in [("network.py", source.as_bytes()), ("network.safetensors", tensors)] {
            fs::write(at(name), bytes).map_err(PhonesError::io(&at(name)))?;
        }
        let mut job = how;
        for (key, name) in [("source", "network.py"), ("weights", "network.safetensors"), ("file", "network.tflite")] {
            job[key] = json!(at(name));
        }
        let answer: Answer = self.worker.ask(&job.to_string(), Some(LIMIT), "the end of a conversion")?;
        let made = at("network.tflite");
        let bytes = match answer.error {
            Some(said) => Err(PhonesError::Failed { said }),
            None => fs::read(&made).map_err(PhonesError::io(&made)),
        };
        let _ = fs::remove_dir_all(&folder);
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// A stand-in for Python that says when it starts and ends, refuses size 0 and ends at size 9.
    fn stand_in(dir: &Path) -> Python {
        let path = dir.join("python");
        let script = format!(
            r#"#!/bin/sh
echo start >> {log}
while read -r job; do
    file=$(echo "$job" | sed 's/.*"file":"\([^"]*\)".*/\1/')
    case "$job" in
        *'"size":[0]'*) echo '{{"error": "ValueError: nothing"}}' ;;
        *'"size":[9]'*) echo 'Killed by size' >&2; exit 3 ;;
        *) cat "$(dirname "$file")/network.py" > "$file"; echo '{{"error": null}}' ;;
    esac
done
echo end >> {log}
"#,
            log = dir.join("log").display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Python(path.into())
    }

    #[test]
    fn one_process_converts_one_after_another_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let python = stand_in(dir.path());
        let mut converter = Converter::start(&python).unwrap();
        let mut convert = |size: u32, source: &str| converter.convert(source, b"weights", json!({"size": [size]}));
        assert_eq!(convert(1, "one").unwrap(), b"one");
        assert_eq!(convert(0, "none").unwrap_err().to_string(), "the conversion failed: ValueError: nothing");
        assert_eq!(convert(2, "two").unwrap(), b"two");
        let log = || fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log(), "start\n");
        let folder = converter.folder.path().to_path_buf();
        assert!(folder.join("serve_litert.py").is_file());
        assert_eq!(fs::read_dir(&folder).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(), 0);
        drop(converter);
        assert_eq!((log().as_str(), folder.exists()), ("start\nend\n", false));
    }

    #[test]
    fn one_that_ends_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let python = stand_in(dir.path());
        let said = Converter::start(&python).unwrap().convert("", b"", json!({"size": [9]})).unwrap_err().to_string();
        let name = python.name();
        assert_eq!(said, format!("the conversion failed: {name} ended (exit status: 3): Killed by size"));
    }

    #[test]
    fn a_python_that_lacks_a_package_is_told_with_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python");
        fs::write(&path, "#!/bin/sh\necho 1; echo 'No package metadata was found for x' >&2; exit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let said = Python(path.into()).versions(&["x"]).unwrap_err().to_string();
        assert!(said.contains("No package metadata was found for x, expected a Python with the converters"), "{said}");
    }
}
