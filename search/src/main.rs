//! The program `mobilenas`; see the library of this package.

fn main() {
    mobilenas::main(std::env::args_os().collect())
}
