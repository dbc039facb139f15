//! Compiles the C++ files against the headers of libtorch, as torch-sys does its own.

use std::env;
use std::path::PathBuf;

fn main() {
    for file in ["native.cpp", "attention.cpp", "norm.cpp", "lanes.h"] {
        println!("cargo:rerun-if-changed=src/{file}");
    }
    for name in ["LIBTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let root = env::var_os("LIBTORCH_INCLUDE").or_else(|| env::var_os("LIBTORCH"));
    let root = PathBuf::from(root.unwrap_or_else(|| "/usr".into()));
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    // native.cpp only forwards calls, so it may compile fast; the others compute.
    for (file, level) in [("native", 1), ("attention", 3), ("norm", 3)] {
        cc::Build::new()
            .cpp(true)
            .pic(true)
            .warnings(false)
            .std("c++17")
            .opt_level(level)
            .include(root.join("include"))
            .include(root.join("include/torch/csrc/api/include"))
            .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
            .file(format!("src/{file}.cpp"))
            .compile(&format!("mobilenas_{file}"));
    }
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
}
