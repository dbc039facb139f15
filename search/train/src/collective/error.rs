//! What keeps processes from computing together.

use mobilenas_native::NativeError;
use tch::TchError;

/// What keeps processes from computing together.
#[derive(Debug, thiserror::Error)]
pub enum CollectiveError {
    /// Some environment variables of a launcher are set, and others are not.
    #[error("{found} set without {missing}; expected {expected}")]
    HalfSet {
        /// Those that are set.
        found: String,
        /// Those that are not.
        missing: String,
        /// What was expected.
        expected: String,
    },
    /// An environment variable's value.
    #[error("{name}: found {found:?}, expected {expected}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The processes do not find each other.
    #[error("rank {rank} of {ranks} at {address}: {what}")]
    Join {
        /// This process.
        rank: usize,
        /// Processes in all.
        ranks: usize,
        /// Where they meet.
        address: String,
        /// What went wrong.
        what: String,
    },
    /// A collective failed.
    #[error("rank {rank}: {during} failed: {what}")]
    Failed {
        /// This process.
        rank: usize,
        /// The collective.
        during: &'static str,
        /// What c10d says.
        what: String,
    },
    /// Ranks were started with different things.
    #[error("{what}: found {found}, expected that of rank 0, {expected}")]
    Differs {
        /// What differs.
        what: &'static str,
        /// This rank's.
        found: String,
        /// That of rank 0.
        expected: String,
    },
    /// A step has too few images for so many ranks.
    #[error("a step has too few images for {ranks} ranks: found {images} on one of them, expected at least 2")]
    TooFewImages {
        /// The fewest that a rank gets.
        images: usize,
        /// Ranks.
        ranks: usize,
    },
    /// libtorch, outside of a collective.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// The first line of what c10d says.
pub(super) fn first_line(e: &NativeError) -> String {
    e.to_string().lines().next().unwrap_or_default().to_string()
}
