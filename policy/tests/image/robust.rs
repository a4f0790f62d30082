//! No JSON makes the check panic, whatever it says.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::Value;

use crate::{APPLIANCE, Image, check};

/// What a forger would put in the place of a value.
fn value() -> impl Strategy<Value = Value> {
    let numbers = select(vec![
        0,
        1,
        62,
        63,
        64,
        255,
        256,
        1 << 16,
        u64::from(u32::MAX),
        i64::MAX as u64,
        u64::MAX,
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers.clone().prop_map(Value::from),
        numbers.prop_map(|number| Value::from(format!("{number:#x}"))),
        select(vec!["", "manager", "monitor", "edge", "\u{7f}\n\u{202e}"]).prop_map(Value::from),
        Just(Value::Array(Vec::new())),
    ]
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{number}"), all);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                places(item, &format!("{at}/{name}"), all);
            }
        }
        _ => {}
    }
}

/// Whether no rule is about a value: where the image comes from and what is left for the initialiser;
/// names of page tables; where and how large a program is; where a stack and an IPC buffer lie; and
/// settings of the monitor, which runs before everybody else whatever they are.
fn is_free(image: &Value, place: &str) -> bool {
    let free = ["/format", "/board", "/config", "/initialiser/"];
    let (parent, last) = place.rsplit_once('/').unwrap_or_default();
    let of = image
        .pointer(&format!("{parent}/of"))
        .and_then(Value::as_object);
    let of = of.and_then(|of| of.keys().next()).map(String::as_str);
    let settings = ["fpu", "cpu", "domain", "passive", "starts"];
    free.iter().any(|start| place.starts_with(start))
        || place.contains("/tables/")
        || parent == "/monitor" && settings.contains(&last)
        || match of {
            Some("program") => last != "phys_addr",
            Some("stack" | "ipc_buffer") => last == "vaddr",
            _ => false,
        }
}

/// Another value of the same kind.
fn other(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Bool(value) => Value::from(!value),
        Value::Number(number) => Value::from(number.as_u64()? ^ 1),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => {
                let number = u64::from_str_radix(digits, 16).ok()?;
                Value::from(format!("{:#x}", number ^ 0x1000))
            }
            None => Value::from(format!("{text}_")),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    })
}

/// Nothing that the builder says of an image is passed over.
#[test]
fn every_value_is_held_against_something() {
    let mut json = serde_json::to_value(&APPLIANCE.image).unwrap();
    let mut all = Vec::new();
    places(&json, "", &mut all);
    let mut passed_over = Vec::new();
    for place in all {
        let at = json.pointer_mut(&place).unwrap();
        let Some(value) = other(at) else {
            continue;
        };
        let before = std::mem::replace(at, value);
        let changed = Image::deserialize(&json);
        *json.pointer_mut(&place).unwrap() = before;
        // What is not even an image is refused before.
        if let Ok(image) = changed
            && !is_free(&json, &place)
            && check(&image).is_empty()
        {
            passed_over.push(place);
        }
    }
    assert!(passed_over.is_empty(), "{passed_over:#?}");
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(changes in prop::collection::vec((any::<Index>(), value()), 1..6)) {
        let mut json = serde_json::to_value(&APPLIANCE.image).unwrap();
        for (index, value) in changes {
            let mut all = Vec::new();
            places(&json, "", &mut all);
            let at = index.get(&all);
            *json.pointer_mut(at).unwrap() = value;
        }
        if let Ok(image) = serde_json::from_value::<Image>(json) {
            for finding in check(&image) {
                let line = finding.to_string();
                prop_assert!(!line.contains('\n'), "{line}");
            }
        }
    }

    /// Every one of these is another image, and so there is something to find.
    #[test]
    fn what_is_swapped_between_slots_is_found(one in any::<Index>(), other in any::<Index>()) {
        let mut image = APPLIANCE.image.clone();
        let mut slots: Vec<(usize, usize, u32)> = Vec::new();
        for (pd, of) in image.protection_domains.iter().enumerate() {
            for (cnode, of) in of.cspace.iter().enumerate() {
                slots.extend(of.slots.keys().map(|slot| (pd, cnode, *slot)));
            }
        }
        let (one, other) = (*one.get(&slots), *other.get(&slots));
        let mut at = |(pd, cnode, slot): (usize, usize, u32), put: Option<_>| {
            let slots = &mut image.protection_domains[pd].cspace[cnode].slots;
            let before = slots.get(&slot).cloned().unwrap();
            if let Some(capability) = put {
                slots.insert(slot, capability);
            }
            before
        };
        let (first, second) = (at(one, None), at(other, None));
        at(one, Some(second.clone()));
        at(other, Some(first.clone()));
        prop_assert_eq!(check(&image).is_empty(), first == second);
    }
}
