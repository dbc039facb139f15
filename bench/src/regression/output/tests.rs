//! Snapshots of every output, and exit codes.
#![allow(clippy::unwrap_used)]

use super::super::finding::*;
use super::*;
use crate::host::Host;
use crate::stats::Interval;

fn report(findings: Vec<Finding>) -> RegressionReport {
    let text = |t: &str| t.to_string();
    let host = Host {
        machine: mobilenas_record::run::Host { cpu: text("Some CPU"), cores: 2, memory: 1 << 34, os: text("Linux 6") },
        governor: text("unknown"),
        hypervisor: text("none seen"),
        engines: vec![text("libtorch 2")],
        program: text("0.1.0"),
    };
    RegressionReport {
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

fn some() -> RegressionReport {
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
    let of = |v: &[Verdict], rules: ExitRules| {
        report(v.iter().map(|v| Finding::new(Tier::Exact, "m", "x", *v)).collect()).exit_code(rules)
    };
    use Verdict::*;
    let plain = ExitRules::default();
    let strict = ExitRules { require_baseline: true, fail_on_inconclusive: true };
    assert_eq!(of(&[Pass, Warn, Inconclusive, New, Skipped], plain), 0);
    assert_eq!(of(&[Pass, Fail], plain), 3);
    assert_eq!(of(&[Pass, Missing], plain), 3, "missing is never a pass");
    assert_eq!(of(&[Pass, New], strict), 4);
    assert_eq!(of(&[Pass, Inconclusive], strict), 5);
    assert_eq!(of(&[Fail, New, Inconclusive], strict), 3);
    let other = RegressionReport { not_comparable: Some("another machine".into()), ..report(vec![]) };
    assert_eq!((other.exit_code(plain), other.exit_code(strict)), (0, 4));
}

#[test]
fn the_table() {
    insta::assert_snapshot!(table(&some()), @r#"
    verdict       tier      model  metric      change   interval            seen
    fail          0 exact   net_b  ops                                      conv 34 -> 35
    fail          1 paired  net_a  latency_ms  +6.00 %  +4.00 % to +8.00 %  4 rounds, second run
    missing       0 exact   net_c  network                                  gone
    inconclusive  1 paired  net_b  latency_ms  +2.00 %  -1.00 % to +6.00 %  12 rounds
    pass          0 exact   net_a  2 metrics                                unchanged
    check: 2 fail, 1 missing, 1 inconclusive, 2 pass (in 12 s)
    "#);
}

#[test]
fn the_reasons() {
    insta::assert_snapshot!(why(&some()), @r#"
    fail: net_b ops: It differs. Bless it.
    fail: net_a latency_ms: Slower, by 6 %: twice. So it fails.
    missing: net_c network: Gone. Bless it.
    inconclusive: net_b latency_ms: Unsure. Undecided.
    pass: 2 exact metrics: They are as in the baseline. They follow from the networks alone.
    "#);
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(markdown(&some()), @r#"
    ### check: 2 fail, 1 missing, 1 inconclusive, 2 pass (in 12 s)

    | verdict | tier | model | metric | change | interval | seen |
    |---|---|---|---|---|---|---|
    | fail | 0 exact | net_b | ops |  |  | conv 34 -> 35 |
    | fail | 1 paired | net_a | latency_ms | +6.00 % | +4.00 % to +8.00 % | 4 rounds, second run |
    | missing | 0 exact | net_c | network |  |  | gone |
    | inconclusive | 1 paired | net_b | latency_ms | +2.00 % | -1.00 % to +6.00 % | 12 rounds |

    <details><summary>passed</summary>

    | verdict | tier | model | metric | change | interval | seen |
    |---|---|---|---|---|---|---|
    | pass | 0 exact | net_a | 2 metrics |  |  | unchanged |

    </details>

    mobilenas 0.1.0; Some CPU, 2 cores, Linux 6
    "#);
}

#[test]
fn as_junit() {
    let xml = junit(&some()).unwrap();
    insta::assert_snapshot!(xml, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="mobilenas" tests="6" skipped="1" failures="3" errors="0">
        <testsuite name="mobilenas bench check" tests="6" skipped="1" errors="0" failures="3">
            <testcase name="params" classname="net_a">
                <properties>
                    <property name="tier" value="0 exact"/>
                    <property name="verdict" value="pass"/>
                    <property name="baseline" value="10"/>
                    <property name="candidate" value="10"/>
                    <property name="change" value="0"/>
                </properties>
            </testcase>
            <testcase name="macs" classname="net_a">
                <properties>
                    <property name="tier" value="0 exact"/>
                    <property name="verdict" value="pass"/>
                    <property name="baseline" value="20"/>
                    <property name="candidate" value="20"/>
                    <property name="change" value="0"/>
                </properties>
            </testcase>
            <testcase name="ops" classname="net_b">
                <properties>
                    <property name="tier" value="0 exact"/>
                    <property name="verdict" value="fail"/>
                </properties>
                <failure message="fail: conv 34 -&gt; 35" type="Changed">It differs. Bless it.</failure>
            </testcase>
            <testcase name="latency_ms" classname="net_a">
                <properties>
                    <property name="tier" value="1 paired"/>
                    <property name="verdict" value="fail"/>
                    <property name="baseline" value="10"/>
                    <property name="candidate" value="10.6"/>
                    <property name="change" value="0.06"/>
                    <property name="low" value="0.04"/>
                    <property name="high" value="0.08"/>
                </properties>
                <failure message="fail: 4 rounds, second run" type="PerformanceRegression">Slower, by 6 %: twice. So it fails.</failure>
            </testcase>
            <testcase name="latency_ms" classname="net_b">
                <properties>
                    <property name="tier" value="1 paired"/>
                    <property name="verdict" value="inconclusive"/>
                    <property name="baseline" value="5"/>
                    <property name="candidate" value="5.1"/>
                    <property name="change" value="0.02"/>
                    <property name="low" value="-0.01"/>
                    <property name="high" value="0.06"/>
                </properties>
                <skipped message="inconclusive: 12 rounds">Unsure. Undecided.</skipped>
            </testcase>
            <testcase name="network" classname="net_c">
                <properties>
                    <property name="tier" value="0 exact"/>
                    <property name="verdict" value="missing"/>
                </properties>
                <failure message="missing: gone" type="Changed">Gone. Bless it.</failure>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn as_bencher_metrics() {
    insta::assert_snapshot!(format!("{:#}", bencher(&some())), @r#"
    {
      "net_a": {
        "latency_ms": {
          "lower_value": 10.4,
          "upper_value": 10.8,
          "value": 10.6
        },
        "macs": {
          "value": 20.0
        },
        "params": {
          "value": 10.0
        }
      },
      "net_b": {
        "latency_ms": {
          "lower_value": 4.95,
          "upper_value": 5.300000000000001,
          "value": 5.1
        }
      }
    }
    "#);
}

#[test]
fn annotations_are_escaped_and_few() {
    insta::assert_snapshot!(annotations(&some()), @r#"
    ::error title=net_b ops%3A fail::conv 34 -> 35. It differs. Bless it.
    ::error title=net_a latency_ms%3A fail::4 rounds, second run. Slower, by 6 %25: twice. So it fails.
    ::error title=net_c network%3A missing::gone. Gone. Bless it.
    ::warning title=net_b latency_ms%3A inconclusive::12 rounds. Unsure. Undecided.
    "#);
    let many = (0..15).map(|i| Finding::new(Tier::Exact, &format!("m{i}"), "x", Verdict::Fail)).collect();
    let lines = annotations(&report(many));
    assert_eq!(lines.lines().count(), 10);
    assert!(lines.ends_with("::error title=check::and 6 more; see the summary\n"));
}

#[test]
fn the_json_reads_back() {
    let text = serde_json::to_string(&some()).unwrap();
    assert_eq!(serde_json::from_str::<RegressionReport>(&text).unwrap(), some());
}
