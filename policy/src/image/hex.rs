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

/// The same for values by name.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a value as `0x` and the digits.
    pub(crate) fn serialize<S: Serializer>(
        values: &BTreeMap<String, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let values = values.iter();
        serializer.collect_map(values.map(|(name, value)| (name, format!("{value:#x}"))))
    }

    /// Reads `0x` and the digits.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, u64>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let values = texts.into_iter();
        values
            .map(|(name, text)| Ok((name, super::parse(&text)?)))
            .collect()
    }
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
