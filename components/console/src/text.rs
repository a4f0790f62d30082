//! Figures as components write them, and text that comes from a component ([`Plain`]).

use core::fmt;

use portcullis_kernel::Refusal;
use portcullis_manager_api::{FORBIDDEN, NO_MORE, NOT_PERMITTED, UNAVAILABLE};
use portcullis_policy_format::MAX_NAME;
pub use portcullis_text::Plain;

/// A number with its digits in groups of three: `1,234,567`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grouped(pub u64);

/// A digest by its first four bytes: `1a2b3c4d`. Enough to tell the objects of one appliance apart by
/// eye; whoever needs proof has the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShortDigest<'a>(pub &'a [u8; 32]);

/// A number of things: `1 document`, `2 documents`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted(pub u64, pub &'static str);

/// What the manager said in place of an answer, in the words of the grant log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied(pub Refusal);

/// Digits and separators of the largest number.
const GROUPED_MAX: usize = 26;

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; GROUPED_MAX];
        let mut at = GROUPED_MAX;
        let mut left = self.0;
        let mut digits = 0;
        loop {
            if digits > 0 && digits % 3 == 0 {
                at -= 1;
                text[at] = b',';
            }
            at -= 1;
            text[at] = b'0' + (left % 10) as u8;
            left /= 10;
            digits += 1;
            if left == 0 {
                break;
            }
        }
        f.pad_integral(
            true,
            "",
            core::str::from_utf8(&text[at..]).unwrap_or_default(),
        )
    }
}

impl fmt::Display for ShortDigest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", Grouped(self.0), self.1)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Object(NOT_PERMITTED) => {
                f.write_str("not permitted: no policy line allows it")
            }
            Refusal::Object(FORBIDDEN) => f.write_str("forbidden: a rule of the policy says so"),
            Refusal::Object(UNAVAILABLE) => f.write_str("unavailable: allowed, but not in force"),
            Refusal::Object(NO_MORE) => f.write_str("there is nothing of that number"),
            refusal => write!(f, "error: {refusal}"),
        }
    }
}

/// The name that was probably meant: at most a third of its letters differ.
pub(crate) fn closest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let likely = names.filter(|name| name.len() <= MAX_NAME && word.len() <= MAX_NAME);
    let measured = likely.map(|name| (distance(word.as_bytes(), name.as_bytes()), name));
    let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= name.len()).then_some(name)
}

/// How many bytes to insert, remove or replace make one of the other (Levenshtein). Of names: longer ones
/// are not looked at to their end.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: [usize; MAX_NAME + 1] = core::array::from_fn(|place| place);
    let row = &mut row[..=other.len().min(MAX_NAME)];
    for (before, byte) in one.iter().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], before + 1);
        for (place, own) in other.iter().enumerate().take(row.len() - 1) {
            let replaced = diagonal + usize::from(byte != own);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (67_108_864, "67,108,864"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
        assert_eq!(format!("[{:>7}]", Grouped(1_234)), "[  1,234]");
    }

    #[test]
    fn digests_are_short_and_counts_have_plurals() {
        let digest = core::array::from_fn(|i| (i as u8).wrapping_mul(0x1b));
        assert_eq!(ShortDigest(&digest).to_string(), "001b3651");
        assert_eq!(Counted(1, "object").to_string(), "1 object");
        assert_eq!(Counted(1_000, "object").to_string(), "1,000 objects");
    }

    #[test]
    fn denials_use_the_words_of_the_log() {
        for (code, text) in [
            (NOT_PERMITTED, "not permitted: no policy line allows it"),
            (FORBIDDEN, "forbidden: a rule of the policy says so"),
            (UNAVAILABLE, "unavailable: allowed, but not in force"),
            (NO_MORE, "there is nothing of that number"),
            (77, "error: refused by the object: code 77"),
        ] {
            assert_eq!(Denied(Refusal::Object(code)).to_string(), text);
        }
    }

    #[test]
    fn a_name_with_few_other_letters_was_meant() {
        let names = ["ingest", "ledger", "vault"];
        for (word, meant) in [
            ("ingst", Some("ingest")),
            ("legder", Some("ledger")),
            ("vaults", Some("vault")),
            ("edge", Some("ledger")),
            ("nobody", None),
            ("", None),
            (&"v".repeat(MAX_NAME + 1), None),
        ] {
            assert_eq!(closest(word, names.into_iter()), meant, "{word}");
        }
        assert_eq!(closest("a", [].into_iter()), None);
    }

    proptest! {
        #[test]
        fn a_distance_is_that_of_both_ways(one in "[ab]{0,48}", other in "[abc]{0,48}") {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            prop_assert_eq!(distance(one, other), distance(other, one));
            prop_assert_eq!(distance(one, other) == 0, one == other);
        }

        #[test]
        fn grouped_digits_are_the_number(number: u64) {
            prop_assert_eq!(Grouped(number).to_string().replace(',', ""), number.to_string());
        }
    }
}
