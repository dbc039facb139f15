//! Compiles the C++ files against the headers of libtorch, as torch-sys does its own.

use std::env;
use std::path::PathBuf;

/// What is compiled, and how far it is optimised: what only forwards calls may compile fast. Most of the time goes into
/// reading libtorch's headers, so files that are optimised alike are compiled as one.
const UNITS: [(&[&str], u32); 2] = [(&["native", "group", "sync_norm"], 1), (&["attention", "norm"], 3)];

fn main() -> std::io::Result<()> {
    for file in UNITS.iter().flat_map(|unit| unit.0) {
        println!("cargo:rerun-if-changed=src/{file}.cpp");
    }
    for other in ["src/lanes.h", "src/group.h", "src/guarded.h", "gloo"] {
        println!("cargo:rerun-if-changed={other}");
    }
    for name in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let root = env::var_os("LIBTORCH_INCLUDE").or_else(|| env::var_os("LIBTORCH"));
    let root = PathBuf::from(root.unwrap_or_else(|| "/usr".into()));
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    let [here, out] =
        ["CARGO_MANIFEST_DIR", "OUT_DIR"].map(|name| PathBuf::from(env::var_os(name).unwrap_or_default()));
    for (files, level) in UNITS {
        let unit = out.join(format!("unit_{level}.cpp"));
        let include = |file: &&str| format!("#include \"{}\"\n", here.join(format!("src/{file}.cpp")).display());
        std::fs::write(&unit, files.iter().map(include).collect::<String>())?;
        cc::Build::new()
            .cpp(true)
            .pic(true)
            .warnings(false)
            .std("c++17")
            .opt_level(level)
            // The declarations of gloo.
            .include(".")
            .include(root.join("include"))
            .include(root.join("include/torch/csrc/api/include"))
            .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
            // Before the first header, whichever file reads it.
            .define("USE_C10D_GLOO", "1")
            .file(unit)
            .compile(&format!("mobilenas_native_{level}"));
    }
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    Ok(())
}
