//! Reads the pickles that PyTorch writes, and runs nothing in them.
//!
//! A pickle is a program for a small stack machine (Python's `pickletools` documents its opcodes). Some of them can call
//! any function of Python; here a short list of names builds dictionaries and tensors, any other name becomes an opaque
//! value, and names that start programs or load code end the reading. Containers lie in one arena and texts are shared, so
//! that neither depth nor repetition costs more than the file's bytes.

mod machine;
mod names;
mod value;

pub use machine::read;
pub use value::{Part, Pickle, Value};

#[cfg(test)]
mod tests;
