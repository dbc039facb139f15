//! Tests over layout and painting together: what a reader would see as a mistake in a plot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn x() {
    assert!(theme::fonts());
}
