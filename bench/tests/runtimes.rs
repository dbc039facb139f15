//! OpenVINO: its logits are libtorch's. And the choice of the fastest engine.

use crate::covering;
use crate::nearness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mobilenas_bench::engine::auto::fastest;
use mobilenas_bench::engine::openvino::OpenVino;
use mobilenas_bench::engine::{Engine, EngineError, Session, Setting};
use mobilenas_host::Clock;
use mobilenas_space::families::FAMILIES;
use mobilenas_space::{Space, SpaceConfig};
use mobilenas_torch::{Formula, Mode, Net, formula};
use nearness::{agree, off};
use tch::Tensor;

const RESOLUTION: u32 = 64;

fn small(family: &'static dyn mobilenas_space::families::Family) -> Net {
    let knobs = BTreeMap::from([("resolution".to_string(), vec![i64::from(RESOLUTION)])]);
    let design = SpaceConfig { family: family.name().into(), width: 0.25, divisor: 8, knobs, classes: 7 };
    let space = Space::new(&design).unwrap();
    let weights = Formula { gain: family.formula_gain() };
    Net::bind(Arc::new(space.lower(&space.smallest()).unwrap()), &weights).unwrap()
}

#[test]
fn logits_of_small_networks_are_libtorchs() {
    let _guard = tch::no_grad_guard();
    let mut wrong = Vec::new();
    for family in covering::families() {
        let net = small(*family);
        let x = formula::images(2, RESOLUTION).unwrap();
        let mut session = OpenVino.prepare(&net, Setting { batch: 2, threads: 1 }).unwrap();
        let logits = session.run(&x).unwrap();
        if let Err(line) = agree(family.name(), &net.freeze().unwrap(), &x, &logits) {
            wrong.push(line);
        }
        assert!(session.choices().contains(&("threads".to_string(), "1".to_string())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_session_runs_again_and_refuses_another_batch() {
    let _guard = tch::no_grad_guard();
    let net = small(FAMILIES[0]).freeze().unwrap();
    let x = formula::images(1, RESOLUTION).unwrap();
    let mut session = OpenVino.prepare(&net, Setting { batch: 1, threads: 2 }).unwrap();
    let first = session.run(&x).unwrap();
    let other = session.run(&(&x * 0.5)).unwrap();
    assert!(off(&first, &net.forward(&x, Mode::Eval).unwrap()) < 1e-5);
    assert!(off(&first, &other) > 1e-3, "the second images are others");
    assert!(off(&first, &session.run(&x).unwrap()) < 1e-6);
    let said = session.run(&formula::images(2, RESOLUTION).unwrap()).unwrap_err().to_string();
    assert!(said.contains("found images [2, 3, 64, 64], expected [1, 3, 64, 64]"), "{said}");
}

/// Time that engines make pass.
static MICROSECONDS: AtomicU64 = AtomicU64::new(0);

struct Passed;

impl Clock for Passed {
    fn now(&self) -> Duration {
        Duration::from_micros(MICROSECONDS.load(Ordering::Relaxed))
    }
}

/// An engine whose runs take so many microseconds; one of 0 is not here.
struct Takes(&'static str, u64);

impl Engine for Takes {
    fn name(&self) -> &'static str {
        self.0
    }

    fn version(&self) -> String {
        "1".to_string()
    }

    fn prepare(&self, _: &Net, _: Setting) -> Result<Box<dyn Session>, EngineError> {
        match self.1 {
            0 => Err(EngineError::Engine { engine: self.0, message: "not here".to_string() }),
            _ => Ok(Box::new(Takes(self.0, self.1))),
        }
    }
}

impl Session for Takes {
    fn run(&mut self, images: &Tensor) -> Result<Tensor, EngineError> {
        MICROSECONDS.fetch_add(self.1, Ordering::Relaxed);
        Ok(images.shallow_clone())
    }
}

#[test]
fn the_fastest_that_is_here_is_taken_and_told() {
    let net = small(FAMILIES[0]);
    let (setting, images) = (Setting { batch: 1, threads: 1 }, Tensor::from(1.0));
    let choose = |all: &[&'static dyn Engine]| fastest(&Passed, all, &net, setting, &images);
    static SLOW: Takes = Takes("slow", 3000);
    static FAST: Takes = Takes("fast", 1000);
    static MIDDLE: Takes = Takes("middle", 2000);
    static GONE: Takes = Takes("gone", 0);
    let orders: [[&'static dyn Engine; 4]; 3] =
        [[&SLOW, &FAST, &GONE, &MIDDLE], [&GONE, &FAST, &MIDDLE, &SLOW], [&SLOW, &GONE, &MIDDLE, &FAST]];
    for order in orders {
        let choices = choose(&order).unwrap().choices();
        assert_eq!(choices[0], ("engine".to_string(), "fast 1".to_string()));
        assert!(choices.contains(&("middle".to_string(), "2.000 ms".to_string())), "{choices:?}");
        assert!(choices.contains(&("gone".to_string(), "takes no part: engine gone: not here".to_string())));
    }
    assert_eq!(choose(&[&MIDDLE]).unwrap().choices()[0].1, "middle 1");
    let error = choose(&[&GONE]).err().unwrap();
    assert_eq!(error.to_string(), "engine gone: not here");
}
