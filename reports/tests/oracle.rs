//! Fronts, hypervolumes and scores against an independent implementation: what pymoo and numpy said of random sets with
//! ties, duplicates, NaN and infinities in two to four objectives. `oracle/pareto.py` makes the file.

use mobilenas_record::Goal;
use mobilenas_record::pareto::{dominates_by, front, hypervolume};
use mobilenas_record::run::Mes;
use mobilenas_record::score::mes;
use serde_json::Value;

fn stored() -> Value {
    serde_json::from_str(include_str!("oracle/pareto.json")).unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    let one = |v: &Value| v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap());
    list.as_array().unwrap().iter().map(one).collect()
}

/// Equal to within 1e-9 of the larger, and of one.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

#[test]
fn fronts_and_hypervolumes_are_pymoos() {
    let stored = stored();
    assert_eq!(stored["pymoo"], "0.6.2");
    let (mut broken, mut tied, mut by_goals) = (0, 0, [0; 5]);
    for (k, case) in stored["fronts"].as_array().unwrap().iter().enumerate() {
        let goal = |v: &Value| if v.as_bool().unwrap() { Goal::Maximize } else { Goal::Minimize };
        let goals: Vec<Goal> = case["maximise"].as_array().unwrap().iter().map(goal).collect();
        let points: Vec<Vec<f64>> = case["points"].as_array().unwrap().iter().map(numbers).collect();
        let expected: Vec<usize> =
            case["front"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
        assert_eq!(front(&points, &goals), expected, "case {k}");
        // Dominance itself: a sound point is on pymoo's front exactly if nothing dominates it.
        for (i, p) in points.iter().enumerate().filter(|(_, p)| p.iter().all(|v| v.is_finite())) {
            let beaten = points.iter().any(|other| dominates_by(other, p, &goals));
            assert_eq!(beaten, !expected.contains(&i), "case {k}, point {i}");
        }
        let volume = hypervolume(&points, &numbers(&case["reference"]), &goals);
        let said = case["hypervolume"].as_f64().unwrap();
        assert!(near(volume, said), "case {k}: {volume}, pymoo says {said}");
        broken += usize::from(points.iter().flatten().any(|v| !v.is_finite()));
        tied += usize::from(points.iter().enumerate().any(|(i, p)| points[..i].contains(p)));
        by_goals[goals.len()] += 1;
    }
    assert!(broken > 30 && tied > 60 && by_goals[2..].iter().all(|n| *n >= 30), "{broken} {tied} {by_goals:?}");
}

#[test]
fn scores_are_numpys() {
    for case in stored()["mes"].as_array().unwrap() {
        let [params, latency, unit, alpha_params, alpha_latency, score, unit_params] = numbers(&case["inputs"])[..]
        else {
            panic!("seven inputs")
        };
        let constants = Mes { score, unit_params, alpha_params, alpha_latency, reference_units: 0.9 };
        let (found, said) = (mes(&constants, params, latency, unit).unwrap(), case["mes"].as_f64().unwrap());
        assert!((found - said).abs() <= 1e-9 * said, "{found}, numpy says {said}");
    }
}
