//! Numbers as people read them: rounded once, here, with their unit.

/// `value` rounded to `digits` significant digits: `12.3`, `0.00912`, `5640`; with an exponent only where zeros would fill
/// the page: `1.00e300`.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Formatting with an exponent rounds first, so 9.996 becomes 1.00e1 and not 10.00.
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    let exponent = rounded.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if !(-9..15).contains(&exponent) {
        return rounded;
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    format!("{value:.decimals$}")
}

/// A count with its SI prefix: `5.58 M`, `1.23 G`, `950`.
pub fn count(value: f64) -> String {
    let (divisor, prefix) = si(value);
    match prefix {
        "" => significant(value, 3),
        _ => format!("{} {prefix}", significant(value / divisor, 3)),
    }
}

/// Bytes with their SI prefix: `6.02 MB`, `950 B`.
pub fn bytes(value: f64) -> String {
    let (divisor, prefix) = si(value);
    format!("{} {prefix}B", significant(value / divisor, 3))
}

/// The divisor and the prefix that `value` reads best with: (1e9, "G"), (1e6, "M"), (1e3, "k") or (1, "").
pub fn si(value: f64) -> (f64, &'static str) {
    match value.abs() {
        v if v >= 0.9995e9 => (1e9, "G"),
        v if v >= 0.9995e6 => (1e6, "M"),
        v if v >= 0.9995e3 => (1e3, "k"),
        _ => (1.0, ""),
    }
}

/// A whole number with commas: `5,578,632`.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count that may be huge: `48,384` below ten million, else `2.5 × 10¹²`.
pub fn huge(value: f64) -> String {
    if value.is_finite() && (0.0..1e7).contains(&value) {
        return thousands(value.round() as u64);
    }
    match format!("{value:.1e}").split_once('e') {
        Some((mantissa, exponent)) => {
            let raised: String = exponent.chars().map(superscript).collect();
            format!("{mantissa} × 10{raised}")
        }
        None => value.to_string(),
    }
}

fn superscript(c: char) -> char {
    match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        other => other,
    }
}

/// A number and its noun: `1 trial`, `12 trials`; `one` is the noun's singular, the plural takes an s.
pub fn plural(n: usize, one: &str) -> String {
    format!("{} {one}{}", thousands(n as u64), if n == 1 { "" } else { "s" })
}

/// Seconds as a length of time: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 14 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{} h {m} min", thousands(h)),
    }
}

/// Seconds since 1970 as a date in UTC: `2025-01-31 14:05 UTC`.
pub fn date(unix: u64) -> String {
    let (days, rest) = ((unix / 86_400) as i64, unix % 86_400);
    // Civil-from-days: eras of 400 years that begin on the first of March.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits() {
        let cases = [
            (12.345, "12.3"),
            (9.996, "10.0"),
            (0.009123, "0.00912"),
            (5641.0, "5641"),
            (0.0, "0"),
            (1e300, "1.00e300"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value, 3), expected);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count(5_578_632.0), "5.58 M");
        assert_eq!(count(999_600.0), "1.00 M");
        assert_eq!(count(1.2e9), "1.20 G");
        assert_eq!(count(12.0), "12.0");
        assert_eq!(bytes(6_021_120.0), "6.02 MB");
        assert_eq!(bytes(950.0), "950 B");
        assert_eq!(thousands(5_578_632), "5,578,632");
        assert_eq!(thousands(12), "12");
        assert_eq!(huge(48_384.0), "48,384");
        assert_eq!(huge(2.54e12), "2.5 × 10¹²");
        assert_eq!(plural(1, "trial"), "1 trial");
        assert_eq!(plural(1200, "trial"), "1,200 trials");
    }

    #[test]
    fn times() {
        assert_eq!(duration(0.83), "0.8 s");
        assert_eq!(duration(185.0), "3 min 5 s");
        assert_eq!(duration(8040.0), "2 h 14 min");
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_738_332_300), "2025-01-31 14:05 UTC");
    }
}
