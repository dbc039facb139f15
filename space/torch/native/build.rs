//! Compiles the C++ files against the headers of libtorch, as torch-sys does its own.

use std::env;
use std::path::PathBuf;

/// What is compiled, and how far it is optimised: what only forwards calls may compile fast.
const FILES: [(&str, u32); 5] = [("native", 1), ("group", 1), ("sync_norm", 1), ("attention", 3), ("norm", 3)];

fn main() {
    for file in FILES {
        println!("cargo:rerun-if-changed=src/{}.cpp", file.0);
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
    for (file, level) in FILES {
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
            .file(format!("src/{file}.cpp"))
            .compile(&format!("mobilenas_{file}"));
    }
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
}
