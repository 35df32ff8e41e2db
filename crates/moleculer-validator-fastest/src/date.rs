//! What the `date` rule converts: times as numbers and as text.

use moleculer_protocol::{Date, Value};

use crate::js;

/// `new Date(value)`, where a text is a number of milliseconds or an ISO
/// date. A date without an offset is in UTC.
pub(crate) fn to_date(value: &Value) -> Date {
    let ms = match value {
        Value::String(text) => {
            let ms = js::parse_number(text);
            if text.is_empty() || ms.is_nan() { parse_iso(text).unwrap_or(f64::NAN) } else { ms }
        }
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => js::to_number(value),
        _ => f64::NAN,
    };
    Date(if ms.abs() <= 8.64e15 { ms.trunc() + 0.0 } else { f64::NAN })
}

/// `YYYY[-MM[-DD]][THH:mm[:ss[.sss]][Z|+HH:mm]]` in milliseconds since 1970.
fn parse_iso(text: &str) -> Option<f64> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (year, date) = match date.as_bytes().first()? {
        b'+' => (digits(date.get(1..7)?)?, &date[7..]),
        b'-' => (-digits(date.get(1..7)?)?, &date[7..]),
        _ => (digits(date.get(..4)?)?, &date[4..]),
    };
    let (month, day) = match date.len() {
        0 => (1, 1),
        3 => (digits(date.strip_prefix('-')?)?, 1),
        6 => {
            (digits(date.strip_prefix('-')?.get(..2)?)?, digits(date.get(3..)?.strip_prefix('-')?)?)
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let time = time.map_or(Some(0.0), parse_time)?;
    Some(days_from_civil(year, month, day) as f64 * 86_400_000.0 + time)
}

/// `HH:mm[:ss[.sss]]` with an optional offset, in milliseconds.
fn parse_time(text: &str) -> Option<f64> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => (&text[..at], parse_offset(&text[at..])?),
        None => (text, 0),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), digits)?;
    let all = fraction.bytes().all(|c| c.is_ascii_digit()) && !fraction.is_empty();
    let in_range = hour <= 24 && minute < 60 && second < 60 && (hour < 24 || minute + second == 0);
    if parts.next().is_some() || !all || !in_range {
        return None;
    }
    let milli = format!("{fraction:0<3}").get(..3).and_then(digits)?;
    let minutes = hour * 60 + minute - offset;
    Some(((minutes * 60 + second) * 1000 + milli) as f64)
}

/// `Z`, `+HH:mm` or `-HH:mm` in minutes.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let minutes = digits(hours)? * 60 + digits(minutes)?;
    Some(if text.starts_with('-') { -minutes } else { minutes })
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// Days since 1970-01-01 of the Gregorian calendar, whose years are counted
/// from March so that the leap day is the last.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_dates() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(to_date(&text.into()).to_iso().as_deref(), expected, "{text}");
        };
        check("1577934245678", Some("2020-01-02T03:04:05.678Z"));
        check("2020-01-02T03:04:05.678Z", Some("2020-01-02T03:04:05.678Z"));
        check("2020-01-02T03:04:05.6+02:30", Some("2020-01-02T00:34:05.600Z"));
        check("2000-02-29", Some("2000-02-29T00:00:00.000Z"));
        check("2020-12", Some("2020-12-01T00:00:00.000Z"));
        check("1969-12-31T24:00Z", Some("1970-01-01T00:00:00.000Z"));
        check("-000001-01-01T00:00:00Z", Some("-000001-01-01T00:00:00.000Z"));
        for text in [
            "",
            "soon",
            "2020-13-01",
            "2020-01-32",
            "2020-01-01T25:00Z",
            "2020-01-01T00",
            "é020-01-01",
            "2020-1",
            "2020-01-01T00:00:00.Z",
        ] {
            check(text, None);
        }
        assert!(to_date(&9e15.into()).0.is_nan());
        assert_eq!(to_date(&true.into()).0, 1.0);
    }
}
