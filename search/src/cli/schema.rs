//! `mobilenas schema`

use anyhow::Result;

/// Prints the JSON schema of the configs.
///
/// # Errors
/// Never.
pub fn run() -> Result<i32> {
    println!("{}", serde_json::to_string_pretty(&crate::config::schema())?);
    Ok(0)
}
