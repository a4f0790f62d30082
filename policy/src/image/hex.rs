//! Addresses and badges in JSON: hexadecimal, as people write them. A number in JSON is exact only
//! below 2 to the power of 53.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Writes `0x` and the digits.
pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}

/// Reads `0x` and the digits.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: Error>(text: &str) -> Result<u64, E> {
    let digits = text.strip_prefix("0x");
    let value = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    value.ok_or_else(|| {
        E::custom(format!(
            "`{text}` is not a hexadecimal number such as 0x1000"
        ))
    })
}

/// The same for a value that can be missing.
pub(crate) mod option {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `null`, or `0x` and the digits.
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads `null`, or `0x` and the digits.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text)).transpose()
    }
}
