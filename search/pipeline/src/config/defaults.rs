//! Defaults of config fields whose types have none.

use mobilenas_record::Goal;
use mobilenas_record::metric::name as metric;

use super::search::Objective;

pub(in crate::config) fn seed() -> u64 {
    1
}

pub(in crate::config) fn threads() -> u32 {
    2
}

pub(in crate::config) fn checkpoint_seconds() -> f64 {
    20.0
}

pub(in crate::config) fn one() -> u64 {
    1
}

pub(in crate::config) fn once() -> u32 {
    1
}

pub(in crate::config) fn max_failures() -> usize {
    5
}

pub(in crate::config) fn objectives() -> Vec<Objective> {
    objectives_of(metric::TOP1)
}

/// Where a task has another metric than classification.
pub(in crate::config) fn objectives_of(primary: &str) -> Vec<Objective> {
    let of = |metric: &str, goal| Objective { metric: metric.to_string(), goal };
    vec![of(primary, Goal::Maximize), of(metric::MACS, Goal::Minimize)]
}

pub(in crate::config) fn single() -> usize {
    1
}

pub(in crate::config) fn thousandth() -> f64 {
    1e-3
}

/// Whether a number of things is none: the digest of a config without them stays.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(in crate::config) fn is_none(n: &usize) -> bool {
    *n == 0
}

pub(in crate::config) fn finetuned() -> usize {
    12
}
