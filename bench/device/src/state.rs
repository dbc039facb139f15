//! Temperature and frequency of a device, and whether it has to rest.

use serde::{Deserialize, Serialize};

/// A device whose frequency limit has fallen below this share of the first one is throttled.
const THROTTLED: f64 = 0.95;
/// Celsius that a sensor can mean; others count something else.
const SENSIBLE: std::ops::Range<f64> = 1.0..150.0;

/// What a device says of itself at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Condition {
    /// Its hottest sensor.
    pub celsius: Option<f64>,
    /// The highest frequency that its fastest core may have now, in MHz.
    pub mhz: Option<f64>,
}

/// What prints the condition of a Linux system, Android among them; a file that cannot be read is left out.
pub const SYSFS: &str = "for f in /sys/class/thermal/thermal_zone*/temp; do t=$(cat \"$f\" 2>/dev/null) && echo \"millicelsius=$t\"; done; \
     for f in /sys/devices/system/cpu/cpufreq/policy*/scaling_max_freq; do t=$(cat \"$f\" 2>/dev/null) && echo \"khz=$t\"; done; true";

impl Condition {
    /// Reads lines `celsius=`, `millicelsius=`, `mhz=` and `khz=`; the largest of each counts. Other lines are left out.
    pub fn read(text: &str) -> Condition {
        let mut all = Condition::default();
        for (key, value) in text.lines().filter_map(|l| l.trim().split_once('=')) {
            let Ok(value) = value.trim().parse::<f64>() else { continue };
            let (of, value) = match key.trim() {
                "celsius" => (&mut all.celsius, value),
                // Some zones count in degrees.
                "millicelsius" => (&mut all.celsius, if value.abs() < 1000.0 { value } else { value / 1e3 }),
                "mhz" => (&mut all.mhz, value),
                "khz" => (&mut all.mhz, value / 1e3),
                _ => continue,
            };
            let sensible = if key.trim().ends_with("celsius") { SENSIBLE.contains(&value) } else { value > 0.0 };
            if value.is_finite() && sensible {
                *of = Some(of.map_or(value, |v| v.max(value)));
            }
        }
        all
    }

    /// Whether the device says nothing.
    pub fn is_empty(&self) -> bool {
        self.celsius.is_none() && self.mhz.is_none()
    }

    /// Why the device has to rest, in words; none if it need not. `first` is its condition at the beginning.
    pub fn throttled(&self, first: &Condition, most_celsius: Option<f64>) -> Option<String> {
        let hot = self.celsius.zip(most_celsius).filter(|(now, most)| now > most);
        let slow = self.mhz.zip(first.mhz).filter(|(now, first)| *now < first * THROTTLED);
        match (hot, slow) {
            (Some((now, most)), _) => Some(format!("{now:.1} degrees Celsius, expected at most {most}")),
            (None, Some((now, first))) => Some(format!("limited to {now:.0} MHz, {first:.0} MHz at the beginning")),
            (None, None) => None,
        }
    }
}

/// From the lowest to the highest value that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Range {
    fn with(range: Option<Range>, value: Option<f64>) -> Option<Range> {
        match (range, value) {
            (Some(r), Some(v)) => Some(Range { low: r.low.min(v), high: r.high.max(v) }),
            (None, Some(v)) => Some(Range { low: v, high: v }),
            (range, None) => range,
        }
    }
}

/// What was seen of a device while it ran; part of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Temperature of the hottest sensor, in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<Range>,
    /// Limit of the frequency, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mhz: Option<Range>,
    /// How often it had to cool down.
    pub cooldowns: usize,
    /// How often it went on although it was still hot or throttled.
    pub throttled: usize,
    /// How often it went away.
    pub disconnects: usize,
}

impl Seen {
    /// Adds a condition.
    pub fn add(&mut self, c: &Condition) {
        self.celsius = Range::with(self.celsius, c.celsius);
        self.mhz = Range::with(self.mhz, c.mhz);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sensible_value_counts() {
        let text = "millicelsius=41000\nmillicelsius=39\nmillicelsius=-274000\nmillicelsius=900000\nkhz=1800000\nkhz=2400000\nx=3\nmhz=y\n";
        let condition = Condition { celsius: Some(41.0), mhz: Some(2400.0) };
        assert_eq!(Condition::read(text), condition);
        assert_eq!(Condition::read("celsius=41\r\nmhz=2400\r\n"), condition);
        assert!(Condition::read("").is_empty());
    }

    #[test]
    fn a_hot_or_throttled_device_has_to_rest() {
        let at = |celsius, mhz| Condition { celsius: Some(celsius), mhz: Some(mhz) };
        let first = at(30.0, 2400.0);
        let throttled = |c: Condition| c.throttled(&first, Some(50.0));
        assert_eq!(throttled(at(50.0, 2300.0)), None);
        assert_eq!(throttled(at(50.1, 2400.0)).unwrap(), "50.1 degrees Celsius, expected at most 50");
        assert_eq!(throttled(at(30.0, 1800.0)).unwrap(), "limited to 1800 MHz, 2400 MHz at the beginning");
        assert_eq!(throttled(Condition::default()), None);
        assert_eq!(at(99.0, 2400.0).throttled(&first, None), None);
    }

    #[test]
    fn ranges_hold_all_values() {
        let mut seen = Seen::default();
        for celsius in [40.0, 38.0, 45.0] {
            seen.add(&Condition { celsius: Some(celsius), mhz: None });
        }
        assert_eq!((seen.celsius, seen.mhz), (Some(Range { low: 38.0, high: 45.0 }), None));
    }
}
