//! Losses against a teacher's predictions.

use tch::{TchError, Tensor};

/// How a student learns from a teacher's logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distillation {
    /// The teacher's likeliest class is learnt like a label.
    Hard,
    /// The Kullback-Leibler divergence at a temperature (Hinton et al., 2015).
    Soft {
        /// Logits of both are divided by it.
        temperature: f64,
    },
    /// The clipped adaptive alpha-divergence (AlphaNet).
    Alpha,
}

impl Distillation {
    pub(crate) fn loss(self, student: &Tensor, teacher: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Distillation::Hard => {
                let labels = teacher.f_argmax(-1, false)?;
                student.f_cross_entropy_loss(&labels, None::<&Tensor>, tch::Reduction::Mean, -100, 0.0)
            }
            Distillation::Soft { temperature: 1.0 } => soft_cross_entropy(student, &teacher.f_softmax(-1, None)?),
            Distillation::Soft { temperature: t } => {
                let taught = teacher.f_mul_scalar(1.0 / t)?.f_softmax(-1, None)?;
                // So that the gradient keeps its size, whatever the temperature.
                soft_cross_entropy(&student.f_mul_scalar(1.0 / t)?, &taught)?.f_mul_scalar(t * t)
            }
            Distillation::Alpha => alpha_divergence(student, teacher),
        }
    }
}

/// Cross-entropy against a teacher's distribution, mean over the batch: the gradient is that of KL(teacher, student).
///
/// # Errors
/// When libtorch refuses.
pub fn soft_cross_entropy(logits: &Tensor, teacher: &Tensor) -> Result<Tensor, TchError> {
    let per_class = logits.f_log_softmax(-1, None)?.f_mul(teacher)?;
    per_class.f_sum_dim_intlist([-1i64].as_slice(), false, None)?.f_mean(None)?.f_neg()
}

/// No ratio of probabilities weighs more (AlphaNet's constant).
const CLIP: f64 = 5.0;

/// The adaptive, clipped alpha-divergence of AlphaNet (Wang et al., 2021) between a teacher's logits and a student's: for each
/// image the larger of alpha = -1, which punishes a student that is too sure, and alpha = 1, one that misses a class. Ratios
/// of probabilities are formed and clipped as logarithms, where they cannot overflow; the published form divides the
/// probabilities themselves.
///
/// # Errors
/// When libtorch refuses.
pub fn alpha_divergence(logits: &Tensor, teacher: &Tensor) -> Result<Tensor, TchError> {
    let log_q = logits.f_log_softmax(-1, None)?;
    let (q_fixed, log_p) = (log_q.f_detach()?, teacher.f_detach()?.f_log_softmax(-1, None)?);
    let (q, ratio) = (q_fixed.f_exp()?, log_p.f_sub(&q_fixed)?);
    let sum = |t: Tensor| t.f_sum_dim_intlist([-1i64].as_slice(), false, None);
    // (p / q)^alpha, clipped, is all that the divergence and its gradient need.
    let power = |alpha: f64| ratio.f_mul_scalar(alpha)?.f_clamp_max(CLIP.ln())?.f_exp();
    let (inverse, straight) = (power(-1.0)?, power(1.0)?);
    // alpha (alpha - 1) is 2 for alpha = -1.
    let sure = sum(q.f_mul(&inverse.f_add_scalar(-1.0)?)?.f_mul_scalar(0.5)?)?;
    let missing = sum(q.f_mul(&straight)?.f_mul(&ratio)?)?;
    // The gradient of the divergence in log q weighs q by these factors.
    let weights = |power: &Tensor, factor: f64, add: f64| q.f_mul(&power.f_mul_scalar(factor)?.f_add_scalar(add)?);
    let sure_weights = weights(&inverse, -1.0, 0.5)?;
    let missing_weights = weights(&straight, 1.0, 0.0)?;
    let pick = sure.f_gt_tensor(&missing)?.f_unsqueeze(-1)?;
    let chosen = sure_weights.f_where_self(&pick, &missing_weights)?;
    sum(chosen.f_mul(&log_q)?)?.f_mean(None)?.f_neg()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn gradient(of: impl Fn(&Tensor) -> Tensor, logits: &Tensor) -> Tensor {
        let logits = logits.copy().set_requires_grad(true);
        of(&logits).backward();
        logits.grad()
    }

    fn logits(seed: i64) -> Tensor {
        tch::manual_seed(seed);
        Tensor::randn([4, 7], (Kind::Double, tch::Device::Cpu))
    }

    #[test]
    fn a_student_that_is_the_teacher_learns_nothing() {
        let t = logits(1);
        for grad in [
            gradient(|l| alpha_divergence(l, &t).unwrap(), &t),
            gradient(|l| soft_cross_entropy(l, &t.softmax(-1, None)).unwrap(), &t),
        ] {
            assert!(grad.abs().max().double_value(&[]) < 1e-12);
        }
    }

    #[test]
    fn unclipped_it_is_the_gradient_of_the_larger_divergence() {
        // Near to each other no ratio is clipped.
        let (s, t) = (logits(1) * 0.3, logits(2) * 0.3);
        let divergence = |alpha: f64, l: &Tensor| {
            let (q, p) = (l.softmax(-1, None), t.softmax(-1, None));
            if alpha == 1.0 {
                (&p * (p.log() - q.log())).sum_dim_intlist([-1i64].as_slice(), false, None)
            } else {
                ((&p / &q).pow_tensor_scalar(alpha) * &q - &q).sum_dim_intlist([-1i64].as_slice(), false, None)
                    / (alpha * (alpha - 1.0))
            }
        };
        let expected = gradient(
            |l| {
                let (a, b) = (divergence(-1.0, l), divergence(1.0, l));
                let pick = a.gt_tensor(&b).detach();
                a.where_self(&pick, &b).mean(None)
            },
            &s,
        );
        let ours = gradient(|l| alpha_divergence(l, &t).unwrap(), &s);
        let off = (&ours - &expected).abs().max().double_value(&[]);
        assert!(off < 1e-12, "{off}");
    }

    #[test]
    fn far_apart_it_stays_finite() {
        let (s, t) = (logits(1) * 1e3, logits(2) * 1e3);
        let grad = gradient(|l| alpha_divergence(l, &t).unwrap(), &s.to_kind(Kind::Float));
        assert!(bool::try_from(grad.isfinite().all()).unwrap());
        // The published form is not: its ratio of probabilities is one of zeros.
        let (q, p) = (s.softmax(-1, None), t.softmax(-1, None));
        assert!(!bool::try_from((p / q).isfinite().all()).unwrap());
    }
}
