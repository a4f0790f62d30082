//! The fields of a TOML table, read one by one; what is wrong with them is reported, not returned.

use portcullis_text::Plain;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Reader;
use super::fault::ReadFault;
use crate::model::Place;
use crate::text::{all_of, closest};

/// A table whose every field is known to be one that it may have.
pub(super) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    /// What the table is, for messages.
    what: &'static str,
    /// Where it starts.
    pub(super) place: Place,
    /// Fields that others were probably meant to be.
    meant: Vec<&'static str>,
}

/// A text of the policy and its place.
#[derive(Clone, Debug)]
pub(super) struct Text<'t> {
    pub(super) value: &'t str,
    pub(super) place: Place,
}

type Value<'i> = Spanned<DeValue<'i>>;

/// A field that a table may have: its name, and how it could look.
pub(super) type Field = (&'static str, &'static str);

impl<'t, 'i> Fields<'t, 'i> {
    /// Opens a table that may have `fields`.
    pub(super) fn open(
        reader: &mut Reader,
        what: &'static str,
        fields: &'static [Field],
        value: &'t Value<'i>,
    ) -> Option<Self> {
        let place = reader.place(value);
        let DeValue::Table(table) = value.get_ref() else {
            reader.report(
                &place,
                "not a table",
                ReadFault::WrongKind {
                    field: what.trim_start_matches("a ").to_owned(),
                    found: kind(value.get_ref()),
                    expected: "a table",
                    example: format!("{{ {} }}", fields.first().map_or("", |field| field.1)),
                },
            );
            return None;
        };
        Some(Self::of_table(reader, what, fields, table, place))
    }

    /// The same, of a table at `place`.
    pub(super) fn of_table(
        reader: &mut Reader,
        what: &'static str,
        fields: &'static [Field],
        table: &'t DeTable<'i>,
        place: Place,
    ) -> Self {
        let names: Vec<&'static str> = fields.iter().map(|field| field.0).collect();
        let mut meant = Vec::new();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if names.contains(&name) {
                continue;
            }
            let closest = closest(name, names.iter().copied());
            let help = match (closest, names.as_slice()) {
                (Some(closest), _) => format!("did you mean `{closest}`?"),
                (None, []) => format!("{what} has no fields at all"),
                (None, _) => format!("its fields are {}", all_of(&names)),
            };
            meant.extend(closest);
            let field = name.to_owned();
            let place = reader.source.place(key.span());
            let fault = ReadFault::UnknownField { what, field, help };
            reader.report(&place, "unknown field", fault);
        }
        Self {
            table,
            what,
            place,
            meant,
        }
    }

    /// A field's value, if it is there.
    pub(super) fn optional(&self, name: &str) -> Option<&'t Value<'i>> {
        self.table.get(name)
    }

    /// A field's value; that it is not there is reported.
    pub(super) fn required(&self, reader: &mut Reader, field: Field) -> Option<&'t Value<'i>> {
        let (name, example) = field;
        let value = self.optional(name);
        // A field that was misspelt was reported as that.
        if value.is_none() && !self.meant.contains(&name) {
            reader.report(
                &self.place,
                format!("needs `{name}`"),
                ReadFault::MissingField {
                    what: self.what,
                    field: name,
                    example: example.to_owned(),
                },
            );
        }
        value
    }

    /// A required text.
    pub(super) fn text(&self, reader: &mut Reader, field: Field) -> Option<Text<'t>> {
        let value = self.required(reader, field)?;
        text(reader, field, value)
    }

    /// A text that may be missing. `Err`: it is there, and is no text.
    pub(super) fn optional_text(
        &self,
        reader: &mut Reader,
        field: Field,
    ) -> Result<Option<Text<'t>>, ()> {
        match self.optional(field.0) {
            None => Ok(None),
            Some(value) => text(reader, field, value).map(Some).ok_or(()),
        }
    }

    /// Whether something is so; without the field it is not.
    pub(super) fn flag(&self, reader: &mut Reader, (name, example): Field) -> Option<bool> {
        match self.optional(name) {
            None => Some(false),
            Some(value) => match value.get_ref() {
                DeValue::Boolean(flag) => Some(*flag),
                other => {
                    reader.wrong_kind(name, "true or false", example, value, kind(other));
                    None
                }
            },
        }
    }

    /// The reason, which every rule may have and no check depends on.
    pub(super) fn reason(&self, reader: &mut Reader) -> Option<String> {
        let reason = self.optional_text(reader, REASON).ok().flatten();
        // It is shown within a line.
        reason.map(|reason| Plain(reason.value).to_string())
    }
}

/// The field that every rule may have.
pub(super) const REASON: Field = ("reason", "reason = \"why this is needed\"");

/// A value as text.
pub(super) fn text<'t>(
    reader: &mut Reader,
    (name, example): Field,
    value: &'t Value<'_>,
) -> Option<Text<'t>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Text {
            value: text,
            place: reader.place(value),
        }),
        other => {
            reader.wrong_kind(name, "text", example, value, kind(other));
            None
        }
    }
}

/// A value as a list of texts. What is no text in it is reported and left out.
pub(super) fn texts<'t>(
    reader: &mut Reader,
    (name, example): Field,
    value: &'t Value<'_>,
) -> Option<Vec<Text<'t>>> {
    let DeValue::Array(items) = value.get_ref() else {
        reader.wrong_kind(name, "a list", example, value, kind(value.get_ref()));
        return None;
    };
    let texts: Vec<_> = items
        .iter()
        .filter_map(|item| text(reader, (name, example), item))
        .collect();
    (texts.len() == items.len()).then_some(texts)
}

/// A value as a whole number from `low` to `high`.
pub(super) fn number(
    reader: &mut Reader,
    (name, example): (&str, &str),
    value: &Value<'_>,
    low: u64,
    high: u64,
) -> Option<u64> {
    let DeValue::Integer(integer) = value.get_ref() else {
        reader.wrong_kind(
            name,
            "a whole number",
            example,
            value,
            kind(value.get_ref()),
        );
        return None;
    };
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
    let number = number.filter(|number| (low..=high).contains(number));
    if number.is_none() {
        let place = reader.place(value);
        reader.report(
            &place,
            "out of range",
            ReadFault::OutOfRange {
                field: name.to_owned(),
                found: integer.to_string(),
                expected: format!("{low} to {high}"),
                help: format!("write it as in `{example}`"),
            },
        );
    }
    number
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
