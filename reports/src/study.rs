//! Studies: the rows of `study.jsonl`, read, and the statistics over them.

mod analysis;
mod equal_cost;
mod landmarks;
mod read;
mod repeats;

pub use analysis::{
    ComparedNetwork, Fidelity, HypervolumeBand, bands, by_size, compared_networks, fidelities, fidelities_by_space,
    pairs_won,
};
pub use equal_cost::{EqualCost, at_equal_cost};
pub use landmarks::{Corrected, corrected};
pub use mobilenas_record::study::*;
pub use read::Study;
pub use repeats::{SeedAgreement, seed_agreement};

/// The study's page below the folder that it is rendered into.
pub const INDEX: &str = "study/index.html";

/// The strategy that the others are compared with.
pub const RANDOM: &str = "random";
