//! What a worker says first, and whether it fits.

use serde::{Deserialize, Serialize};

/// Version of the lines that coordinator and worker exchange.
pub const PROTOCOL: u32 = 3;

/// What a worker says first. It gets jobs only if it would answer as any other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the program.
    pub program: String,
    /// [`PROTOCOL`] of the program.
    pub protocol: u32,
    /// Where it computes.
    pub device: String,
    /// Digest of the weights that it scores with; empty where it trains.
    pub weights: String,
    /// Its machine. May differ.
    #[serde(default)]
    pub host: String,
    /// Its processor. May differ, and then scores may differ in their last digits.
    #[serde(default)]
    pub cpu: String,
    /// What times on its machine depend on. May differ where none are measured.
    #[serde(default)]
    pub kind: String,
}

impl Hello {
    /// Why a worker that says this gets no jobs where `expected` is wanted; `None` if it does.
    pub fn refusal(&self, expected: &Hello) -> Option<String> {
        let fields = [
            ("program version", &self.program, &expected.program),
            ("protocol", &self.protocol.to_string(), &expected.protocol.to_string()),
            ("device", &self.device, &expected.device),
            ("weights", &self.weights, &expected.weights),
        ]
        .map(|(name, found, wanted)| (name, found.clone(), wanted.clone()));
        // Where any kind will do, none is expected.
        let kind = (!expected.kind.is_empty()).then(|| ("kind of host", self.kind.clone(), expected.kind.clone()));
        let (name, found, wanted) = fields.into_iter().chain(kind).find(|(_, found, wanted)| found != wanted)?;
        let host = if self.host.is_empty() { "its host" } else { &self.host };
        Some(format!("the worker on {host} has {name} {found:?}, expected {wanted:?}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_would_answer_otherwise_is_refused_by_name() {
        let text = |s: &str| s.to_string();
        let wanted = Hello { program: text("0.1.0"), protocol: 1, device: text("cpu"), ..Hello::default() };
        assert_eq!(Hello { host: text("n1"), cpu: text("other"), ..wanted.clone() }.refusal(&wanted), None);
        let differ = [
            (Hello { program: text("0.2.0"), ..wanted.clone() }, "has program version \"0.2.0\", expected \"0.1.0\""),
            (Hello { protocol: 9, ..wanted.clone() }, "has protocol \"9\", expected \"1\""),
            (Hello { device: text("cuda"), ..wanted.clone() }, "has device \"cuda\", expected \"cpu\""),
            (Hello { weights: text("ab"), ..wanted.clone() }, "has weights \"ab\", expected \"\""),
        ];
        assert_eq!(Hello { kind: text("old"), ..wanted.clone() }.refusal(&wanted), None, "any kind will do");
        let one_kind = Hello { kind: text("new"), ..wanted.clone() };
        let told = Hello { host: text("n7"), kind: text("old"), ..wanted.clone() }.refusal(&one_kind).unwrap();
        assert_eq!(told, "the worker on n7 has kind of host \"old\", expected \"new\"");
        for (hello, words) in differ {
            let told = Hello { host: text("n7"), ..hello }.refusal(&wanted).unwrap();
            assert_eq!(told, format!("the worker on n7 {words}"));
        }
    }
}
