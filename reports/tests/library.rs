//! Tests of pages, tables and what is read from runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod latex;
mod odd_journals;
mod oracle;
mod read;
mod render;
mod study;
mod synthetic;
mod table;
