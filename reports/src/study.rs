//! Studies: the rows of `study.jsonl`, read, and what follows from them.

mod analysis;
mod read;
mod repeats;

pub use analysis::{Band, Fidelity, Standing, bands, by_size, fidelities, pairs_won, standings};
pub use mobilenas_record::study::*;
pub use read::Study;
pub use repeats::{Repeats, repeats};

/// The study's page below the folder that it is rendered into.
pub const INDEX: &str = "study/index.html";
