//! Numbers of bytes in options: `1024`, `"1kb"`.

use moleculer_core::Value;
use serde::{Deserialize, Deserializer, de::Error};

const UNITS: [(&str, u32); 6] =
    [("pb", 50), ("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10), ("b", 0)];

/// Reads a number of bytes.
pub(crate) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    read(&Value::deserialize(deserializer)?)
}

/// The same; null is zero.
pub(crate) fn size_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(0),
        value => read(&value),
    }
}

fn read<E: Error>(value: &Value) -> Result<usize, E> {
    parse(value).ok_or_else(|| {
        E::custom(format_args!("must be a number of bytes or a text like \"1kb\", not {value:?}"))
    })
}

fn parse(value: &Value) -> Option<usize> {
    match value {
        Value::Int(bytes) => usize::try_from(*bytes).ok(),
        Value::Float(bytes) => whole(*bytes),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            let (number, shift) = UNITS
                .iter()
                .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?.trim_end(), *shift)))
                .unwrap_or((&text, 0));
            // Rust's numbers have forms that no size has: "inf", "1e3".
            let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number: f64 = plain.then(|| number.parse().ok()).flatten()?;
            whole(number * (1_u64 << shift) as f64)
        }
        _ => None,
    }
}

fn whole(bytes: f64) -> Option<usize> {
    // Above 2^53 a float is not exact, and no packet is so large.
    (0.0..=(1_u64 << 53) as f64).contains(&bytes).then_some(bytes as usize)
}
