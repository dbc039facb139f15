//! The fastest engine for each network, by measuring those that are here interleaved.

use mobilenas_host::{Clock, WallClock};
use mobilenas_torch::Net;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use tch::Tensor;

use super::libtorch::Libtorch;
use super::onnxruntime::OnnxRuntime;
use super::openvino::OpenVino;
use super::{Engine, EngineError, Session, Setting, blank};
use crate::interleaved::{Interleaving, interleave};
use crate::stats::median;

/// Whichever of [`CANDIDATES`] is fastest for the network at hand. What it took is the first of a record's choices.
#[derive(Clone, Copy, Debug)]
pub struct Auto;

/// The name, which some uses have to refuse.
pub const NAME: &str = "auto";
/// The engines in question: each in float32, and tuned as far as it can be.
const CANDIDATES: [&dyn Engine; 3] = [&Libtorch, &OnnxRuntime, &OpenVino];
/// Short, since a search does this for every network. The first candidate is the reference of every round.
const ROUNDS: Interleaving = Interleaving { rounds: 15, warm: 3, lead: 1, again: false, references: 1 };

impl Engine for Auto {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        let all = CANDIDATES.map(|e| format!("{} {}", e.name(), e.version()));
        format!("of {}", all.join(", "))
    }

    fn prepare(&self, net: &Net, setting: Setting) -> Result<Box<dyn Session>, EngineError> {
        let images = blank(net, setting.batch)?;
        fastest(&WallClock::default(), &CANDIDATES, net, setting, &images)
    }
}

/// The session of the fastest engine. Engines that are not here, or refuse the network, take no part.
///
/// # Errors
/// When none takes part, or one refuses to run.
pub fn fastest(
    clock: &dyn Clock,
    candidates: &[&'static dyn Engine],
    net: &Net,
    setting: Setting,
    images: &Tensor,
) -> Result<Box<dyn Session>, EngineError> {
    let mut sessions: Vec<(&dyn Engine, Box<dyn Session>)> = Vec::new();
    let (mut told, mut last) = (Vec::new(), None);
    for engine in candidates.iter().copied() {
        match engine.prepare(net, setting) {
            Ok(session) => sessions.push((engine, session)),
            Err(e) => {
                told.push((engine.name().to_string(), format!("takes no part: {e}")));
                last = Some(e);
            }
        }
    }
    let Some(n) = sessions.len().checked_sub(1) else {
        let none = || EngineError::Engine { engine: NAME, message: "found no engine, expected one".to_string() };
        return Err(last.unwrap_or_else(none));
    };
    // Number n is the reference of the interleaving: the first that is here.
    let at = |i: usize| (i + 1) % (n + 1);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let run = |i: usize| sessions[at(i)].1.run(images).map(drop);
    let (series, reference) = interleave(clock, ROUNDS, n, &mut rng, |_| Ok(()), run)?;
    let mut medians = vec![(0, median(&reference).unwrap_or(f64::NAN), 1.0)];
    medians.extend(series.iter().enumerate().map(|(i, s)| (at(i), median(&s.ms).unwrap_or(f64::NAN), s.ratio())));
    let best = medians.iter().min_by(|a, b| a.2.total_cmp(&b.2)).map_or(0, |(at, ..)| *at);
    told.extend(medians.iter().map(|(at, ms, _)| (sessions[*at].0.name().to_string(), format!("{ms:.3} ms"))));
    let (engine, session) = sessions.swap_remove(best);
    let mut choices = vec![("engine".to_string(), format!("{} {}", engine.name(), engine.version()))];
    choices.append(&mut told);
    choices.extend(session.choices());
    Ok(Box::new(Chosen { session, choices }))
}

struct Chosen {
    session: Box<dyn Session>,
    choices: Vec<(String, String)>,
}

impl Session for Chosen {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        self.session.run(images)
    }

    fn peak_bytes(&mut self, images: &Tensor) -> Result<Option<u64>, EngineError> {
        self.session.peak_bytes(images)
    }

    fn choices(&self) -> Vec<(String, String)> {
        self.choices.clone()
    }
}
