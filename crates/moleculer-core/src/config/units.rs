//! Times by the units of the reference: [`Millis`], [`Seconds`].

use std::{fmt, time::Duration};

use moleculer_protocol::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! durations {
    ($($(#[$doc:meta])* $name:ident: $unit:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub Duration);

        impl std::ops::Deref for $name {
            type Target = Duration;
            fn deref(&self) -> &Duration {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let micros = self.0.as_micros();
                match u64::try_from(micros / $unit) {
                    Ok(whole) if micros % $unit == 0 => serializer.serialize_u64(whole),
                    _ => serializer.serialize_f64(micros as f64 / f64::from($unit)),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                duration(&Value::deserialize(deserializer)?, $unit)
                    .map(Self)
                    .map_err(D::Error::custom)
            }
        }
    )*};
}

durations! {
    /// A time that configuration gives as a number of milliseconds, or as
    /// text with a unit: `"5s"`. Configuration holds it to the microsecond.
    Millis: 1_000;
    /// A time that configuration gives as a number of seconds, or as text
    /// with a unit: `"500ms"`. Configuration holds it to the microsecond.
    Seconds: 1_000_000;
}

/// A time in ms, or a text with a unit.
pub(crate) fn millis(value: &Value) -> Result<Duration, String> {
    duration(value, 1_000)
}

/// A time in s, or a text with a unit.
pub(crate) fn secs(value: &Value) -> Result<Duration, String> {
    duration(value, 1_000_000)
}

/// `unit` is how many microseconds a bare number stands for.
fn duration(value: &Value, unit: u32) -> Result<Duration, String> {
    let micros = match value {
        Value::Null | Value::Undefined => Some(0.0),
        Value::String(text) => micros(text, unit),
        number => number.as_f64().map(|n| n * f64::from(unit)),
    };
    micros.and_then(from_micros).ok_or_else(|| {
        format!(
            "{value:?} is no duration; write a number or a text such as \"500ms\", \"5s\" or \"2m\""
        )
    })
}

fn micros(text: &str, unit: u32) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => unit,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return None,
    };
    digits.trim().parse::<f64>().ok().map(|n| n * f64::from(factor))
}

fn from_micros(micros: f64) -> Option<Duration> {
    let fits = (0.0..u64::MAX as f64).contains(&micros);
    fits.then(|| Duration::from_micros(micros.round() as u64))
}
