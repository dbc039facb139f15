//! The metrics that reports show and how they write them. Tables, axes and texts iterate these; nothing else names the
//! accuracy of a task.

use mobilenas_record::metric::{LATENCY, MACS, MEMORY, MES, PARAMS};
use mobilenas_record::{Goal, MetricInfo, Stage, text};

use crate::plot::{Axis, NumberFormat};

/// The accuracy that ranks candidates: on the search-validation split, with weights inherited from the supernet.
pub const ACCURACY: MetricInfo =
    MetricInfo { name: "top1", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Top-1" };

/// The accuracy on the test split after retraining.
pub const TEST_ACCURACY: MetricInfo =
    MetricInfo { name: "test_top1", goal: Goal::Maximize, unit: "%", stage: Stage::Trained, label: "Test top-1" };

/// What int8 files are judged by, of candidates and of winners, in the order of [`JUDGED`].
pub const INT8: [[MetricInfo; 2]; 3] = [
    [int8(ACCURACY, "top1_int8", "Top-1 int8"), int8(TEST_ACCURACY, "test_top1_int8", "Test top-1 int8")],
    [int8(ACCURACY, "map_int8", "mAP int8"), int8(TEST_ACCURACY, "test_map_int8", "Test mAP int8")],
    [int8(ACCURACY, "miou_int8", "mIoU int8"), int8(TEST_ACCURACY, "test_miou_int8", "Test mIoU int8")],
];

const fn int8(like: MetricInfo, name: &'static str, label: &'static str) -> MetricInfo {
    MetricInfo { name, stage: Stage::Quantized, label, ..like }
}

/// The metrics that a run's candidates and its winners are judged by, classification's first.
static JUDGED: [[MetricInfo; 2]; 3] = [
    [ACCURACY, TEST_ACCURACY],
    [
        MetricInfo { name: "map", label: "mAP", ..ACCURACY },
        MetricInfo { name: "test_map", label: "Test mAP", ..TEST_ACCURACY },
    ],
    [
        MetricInfo { name: "miou", label: "mIoU", ..ACCURACY },
        MetricInfo { name: "test_miou", label: "Test mIoU", ..TEST_ACCURACY },
    ],
];

/// The metrics of a run whose header names the first, and of its winners on the test split.
pub fn judged(name: &str) -> &'static [MetricInfo; 2] {
    JUDGED.iter().find(|pair| pair[0].name == name).unwrap_or(&JUDGED[0])
}

/// The metric of winners' int8 files on the test split, of a run whose header names the first metric.
pub fn judged_in_int8(name: &str) -> &'static MetricInfo {
    let at = JUDGED.iter().position(|pair| pair[0].name == name).unwrap_or_default();
    &INT8[at][1]
}

/// What every network has beside its accuracy, in the order of tables.
pub const OTHERS: [MetricInfo; 8] = [INT8[0][0], INT8[1][0], INT8[2][0], LATENCY, PARAMS, MACS, MEMORY, MES];

/// Whether tables leave the metric out where no network has it.
pub fn is_optional(metric: &MetricInfo) -> bool {
    metric.name == MEMORY.name || metric.stage == Stage::Quantized
}

/// A metric that reports know, by its name.
pub fn known(name: &str) -> Option<&'static MetricInfo> {
    let int8 = INT8.iter().map(|[_, test]| test);
    JUDGED.iter().flatten().chain(&OTHERS).chain(int8).find(|m| m.name == name)
}

/// How a metric's values are written.
pub fn format(metric: &MetricInfo) -> NumberFormat {
    match (metric.unit, metric.name) {
        ("%", _) => NumberFormat::Percent,
        ("bytes", _) => NumberFormat::Bytes,
        (_, name) if name == MES.name => NumberFormat::Score,
        (_, name) if name == PARAMS.name || name == MACS.name => NumberFormat::Count,
        _ => NumberFormat::Plain,
    }
}

/// A value without its unit, as tables show it: `71.80`, `5.58 M`; bytes have theirs.
pub fn number(metric: &MetricInfo, value: f64) -> String {
    match format(metric) {
        NumberFormat::Percent => format!("{value:.2}"),
        NumberFormat::Score => format!("{value:.1}"),
        NumberFormat::Count => text::count(value),
        NumberFormat::Bytes => text::bytes(value),
        NumberFormat::Plain => text::significant(value, 3),
    }
}

/// A value as a sentence shows it: `71.80 %`, `0.92 ms`, `5.58 M parameters`.
pub fn quantity(metric: &MetricInfo, value: f64) -> String {
    let number = number(metric, value);
    match metric.unit {
        "" => format!("{number} {}", noun(metric)),
        "bytes" => number,
        unit => format!("{number} {unit}"),
    }
}

/// The metric's name within a sentence: `top-1`, `MACs`.
pub fn noun(metric: &MetricInfo) -> String {
    if metric.name == MES.name { "MES".to_owned() } else { metric.noun() }
}

/// The metric as an axis of a plot, with the name of the files of its chart.
pub fn axis(metric: &MetricInfo, label: &str, file: &'static str, values: Vec<Option<f64>>) -> Axis {
    Axis {
        name: noun(metric),
        label: label.to_owned(),
        unit: if metric.unit == "ms" { metric.unit } else { "" },
        format: format(metric),
        goal: metric.goal,
        values,
        file,
        ..Axis::default()
    }
}

/// The head of the metric's column: `Latency (ms)`.
pub fn head(metric: &MetricInfo) -> String {
    let label = match metric.name {
        name if name == MES.name => "MES",
        name if name == MEMORY.name => "Memory",
        name if name == PARAMS.name => "Params",
        _ => metric.label,
    };
    if matches!(metric.unit, "" | "bytes") { label.to_owned() } else { format!("{label} ({})", metric.unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_units() {
        assert_eq!(quantity(&ACCURACY, 71.8), "71.80 %");
        assert_eq!(quantity(&MACS, 1_056_736.0), "1.06 M MACs");
        assert_eq!(quantity(&PARAMS, 79_706.0), "79.7 k parameters");
        assert_eq!(quantity(&MEMORY, 6_021_120.0), "6.02 MB");
        assert_eq!(quantity(&LATENCY, 0.9234), "0.923 ms");
        assert_eq!(quantity(&MES, 257.22), "257.2 MES");
        assert_eq!([&TEST_ACCURACY, &LATENCY, &MES].map(head), ["Test top-1 (%)", "Latency (ms)", "MES"]);
    }
}
