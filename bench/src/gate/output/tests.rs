//! Snapshots of every output, and exit codes.
#![allow(clippy::unwrap_used)]

use super::super::finding::*;
use super::*;
use crate::host::Host;
use crate::stats::Interval;

fn report(findings: Vec<Finding>) -> Report {
    let text = |t: &str| t.to_string();
    let host = Host {
        cpu: text("Some CPU"),
        cores: 2,
        memory: 1 << 34,
        os: text("Linux 6"),
        governor: text("unknown"),
        hypervisor: text("none seen"),
        engines: vec![text("libtorch 2")],
        program: text("0.1.0"),
    };
    Report {
        schema: REPORT_SCHEMA,
        program: text("mobilenas 0.1.0"),
        host,
        baseline: Some(text("exact.json")),
        not_comparable: None,
        findings,
        samples: vec![],
        seconds: 12.0,
    }
}

fn some() -> Report {
    let effect = |middle: f64, low: f64, high: f64| {
        Some(Interval { middle: middle.ln_1p(), low: low.ln_1p(), high: high.ln_1p() })
    };
    report(vec![
        Finding::new(Tier::Exact, "net_a", "params", Verdict::Pass)
            .values(Some(10.0), Some(10.0))
            .because("unchanged", "Same. Same."),
        Finding::new(Tier::Exact, "net_a", "macs", Verdict::Pass)
            .values(Some(20.0), Some(20.0))
            .because("unchanged", "Same. Same."),
        Finding::new(Tier::Exact, "net_b", "ops", Verdict::Fail).because("conv 34 -> 35", "It differs. Bless it."),
        Finding::new(Tier::Paired, "net_a", "latency_ms", Verdict::Fail)
            .values(Some(10.0), Some(10.6))
            .effect(effect(0.06, 0.04, 0.08))
            .because("4 rounds, second run", "Slower, by 6 %: twice. So it fails."),
        Finding::new(Tier::Paired, "net_b", "latency_ms", Verdict::Inconclusive)
            .values(Some(5.0), Some(5.1))
            .effect(effect(0.02, -0.01, 0.06))
            .because("12 rounds", "Unsure. Undecided."),
        Finding::new(Tier::Exact, "net_c", "network", Verdict::Missing).because("gone", "Gone. Bless it."),
    ])
}

#[test]
fn exit_codes() {
    let of = |v: &[Verdict], rules: Rules| {
        report(v.iter().map(|v| Finding::new(Tier::Exact, "m", "x", *v)).collect()).exit_code(rules)
    };
    use Verdict::*;
    let plain = Rules::default();
    let strict = Rules { require_baseline: true, fail_on_inconclusive: true };
    assert_eq!(of(&[Pass, Warn, Inconclusive, New, Skipped], plain), 0);
    assert_eq!(of(&[Pass, Fail], plain), 3);
    assert_eq!(of(&[Pass, Missing], plain), 3, "missing is never a pass");
    assert_eq!(of(&[Pass, New], strict), 4);
    assert_eq!(of(&[Pass, Inconclusive], strict), 5);
    assert_eq!(of(&[Fail, New, Inconclusive], strict), 3);
    let other = Report { not_comparable: Some("another machine".into()), ..report(vec![]) };
    assert_eq!((other.exit_code(plain), other.exit_code(strict)), (0, 4));
}

#[test]
fn the_table() {
    insta::assert_snapshot!(table(&some()), @"");
}

#[test]
fn the_reasons() {
    insta::assert_snapshot!(why(&some()), @"");
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(markdown(&some()), @"");
}

#[test]
fn as_junit() {
    let xml = junit(&some()).unwrap();
    insta::assert_snapshot!(xml, @"");
}

#[test]
fn as_bencher_metrics() {
    insta::assert_snapshot!(format!("{:#}", bencher(&some())), @"");
}

#[test]
fn annotations_are_escaped_and_few() {
    insta::assert_snapshot!(annotations(&some()), @"");
    let many = (0..15).map(|i| Finding::new(Tier::Exact, &format!("m{i}"), "x", Verdict::Fail)).collect();
    let lines = annotations(&report(many));
    assert_eq!(lines.lines().count(), 10);
    assert!(lines.ends_with("::error title=gate::and 6 more; see the summary\n"));
}

#[test]
fn the_json_reads_back() {
    let text = serde_json::to_string(&some()).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), some());
}
