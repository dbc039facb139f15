//! LiteRT's library, loaded on first use from the path in the environment variable [`LIBRARY`]: its C functions, as far as
//! they are needed to run a file on the CPU.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::OnceLock;

use libloading::Library;

use crate::error::first_line;

/// The variable that holds the path of LiteRT's library.
pub const LIBRARY: &str = "MOBILENAS_LITERT";
/// The library's name.
const NAME: &str = "libLiteRt.so";

type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident($($argument:ty),*);)*) => {
        /// The functions in use; each gives 0 if all went well.
        #[allow(non_snake_case)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Functions {
            /// Looks them all up.
            #[allow(unsafe_code)]
            fn of(library: &Library) -> Result<Functions, String> {
                Ok(Functions {
                    // SAFETY: these are the signatures of LiteRT 2's headers; the library is never unloaded.
                    $($name: unsafe { *library.get(concat!(stringify!($name), "\0")).map_err(first_line)? },)*
                })
            }
        }
    };
}

functions! {
    LiteRtCreateEnvironment(c_int, *const EnvironmentOption, *mut Handle);
    LiteRtCreateModelFromFile(Handle, *const c_char, *mut Handle);
    LiteRtCreateOptions(*mut Handle);
    LiteRtSetOptionsHardwareAccelerators(Handle, c_int);
    LiteRtCreateOpaqueOptions(*const c_char, Handle, Option<unsafe extern "C" fn(Handle)>, *mut Handle);
    LiteRtAddOpaqueOptions(Handle, Handle);
    LiteRtCreateCompiledModel(Handle, Handle, Handle, *mut Handle);
    LiteRtCompiledModelIsFullyAccelerated(Handle, *mut bool);
    LiteRtGetModelSignature(Handle, usize, *mut Handle);
    LiteRtGetNumSignatureInputs(Handle, *mut usize);
    LiteRtGetNumSignatureOutputs(Handle, *mut usize);
    LiteRtGetSignatureInputName(Handle, usize, *mut *const c_char);
    LiteRtGetSignatureOutputName(Handle, usize, *mut *const c_char);
    LiteRtGetSignatureInputTensorByIndex(Handle, usize, *mut Handle);
    LiteRtGetSignatureOutputTensorByIndex(Handle, usize, *mut Handle);
    LiteRtGetRankedTensorType(Handle, *mut TensorType);
    LiteRtGetCompiledModelInputBufferRequirements(Handle, usize, usize, *mut Handle);
    LiteRtGetCompiledModelOutputBufferRequirements(Handle, usize, usize, *mut Handle);
    LiteRtCreateManagedTensorBufferFromRequirements(Handle, *const TensorType, Handle, *mut Handle);
    LiteRtGetTensorBufferPackedSize(Handle, *mut usize);
    LiteRtLockTensorBuffer(Handle, *mut *mut c_void, c_int);
    LiteRtUnlockTensorBuffer(Handle);
    LiteRtRunCompiledModel(Handle, usize, usize, *mut Handle, usize, *mut Handle);
}

/// The functions that free, and cannot fail.
struct Frees {
    tensor_buffer: Free,
    compiled_model: Free,
    options: Free,
    model: Free,
}

type Free = unsafe extern "C" fn(Handle);

impl Frees {
    #[allow(unsafe_code)]
    fn of(library: &Library) -> Result<Frees, String> {
        // SAFETY: as for the other functions.
        let free = |name: &CStr| unsafe { Ok::<Free, String>(*library.get(name).map_err(first_line)?) };
        Ok(Frees {
            tensor_buffer: free(c"LiteRtDestroyTensorBuffer")?,
            compiled_model: free(c"LiteRtDestroyCompiledModel")?,
            options: free(c"LiteRtDestroyOptions")?,
            model: free(c"LiteRtDestroyModel")?,
        })
    }
}

/// The kind and sizes of a tensor, which only the library reads; larger than it is there.
#[repr(C, align(8))]
struct TensorType([u8; 256]);

/// A whole number that an environment is told.
#[repr(C)]
struct EnvironmentOption {
    tag: c_int,
    kind: i64,
    value: i64,
}

impl EnvironmentOption {
    fn new(tag: c_int, value: i64) -> EnvironmentOption {
        EnvironmentOption { tag, kind: WHOLE, value }
    }
}

/// Kinds of options, and the one of whole numbers.
const WHOLE: i64 = 2;
const ACCELERATORS: c_int = 24;
const LEAST_SEVERITY: c_int = 25;
/// The CPU among the kinds of accelerators.
const CPU: c_int = 1;
/// The name of the CPU's options.
const CPU_OPTIONS: &CStr = c"xnnpack";
/// The library's own log is silent: what it has to say of a file comes back as a status.
const SILENT: i64 = 4;
/// How a buffer is locked.
const READ: c_int = 0;
const WRITE: c_int = 1;

/// The loaded library.
struct Loaded {
    functions: Functions,
    frees: Frees,
    /// A handle, which may be used by any thread.
    environment: usize,
    version: String,
}

#[allow(unsafe_code)]
fn library() -> Result<&'static Loaded, String> {
    static FOUND: OnceLock<Result<Loaded, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let advice = format!("expected the path of {NAME} there (`cargo xtask` fetches one and sets it)");
        let path = std::env::var_os(LIBRARY).filter(|v| !v.is_empty());
        let path = PathBuf::from(path.ok_or_else(|| format!("{LIBRARY} is not set, {advice}"))?);
        let refuse = |e: &dyn std::fmt::Display| format!("{LIBRARY}={}: {}, {advice}", path.display(), first_line(e));
        let whole = path.canonicalize().map_err(|e| refuse(&e))?;
        // SAFETY: loading runs the library's own initialisers.
        let library = unsafe { Library::new(&whole) }.map_err(|e| refuse(&e))?;
        let functions = Functions::of(&library).map_err(|e| refuse(&e))?;
        let frees = Frees::of(&library).map_err(|e| refuse(&e))?;
        // It is in use as long as the process lives.
        std::mem::forget(library);
        let options =
            [EnvironmentOption::new(LEAST_SEVERITY, SILENT), EnvironmentOption::new(ACCELERATORS, i64::from(CPU))];
        let (n, mut environment) = (options.len() as c_int, null_mut());
        // SAFETY: there are as many options as it is told; the handle is written.
        let status = unsafe { (functions.LiteRtCreateEnvironment)(n, options.as_ptr(), &mut environment) };
        ok("environment", status)?;
        Ok(Loaded { functions, frees, environment: environment as usize, version: version_at(&whole) })
    });
    found.as_ref().map_err(Clone::clone)
}

/// The version of the Python package that the library is in: the library itself does not tell.
fn version_at(library: &Path) -> String {
    let packages = library.parent().and_then(Path::parent);
    let entries = packages.and_then(|p| std::fs::read_dir(p).ok()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let version = |name: String| Some(name.strip_prefix("ai_edge_litert-")?.strip_suffix(".dist-info")?.to_string());
    names.filter_map(version).next().unwrap_or_else(|| "of unknown version".to_string())
}

fn ok(what: &str, status: c_int) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("{what}: status {status}")) }
}

/// The library's version, or that it is not here.
pub fn version() -> String {
    library().map_or_else(|_| "not here".to_string(), |l| l.version.clone())
}

/// Whether the library is here.
///
/// # Errors
/// What is wrong in one line, when it is not.
pub fn here() -> Result<(), String> {
    library().map(drop)
}

/// A tensor that goes in or comes out: its name in the signature, and its buffer.
struct Slot {
    name: String,
    buffer: Handle,
}

/// A model that is ready to run.
pub struct Ready {
    library: &'static Loaded,
    /// Null until it is made, as the next two.
    model: Handle,
    options: Handle,
    compiled: Handle,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
    /// Whether all operators run on XNNPACK.
    pub accelerated: bool,
}

#[allow(unsafe_code)]
impl Ready {
    /// Compiles a file for the CPU with so many threads.
    ///
    /// # Errors
    /// What is wrong in one line, when the library is not here or refuses.
    pub fn load(file: &Path, threads: usize) -> Result<Ready, String> {
        let library = library()?;
        let (f, environment) = (&library.functions, library.environment as Handle);
        let name = file.to_str().and_then(|name| CString::new(name).ok());
        let name = name.ok_or("found a name that is not UTF-8, expected one that is")?;
        // What the options point to is never freed.
        let threads = CString::new(format!("num_threads = {threads}")).map_err(first_line)?.into_raw();
        let mut all = Ready {
            library,
            model: null_mut(),
            options: null_mut(),
            compiled: null_mut(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            accelerated: false,
        };
        let (mut own, mut signature) = (null_mut(), null_mut());
        // SAFETY: handles come from the calls before; texts end in 0 and outlive the call, or the process.
        unsafe {
            ok("the file", (f.LiteRtCreateModelFromFile)(environment, name.as_ptr(), &mut all.model))?;
            ok("options", (f.LiteRtCreateOptions)(&mut all.options))?;
            ok("options", (f.LiteRtSetOptionsHardwareAccelerators)(all.options, CPU))?;
            let keep = Some(keep as Free);
            ok("threads", (f.LiteRtCreateOpaqueOptions)(CPU_OPTIONS.as_ptr(), threads.cast(), keep, &mut own))?;
            ok("threads", (f.LiteRtAddOpaqueOptions)(all.options, own))?;
            let compile = f.LiteRtCreateCompiledModel;
            ok("compiling", compile(environment, all.model, all.options, &mut all.compiled))?;
            ok("compiling", (f.LiteRtCompiledModelIsFullyAccelerated)(all.compiled, &mut all.accelerated))?;
            ok("signature", (f.LiteRtGetModelSignature)(all.model, 0, &mut signature))?;
        }
        all.inputs = all.slots(signature, true)?;
        all.outputs = all.slots(signature, false)?;
        Ok(all)
    }

    /// The tensors of a signature with buffers as the compiled model wants them.
    fn slots(&self, signature: Handle, inputs: bool) -> Result<Vec<Slot>, String> {
        let (f, environment) = (&self.library.functions, self.library.environment as Handle);
        let (count, named, tensor_at, required) = match inputs {
            true => (
                f.LiteRtGetNumSignatureInputs,
                f.LiteRtGetSignatureInputName,
                f.LiteRtGetSignatureInputTensorByIndex,
                f.LiteRtGetCompiledModelInputBufferRequirements,
            ),
            false => (
                f.LiteRtGetNumSignatureOutputs,
                f.LiteRtGetSignatureOutputName,
                f.LiteRtGetSignatureOutputTensorByIndex,
                f.LiteRtGetCompiledModelOutputBufferRequirements,
            ),
        };
        let (mut n, mut all) = (0, Vec::new());
        // SAFETY: the handle is a signature of the model.
        ok("signature", unsafe { count(signature, &mut n) })?;
        for i in 0..n {
            let (mut name, mut tensor, mut requirements, mut buffer) =
                (std::ptr::null(), null_mut(), null_mut(), null_mut());
            let mut kind = TensorType([0; 256]);
            // SAFETY: `i` is below the number of tensors; what is written fits; names end in 0 and live as the model.
            let name = unsafe {
                ok("name", named(signature, i, &mut name))?;
                ok("tensor", tensor_at(signature, i, &mut tensor))?;
                ok("tensor", (f.LiteRtGetRankedTensorType)(tensor, &mut kind))?;
                ok("buffer", required(self.compiled, 0, i, &mut requirements))?;
                let make = f.LiteRtCreateManagedTensorBufferFromRequirements;
                ok("buffer", make(environment, &kind, requirements, &mut buffer))?;
                CStr::from_ptr(name).to_string_lossy().into_owned()
            };
            all.push(Slot { name, buffer });
        }
        Ok(all)
    }

    /// Names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|slot| slot.name.as_str())
    }

    /// Gives an input its values.
    ///
    /// # Errors
    /// When there is no such input, or it has another size.
    pub fn set(&mut self, name: &str, values: &[u8]) -> Result<(), String> {
        let slot = self.inputs.iter().find(|slot| slot.name == name);
        let slot = slot.ok_or_else(|| format!("found no input {name} in the signature"))?;
        self.locked(slot, WRITE, |place, n| {
            if n != values.len() {
                return Err(format!("found {} bytes for input {name}, expected {n}", values.len()));
            }
            // SAFETY: the buffer is locked for writing and has `n` bytes.
            unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), place, n) };
            Ok(())
        })
    }

    /// The bytes of an output.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn get(&self, at: usize) -> Result<Vec<u8>, String> {
        let slot = self.outputs.get(at).ok_or("found no such output")?;
        // SAFETY: the buffer is locked for reading and has `n` bytes.
        self.locked(slot, READ, |place, n| Ok(unsafe { std::slice::from_raw_parts(place, n) }.to_vec()))
    }

    /// Fills the only input, which has to be of 32-bit floats.
    ///
    /// # Errors
    /// When there are several, or what fills it refuses.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [f32]) -> Result<(), String>) -> Result<(), String> {
        let [slot] = &self.inputs[..] else {
            return Err(format!("found {} inputs in the signature, expected 1", self.inputs.len()));
        };
        self.locked(slot, WRITE, |place, n| match place.align_offset(align_of::<f32>()) {
            // SAFETY: the buffer is locked for writing, has `n` bytes, and begins where a float may.
            0 => fill(unsafe { std::slice::from_raw_parts_mut(place.cast(), n / size_of::<f32>()) }),
            _ => Err("found a buffer that begins within a float".to_string()),
        })
    }

    fn locked<R>(
        &self,
        slot: &Slot,
        how: c_int,
        act: impl FnOnce(*mut u8, usize) -> Result<R, String>,
    ) -> Result<R, String> {
        let f = &self.library.functions;
        let (mut n, mut place) = (0, null_mut());
        // SAFETY: the handle is a buffer of this model.
        unsafe {
            ok("buffer", (f.LiteRtGetTensorBufferPackedSize)(slot.buffer, &mut n))?;
            ok("buffer", (f.LiteRtLockTensorBuffer)(slot.buffer, &mut place, how))?;
        }
        let done = act(place.cast(), n);
        // SAFETY: it was locked.
        ok("buffer", unsafe { (f.LiteRtUnlockTensorBuffer)(slot.buffer) })?;
        done
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn run(&mut self) -> Result<(), String> {
        let mut inputs: Vec<Handle> = self.inputs.iter().map(|slot| slot.buffer).collect();
        let mut outputs: Vec<Handle> = self.outputs.iter().map(|slot| slot.buffer).collect();
        let run = self.library.functions.LiteRtRunCompiledModel;
        // SAFETY: as many buffers as the signature has, in its order.
        let status =
            unsafe { run(self.compiled, 0, inputs.len(), inputs.as_mut_ptr(), outputs.len(), outputs.as_mut_ptr()) };
        ok("running", status)
    }
}

#[allow(unsafe_code)]
impl Drop for Ready {
    fn drop(&mut self) {
        let frees = &self.library.frees;
        // SAFETY: each is freed once, what was made last first; nothing uses them afterwards.
        unsafe {
            self.inputs.iter().chain(&self.outputs).for_each(|slot| (frees.tensor_buffer)(slot.buffer));
            for (free, handle) in
                [(frees.compiled_model, self.compiled), (frees.options, self.options), (frees.model, self.model)]
            {
                if !handle.is_null() {
                    free(handle);
                }
            }
        }
    }
}

/// Frees nothing.
#[allow(unsafe_code)]
unsafe extern "C" fn keep(_: Handle) {}
