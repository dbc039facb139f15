//! The mobile efficiency score (MES): the only place with its formula.
//!
//! `MES = score * (params / unit_params)^-alpha_params * (latency_ms / unit_latency_ms)^-alpha_latency`
//!
//! The form is that of EfficientFormerV2's joint search. The constants are this project's default, not the paper's: no
//! public source gives the paper's, so no value made here is the paper's MES. The unit of latency is the latency of
//! MobileNetV2 measured in the same run on the same host, divided by [`Mes::reference_units`], so that MobileNetV2
//! scores the same on every host.

use crate::run::Mes;

impl Default for Mes {
    /// This project's default, not the paper's: 100, 3 million parameters, 0.5, 1.0, 0.9.
    fn default() -> Mes {
        Mes { score: 100.0, unit_params: 3e6, alpha_params: 0.5, alpha_latency: 1.0, reference_units: 0.9 }
    }
}

/// The unit of latency in ms: the reference model's latency on this host (ms) over `reference_units`.
pub fn unit_latency_ms(constants: &Mes, reference_latency_ms: f64) -> f64 {
    reference_latency_ms / constants.reference_units
}

/// The mobile efficiency score of a network with `params` parameters and `latency_ms`; larger is better, no unit.
///
/// `None` if an input or the result is not a finite number above zero, such as a latency that was never measured.
pub fn mes(constants: &Mes, params: f64, latency_ms: f64, unit_latency_ms: f64) -> Option<f64> {
    let sound = |v: f64| v.is_finite() && v > 0.0;
    if ![params, latency_ms, unit_latency_ms, constants.unit_params].into_iter().all(sound) {
        return None;
    }
    let size = (params / constants.unit_params).powf(-constants.alpha_params);
    let speed = (latency_ms / unit_latency_ms).powf(-constants.alpha_latency);
    Some(constants.score * size * speed).filter(|v| sound(*v))
}

/// The formula with its constants as one line of text, to stand beside every MES that is shown.
///
/// `unit_latency_ms` is the measured unit, if the run has measured it.
pub fn formula(constants: &Mes, unit_latency_ms: Option<f64>) -> String {
    formula_on(constants, "on this host", unit_latency_ms)
}

/// The formula for latencies measured elsewhere; `place` says where the reference was: `on this host`.
pub fn formula_on(constants: &Mes, place: &str, unit_latency_ms: Option<f64>) -> String {
    let Mes { score, unit_params, alpha_params, alpha_latency, reference_units } = constants;
    let params = unit_params / 1e6;
    let measured = unit_latency_ms.map(|ms| format!(" = {} ms", crate::text::significant(ms, 4))).unwrap_or_default();
    let whose = if *constants == Mes::default() {
        "constants are this project's default, not the paper's"
    } else {
        "constants are this run's own, neither this project's default nor the paper's"
    };
    format!(
        "MES = {score} × (params / {params} M)^-{alpha_params} × (latency / unit)^-{alpha_latency}, \
         unit = MobileNetV2's latency {place} / {reference_units}{measured}; {whose}"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    /// Parameters in millions, ms on an iPhone 12, MES with the default constants and a unit of 1 ms.
    const TABLE: &[(&str, f64, f64, f64)] = &[
        ("MobileNetV2-1.0, EfficientFormerV2-S0", 3.5, 0.9, 102.9),
        ("EfficientFormerV2-S1", 6.1, 1.1, 63.8),
        ("MobileNetV2-1.4", 6.1, 1.2, 58.4),
        ("EfficientNet-B0", 5.3, 1.4, 53.7),
        ("EdgeViT-XXS", 4.1, 2.4, 35.6),
        ("EfficientFormer-L1", 12.3, 1.4, 35.3),
        ("PoolFormer-S12", 12.0, 1.5, 33.3),
        ("EfficientFormerV2-S2", 12.6, 1.6, 30.5),
        ("EdgeViT-XS", 6.7, 3.6, 18.6),
        ("MobileViT-XS", 2.3, 7.3, 15.6),
        ("ResNet50", 25.5, 2.5, 13.7),
        ("EfficientFormerV2-L", 26.1, 2.7, 12.6),
        ("EfficientFormer-L3", 31.3, 2.7, 11.5),
        ("EfficientFormer-L7", 82.1, 6.6, 2.9),
    ];

    #[test]
    fn default_constants_give_the_table() {
        for &(name, params, ms, expected) in TABLE {
            let found = mes(&Mes::default(), params * 1e6, ms, 1.0).unwrap();
            assert!((found - expected).abs() <= 0.05 + 1e-9, "{name}: {found}, expected {expected}");
        }
    }

    #[test]
    fn equal_weights_are_a_matter_of_configuration() {
        let equal = Mes { alpha_latency: 0.5, ..Mes::default() };
        assert!((mes(&equal, 3.5e6, 0.9, 1.0).unwrap() - 97.6).abs() < 0.05);
        assert!((mes(&equal, 2.3e6, 7.3, 1.0).unwrap() - 42.3).abs() < 0.05);
    }

    #[test]
    fn the_reference_scores_the_same_on_every_host() {
        let c = Mes::default();
        for host_ms in [0.9, 12.5, 480.0] {
            let score = mes(&c, 3.5e6, host_ms, unit_latency_ms(&c, host_ms)).unwrap();
            assert!((score - 102.87).abs() < 0.01, "{score}");
        }
    }

    #[test]
    fn what_is_not_a_positive_number_has_no_score() {
        let c = Mes::default();
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(mes(&c, bad, 1.0, 1.0), None);
            assert_eq!(mes(&c, 1e6, bad, 1.0), None);
            assert_eq!(mes(&c, 1e6, 1.0, bad), None);
        }
    }

    #[test]
    fn the_formula_names_its_constants_and_whose_they_are() {
        assert_eq!(
            formula(&Mes::default(), Some(13.8888)),
            "MES = 100 × (params / 3 M)^-0.5 × (latency / unit)^-1, unit = MobileNetV2's latency on this host / 0.9 \
             = 13.89 ms; constants are this project's default, not the paper's"
        );
        let own = Mes { alpha_params: 0.25, ..Mes::default() };
        assert!(formula(&own, None).contains("^-0.25"));
        assert!(formula(&own, None).contains("this run's own"));
    }
}
