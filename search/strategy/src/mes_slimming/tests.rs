use super::*;
use crate::tests::rng;

/// The choices that each step of a whole search asked for, and its notes.
fn run(counts: &[u8], settings: &str, score: impl Fn(&[u8]) -> Vec<f64>) -> (Vec<Vec<Vec<u8>>>, String) {
    let kinds = ["width", "depth", "expansion", "patch"];
    let knobs = (0..counts.len()).map(|i| crate::Knob { name: i.to_string(), kind: kinds[i] }).collect();
    let objectives = ["top1", "params", "latency_ms"].map(str::to_string).to_vec();
    let space = SpaceInfo { domain: Domain::new(counts.iter().copied()), knobs, objectives };
    let mut strategy = crate::tests::config(&format!("{{\"mes_slimming\": {settings}}}")).build(&space);
    let mut steps = Vec::new();
    loop {
        let asked = strategy.ask(&space.domain, usize::MAX, &mut rng(0, 0));
        if asked.is_empty() {
            return (steps, strategy.notes().concat());
        }
        steps.push(asked.iter().map(|g| g.choices().to_vec()).collect());
        let scored = |genome: Genome| Observation { scores: Some(score(genome.choices())), genome, violation: 0.0 };
        strategy.tell(&asked.into_iter().map(scored).collect::<Vec<_>>());
    }
}

#[test]
fn takes_the_cheapest_change_until_the_target() {
    // The first knob costs nothing to lower, the second much, the third gains nothing.
    let score = |c: &[u8]| vec![f64::from(c[1]) * 10.0 + f64::from(c[2]), 6.0 - f64::from(c[0] + c[1])];
    let (steps, notes) = run(&[3, 3, 2], r#"{"target": 4}"#, score);
    assert_eq!(steps[0], [[2, 2, 1]]);
    assert_eq!(steps[1], [[1, 2, 1], [2, 1, 1], [2, 2, 0]]);
    assert_eq!(steps[2], [[0, 2, 1], [1, 1, 1], [1, 2, 0]]);
    assert_eq!((steps.len(), notes.as_str()), (3, "Slimming ended after 2 steps, when the target was reached."));
}

#[test]
fn probing_evaluates_what_is_new_and_what_was_cheapest() {
    let lost = |c: &[u8]| (1..).zip(c).map(|(cost, c)| f64::from(cost * (2 - i32::from(*c)))).sum::<f64>();
    let gained = |c: &[u8]| f64::from(8 - c.iter().sum::<u8>());
    let (steps, notes) = run(&[3; 4], r#"{"actions_per_step": 1}"#, |c| vec![100.0 - lost(c), gained(c)]);
    assert_eq!(steps[1].len(), 4, "nothing is known yet");
    assert_eq!(steps[2], [[0, 2, 2, 2], [1, 1, 2, 2]], "the next choice of the lowered knob, and the cheapest");
    assert_eq!(steps[3], [[0, 1, 2, 2]], "only the cheapest");
    assert_eq!(steps[4], [[0, 0, 2, 2], [0, 1, 1, 2]]);
    assert_eq!(notes, "Slimming ended after 8 steps, at the smallest subnet.");
    let (all, _) = run(&[3; 4], "{}", |c| vec![100.0 - lost(c), gained(c)]);
    assert!(steps.concat().len() < all.concat().len());
    // The action that was cheapest gains nothing any more: all are evaluated before the search ends.
    let no_more = |c: &[u8]| if c[0] < 2 && c[1] < 2 { -1.0 } else { gained(c) };
    let (steps, _) = run(&[3; 4], r#"{"actions_per_step": 1}"#, |c| vec![100.0 - lost(c), no_more(c)]);
    assert!(steps.concat().contains(&vec![0, 2, 0, 0]), "{steps:?}");
}

#[test]
fn lowers_only_knobs_of_its_actions() {
    let score = |c: &[u8]| vec![f64::from(c[0] + c[2]), 9.0 - f64::from(c[0] + c[1] + c[2])];
    let (steps, notes) = run(&[3; 3], r#"{"actions": ["expansion", "width"]}"#, score);
    assert!(steps.concat().iter().all(|c| c[1] == 2));
    assert_eq!(steps[1], [[1, 2, 2], [2, 2, 1]]);
    assert_eq!(notes, "Slimming ended after 4 steps, at the smallest subnet.");
}

#[test]
fn takes_lossless_changes_first_then_the_larger_gain_then_the_first() {
    // The second knob gains accuracy as it shrinks, the third and fourth lose none and gain more score.
    let score = |c: &[u8]| {
        let lost = 5.0 * f64::from(1 - c[0]) - 2.0 * f64::from(1 - c[1]);
        vec![50.0 - lost, f64::from(1 - c[0]) * 9.0 + f64::from(1 - c[1]) + 3.0 * f64::from(2 - c[2] - c[3])]
    };
    let (steps, _) = run(&[2; 4], "{}", score);
    // The third and the fourth are equal: the first in the order of genomes lowers the third.
    assert_eq!(steps[2].iter().filter(|c| c[2] == 0).count(), steps[2].len(), "{steps:?}");
    assert_eq!(steps[3].iter().filter(|c| c[2] + c[3] == 0).count(), steps[3].len(), "{steps:?}");
    assert_eq!(steps[4], [[0, 0, 0, 0]], "{steps:?}");
}

#[test]
fn gain_decides_what_guides() {
    // The first knob's choices cost accuracy alike and save parameters, the second's save latency.
    let score = |c: &[u8]| {
        let [a, b] = [f64::from(c[0]), f64::from(c[1])];
        vec![10.0 * (a + b), -(100.0 + 50.0 * a), -(1.0 + 0.25 * b)]
    };
    let first = |settings: &str| run(&[3, 3], settings, score).0.remove(2);
    let (lowered_first, lowered_second) = (vec![vec![0, 2], vec![1, 1]], vec![vec![1, 1], vec![2, 0]]);
    assert_eq!(first(r#"{"gain": {"params": 1}}"#), lowered_first);
    assert_eq!(first(r#"{"gain": {"latency_ms": 1}}"#), lowered_second);
    // By both: (200 / 150)^0.2 is a gain of 5.9 %, (1.5 / 1.25)^1 of 20 %.
    assert_eq!(first(r#"{"gain": {"params": 0.2, "latency_ms": 1}}"#), lowered_second);
    assert_eq!(first(r#"{"gain": {"params": 1, "latency_ms": 0.2}}"#), lowered_first);
    let (steps, notes) = run(&[3, 3], r#"{"gain": {"params": 1}, "target": 133}"#, score);
    assert_eq!((steps.len(), notes.as_str()), (2, "Slimming ended after 1 steps, when the target was reached."));
}

#[test]
fn gain_names_objectives_and_the_strategy() {
    let by = |settings: &str| crate::tests::config(&format!("{{\"mes_slimming\": {settings}}}"));
    let both = by(r#"{"gain": {"params": 0.5, "latency_ms": 1}}"#);
    assert_eq!(
        (both.label().as_str(), by("{}").label().as_str()),
        ("mes_slimming(latency_ms params^0.5)", "mes_slimming")
    );
    assert_eq!(both.check_objectives(&["top1", "params", "latency_ms"]), Ok(()));
    assert_eq!(both.check_second(&["top1", "params", "latency_ms"]), Ok(()));
    let message = "found top1, params, expected latency_ms among them: the gain of mes_slimming";
    assert_eq!(both.check_objectives(&["top1", "params"]).unwrap_err(), message);
    assert_eq!(by("{}").check_objectives(&["top1"]).unwrap_err(), "found a list of 1, expected 2 for mes_slimming");
}

#[test]
fn actions_that_no_knob_offers_are_a_mistake() {
    let knobs = ["width", "resolution"].map(|kind| crate::Knob { name: kind.into(), kind }).to_vec();
    let space = SpaceInfo { domain: Domain::new([1, 3]), knobs, objectives: Vec::new() };
    let mistakes = |settings: &str| crate::tests::config(&format!("{{\"mes_slimming\": {settings}}}")).validate(&space);
    assert_eq!(mistakes(r#"{"actions": ["width", "resolution"]}"#), []);
    let expected = "found top1, expected what is gained as it falls: params, macs, memory, latency_ms".to_string();
    assert_eq!(
        mistakes(r#"{"gain": {"macs": 1, "top1": 1}, "actions": ["resolution"]}"#),
        [("gain".to_string(), expected)]
    );
    let expected =
        "found depth, width, expansion, patch, expected a kind of knob with two choices in this space: resolution";
    assert_eq!(mistakes("{}"), [("actions".to_string(), expected.to_string())]);
}
