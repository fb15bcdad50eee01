//! Formatting of numbers: three significant digits, with commas between thousands.

/// `value` to three significant digits, with commas between thousands: 0.123, 4.56, 78.9, 1,234.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    // The value is rounded first, so that 9.996 becomes 10.0 and not 10.00.
    let digits = 2 - size.log10().floor() as i32;
    let scale = 10f64.powi(digits);
    let rounded = (size * scale).round() / scale;
    let decimals = (2 - rounded.log10().floor() as i32).clamp(0, 6) as usize;
    let sign = if value < 0.0 { "-" } else { "" };
    if decimals == 0 {
        format!("{sign}{}", thousands(size.round() as u64))
    } else {
        format!("{sign}{rounded:.decimals$}")
    }
}

/// `value` with commas between thousands.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `value`, or a dash where there is none.
pub fn short_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (0.0, "0"),
            (0.012345, "0.0123"),
            (0.9999, "1.00"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (78.94, "78.9"),
            (999.6, "1,000"),
            (1234.4, "1,234"),
            (-5.678, "-5.68"),
            (1_234_567.0, "1,234,567"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text, "{value}");
        }
    }
}
