//! The regression check: whether a network, or the program that runs it, has changed since a baseline.
//!
//! | tier | what is compared | may |
//! |---|---|---|
//! | 0, [`exact`] | numbers that no machine changes, and counted instructions | fail |
//! | 1, [`paired`] | times of fresh process pairs in one job | fail, after a second run |
//! | 2, [`stored`] | times against those in the baseline's file | warn |
//! | 3, history | each metric over commits; in the reports, from the JSON of this check | point out |

pub mod baseline;
pub mod count;
pub mod device_pairs;
pub mod exact;
pub mod files;
pub mod finding;
pub mod output;
pub mod paired;
pub mod process_pairs;
pub mod round;
pub mod settings;
pub mod stored;

pub use baseline::Baseline;
pub use exact::Exact;
pub use finding::{ExitRules, Finding, RegressionReport, Tier, Verdict};
