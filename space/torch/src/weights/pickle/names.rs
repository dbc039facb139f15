//! Names of classes and functions in pickles: those that mean something here, and those that mean harm.

/// The dictionaries that state dicts are.
pub const DICTS: [&str; 2] = ["collections.OrderedDict", "collections.defaultdict"];

/// The functions that rebuild a tensor from a storage.
pub const TENSORS: [&str; 2] = ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor"];

/// The functions that make a parameter of a tensor, their first argument.
pub const PARAMETERS: [&str; 2] = ["torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"];

/// Rebuilds a tensor with attributes: (function, class, its arguments, attributes).
pub const TENSOR_OF_CLASS: &str = "torch._tensor._rebuild_from_type_v2";

/// A tuple of sizes.
pub const SIZE: &str = "torch.Size";

/// Makes an object of the class that is its first argument.
pub const RECONSTRUCTOR: &str = "copyreg._reconstructor";

/// Modules that start programs, load code, or reach beyond the process.
const MODULES: [&str; 12] =
    ["os", "posix", "nt", "subprocess", "sys", "pty", "runpy", "shutil", "socket", "ctypes", "importlib", "webbrowser"];

/// Built-in functions that run code or open files.
const FUNCTIONS: [&str; 7] = ["eval", "exec", "execfile", "compile", "open", "__import__", "breakpoint"];

/// Whether a pickle that names this was made to do harm where it is loaded. Here nothing of it is run in any case.
pub fn harmful(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or_default();
    MODULES.contains(&root) || (["builtins", "__builtin__"].contains(&root) && FUNCTIONS.contains(&name))
}
