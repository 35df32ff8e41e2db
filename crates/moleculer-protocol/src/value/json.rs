//! Conversion from and to `serde_json::Value`, and JSON's form of the further kinds.

use super::{Date, Extended, Object, Value};

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::UInt))
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN))),
            Json::String(text) => Self::String(text),
            Json::Array(items) => Self::Array(items.into_iter().map(Into::into).collect()),
            Json::Object(members) => Self::Object(members.into_iter().collect()),
        }
    }
}

/// The further kinds become what JSON shows of them; `undefined` becomes null.
impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Undefined | Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Int(n) => n.into(),
            Value::UInt(n) => n.into(),
            Value::Float(n) => n.into(),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Into::into).collect()),
            Value::Object(object) => Self::Object(
                object
                    .into_iter()
                    .filter(|(_, value)| !value.is_undefined())
                    .map(|(key, value)| (key, value.into()))
                    .collect(),
            ),
            Value::Bytes(bytes) => buffer_form(&bytes).into(),
            Value::Date(date) => date.to_iso().into(),
            Value::Extended(extended) => extended.json_form().into(),
        }
    }
}

/// `{"type":"Buffer","data":[..]}`, JSON's form of binary data.
fn buffer_form(bytes: &[u8]) -> Value {
    let data = bytes.iter().map(|&byte| Value::from(byte)).collect();
    Object::from([("type", Value::from("Buffer")), ("data", Value::Array(data))]).into()
}

impl Extended {
    /// What `JSON.stringify` makes of this value.
    ///
    /// A big integer, which it refuses, becomes its digits as text.
    pub(super) fn json_form(&self) -> Value {
        match self {
            Self::BigInt(n) => n.as_str().into(),
            Self::TypedArray { bytes, .. } => bytes
                .iter()
                .enumerate()
                .map(|(i, &byte)| (i.to_string(), byte))
                .collect::<Object>()
                .into(),
            Self::Map(_) | Self::Set(_) | Self::RegExp { .. } => Object::new().into(),
        }
    }
}

impl Date {
    /// The ISO form with milliseconds and `Z`; `None` for an invalid date.
    pub fn to_iso(self) -> Option<String> {
        const DAY: i64 = 86_400_000;
        if !self.0.is_finite() || self.0.abs() > 8.64e15 {
            return None;
        }
        let ms = self.0.trunc() as i64;
        let (days, rest) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let year = match year {
            0..=9999 => format!("{year:04}"),
            _ if year < 0 => format!("-{:06}", -year),
            _ => format!("+{year:06}"),
        };
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, milli) = (rest / 1000 % 60, rest % 1000);
        Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
    }
}

/// Days since 1970-01-01 to year, month and day of the Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day is the last of its year.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_in_javascript() {
        let check = |ms: f64, text: Option<&str>| assert_eq!(Date(ms).to_iso().as_deref(), text);
        check(0.0, Some("1970-01-01T00:00:00.000Z"));
        check(951_782_400_123.0, Some("2000-02-29T00:00:00.123Z"));
        check(-1.0, Some("1969-12-31T23:59:59.999Z"));
        check(253_402_300_800_000.0, Some("+010000-01-01T00:00:00.000Z"));
        check(-62_198_755_200_000.0, Some("-000001-01-01T00:00:00.000Z"));
        check(f64::NAN, None);
    }
}
