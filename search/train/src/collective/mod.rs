//! Training on several processes, one for each device: PyTorch's own collectives, started by what people have.

mod environment;
mod error;
mod gloo;
mod interface;
mod link;
mod local;

pub use environment::Ranks;
pub use error::CollectiveError;
pub use gloo::Gloo;
pub use interface::Collective;
pub use local::Local;
