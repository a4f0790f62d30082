//! Numbers as descriptions write them.

/// Reads a number as the stock tool does: decimal, or hexadecimal after `0x`; underscores may stand
/// anywhere. `None` where it is not a number or needs more than 64 bits.
pub fn parse_number(text: &str) -> Option<u64> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (digits, radix) = match plain.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (plain.as_str(), 10),
    };
    // from_str_radix would take a sign.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Reads a decimal number. The stock tool takes no other for ids and interrupt numbers.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_manual() {
        for (text, number) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("0x2_000_000", Some(0x200_0000)),
            ("0xffffffffffffffff", Some(u64::MAX)),
            ("1_000", Some(1000)),
            ("0x1_0000_0000_0000_0000", None),
            ("", None),
            ("0x", None),
            ("-1", None),
            ("+1", None),
            ("0x+1", None),
            ("10sd", None),
            (" 1", None),
        ] {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn ids_are_decimal() {
        assert_eq!(parse_decimal("61"), Some(61));
        for text in ["0x3", "1_0", "-1", "+1", ""] {
            assert_eq!(parse_decimal(text), None, "{text:?}");
        }
    }
}
