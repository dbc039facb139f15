//! The page's script, inside the page. The content security policy allows only this script, by its hash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const PARTS: [&str; 6] = [
    include_str!("script/base.js"),
    include_str!("script/plot.js"),
    include_str!("script/draw.js"),
    include_str!("script/label.js"),
    include_str!("script/inspect.js"),
    include_str!("script/start.js"),
];

/// The script as one text.
fn text() -> String {
    format!("(() => {{\n\"use strict\";\n{}}})();\n", PARTS.concat())
}

/// The script's element, the last in the body.
pub(super) fn element() -> String {
    format!("<script>{}</script>\n", text())
}

/// The page's content security policy: no network, inline styles, this script only.
pub(super) fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(text().as_bytes()));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    )
}
