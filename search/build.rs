//! Lets the program find libtorch without an environment variable.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        // Beside the program first: so a folder that holds both runs anywhere.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/torch/lib:{libtorch}/lib");
    }
}
