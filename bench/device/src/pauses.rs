//! How long a device that is away is left alone before it is looked for again.

/// The longest pause in seconds.
const LONGEST: f64 = 60.0;

/// Pauses of 1, 2, 4, ... s, up to a sum.
#[derive(Debug)]
pub(crate) struct Pauses {
    most: f64,
    /// The sum so far, in seconds.
    pub waited: f64,
    next: f64,
}

impl Pauses {
    /// Pauses that last so many seconds together, at most.
    pub fn new(most: f64) -> Pauses {
        Pauses { most, waited: 0.0, next: 1.0 }
    }

    /// The next pause in seconds; none if all are over.
    pub fn next(&mut self) -> Option<f64> {
        let pause = self.next;
        if self.waited + pause > self.most {
            return None;
        }
        self.waited += pause;
        self.next = (2.0 * pause).min(LONGEST);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute_and_end() {
        let mut pauses = Pauses::new(200.0);
        let all: Vec<f64> = std::iter::from_fn(|| pauses.next()).collect();
        assert_eq!(all, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(pauses.waited, 183.0);
        assert_eq!(Pauses::new(0.0).next(), None);
    }
}
