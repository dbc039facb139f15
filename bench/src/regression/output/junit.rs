//! JUnit XML: one test case for each model and metric.

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use crate::regression::finding::{Finding, RegressionReport, Verdict};

fn status(f: &Finding) -> TestCaseStatus {
    let mut status = match f.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail | Verdict::Missing => {
            let mut s = TestCaseStatus::non_success(NonSuccessKind::Failure);
            s.set_type(if f.interval.is_some() { "PerformanceRegression" } else { "Changed" });
            s
        }
        Verdict::Warn | Verdict::Inconclusive | Verdict::New | Verdict::Skipped => TestCaseStatus::skipped(),
    };
    status.set_message(format!("{}: {}", f.verdict, f.words)).set_description(f.why.clone());
    status
}

fn case(f: &Finding) -> TestCase {
    let mut case = TestCase::new(f.metric.clone(), status(f));
    case.set_classname(f.model.clone());
    case.add_property(("tier", f.tier.to_string().as_str()));
    case.add_property(("verdict", f.verdict.word()));
    let [low, high] = f.interval.map_or([None; 2], |i| i.map(Some));
    let numbers =
        [("baseline", f.baseline), ("candidate", f.candidate), ("change", f.change), ("low", low), ("high", high)];
    for (name, value) in numbers {
        if let Some(value) = value {
            case.add_property((name, value.to_string().as_str()));
        }
    }
    case
}

/// The report as JUnit XML.
///
/// # Errors
/// Never for texts that XML can hold; others lose what it cannot.
pub fn junit(report: &RegressionReport) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new("mobilenas bench check");
    suite.add_test_cases(report.findings.iter().map(case));
    let mut xml = Xml::new("mobilenas");
    xml.add_test_suite(suite);
    xml.to_string()
}
