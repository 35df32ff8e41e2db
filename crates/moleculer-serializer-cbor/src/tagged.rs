//! Values that a tag stands in front of.

use bytes::Bytes;
use moleculer_protocol::{
    Date, DecodeError, Extended, Object, Value,
    format::{Compound, Token},
};

use crate::{
    big,
    read::{Head, Reader, Result, text},
    tag,
};

/// The value behind a tag that has just been read.
#[cold]
pub(crate) fn token<'de>(reader: &mut Reader<'de>, tag: u64) -> Result<Token<'de>> {
    Ok(match tag {
        tag::DATE_TEXT | tag::SECONDS => Token::Date(date(reader.head()?)?),
        tag::BIG | tag::BIG_NEGATIVE => match reader.head()? {
            Head::Bytes(bytes) => {
                let n = big::from_magnitude(tag == tag::BIG_NEGATIVE, bytes)?;
                owned(Extended::BigInt(n).into())
            }
            _ => return Err(misplaced(tag, "binary data")),
        },
        tag::CLASS => owned(instance(reader)?),
        64..=75 | 77..=87 => match reader.head()? {
            Head::Bytes(bytes) => owned(typed_array(tag as u8, bytes)?.into()),
            _ => return Err(misplaced(tag, "binary data")),
        },
        tag::SET => match reader.head()? {
            Head::List(len) => Token::Begin(Compound::Set, len),
            _ => return Err(misplaced(tag, "a list")),
        },
        tag::MAP => match reader.head()? {
            Head::Map(len) => Token::Begin(Compound::Map, len),
            _ => return Err(misplaced(tag, "a map")),
        },
        tag => return Err(unknown(tag)),
    })
}

fn owned<'de>(value: Value) -> Token<'de> {
    Token::Owned(Box::new(value))
}

fn misplaced(tag: u64, wanted: &str) -> DecodeError {
    DecodeError::new(format!("tag {tag} stands in front of what is not {wanted}"))
}

fn unknown(tag: u64) -> DecodeError {
    let option = match tag {
        6 | 51 => "pack",
        14 | 15 | 0xdff9 => "bundleStrings",
        28 | 29 => "structuredClone",
        105 | 0xdffe..=0xffff => "useRecords",
        _ => return DecodeError::new(format!("unknown tag {tag}")),
    };
    DecodeError::new(format!(
        "unknown tag {tag}; is `{option}` set in the serializer's options at the sender?"
    ))
}

/// Milliseconds are whole, as JavaScript has them.
fn date(head: Head<'_>) -> Result<Date> {
    let seconds = match head {
        Head::UInt(n) => n.into(),
        Head::Negative(n) => -1.0 - f64::from(n),
        Head::Long { negative: false, n } => n as f64,
        Head::Long { negative: true, n } => -1.0 - n as f64,
        Head::Float(n) => n,
        Head::Text(bytes) => {
            let text = text(bytes)?;
            let invalid = || DecodeError::new(format!("{text:?} is no date of RFC 3339"));
            return parse_date(text).ok_or_else(invalid);
        }
        _ => return Err(DecodeError::new("a date is neither a number nor text")),
    };
    let ms = seconds * 1e3;
    Ok(Date(if ms.fract() == -0.5 { ms.ceil() } else { ms.round() }))
}

/// `2000-02-29T12:00:00.5+01:00`, for example.
fn parse_date(text: &str) -> Option<Date> {
    let (day, time) = text.split_at_checked(10)?;
    let [year, month, day] = fields(day, '-', [4, 2, 2])?;
    let (time, offset) = split_offset(time.strip_prefix(['T', 't', ' '])?)?;
    let (time, fraction) = time.split_at_checked(8)?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let fraction = match fraction.strip_prefix('.') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            format!("0.{digits}").parse::<f64>().ok()?
        }
        None if fraction.is_empty() => 0.0,
        _ => return None,
    };
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    if !in_range || minute > 59 || second > 60 {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset;
    Some(Date((minutes * 60_000 + second * 1000) as f64 + (fraction * 1e3).trunc()))
}

/// Takes the offset from UTC, in minutes, from the end of a time.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let (time, offset) = time.split_at_checked(time.len().checked_sub(6)?)?;
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes] = fields(&offset[1..], ':', [2, 2])?;
    Some((time, sign * (hours * 60 + minutes)))
}

/// Numbers of so many digits, with a separator between them.
fn fields<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let digits = parts.next().filter(|digits| digits.len() == width)?;
        *number = digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01. Years count from March, so that the leap day is
/// the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month_from_march + 2) / 5 + day - 719_469
}

/// Only two classes are known: a regular expression, and errors, which become
/// an object since a `Value` has no such kind.
fn instance(reader: &mut Reader<'_>) -> Result<Value> {
    let malformed = || misplaced(tag::CLASS, "a list of a class's name and its arguments");
    let Head::List(Some(len @ 2..=3)) = reader.head()? else {
        return Err(malformed());
    };
    let mut texts = [const { String::new() }; 3];
    for argument in &mut texts[..len] {
        let Head::Text(bytes) = reader.head()? else {
            return Err(malformed());
        };
        text(bytes)?.clone_into(argument);
    }
    let [class, argument, flags] = texts;
    match (class.as_str(), len) {
        ("RegExp", _) => Ok(Extended::RegExp { source: argument, flags }.into()),
        (_, 2) => Ok(Object::from([("name", class), ("message", argument)]).into()),
        _ => Err(DecodeError::new(format!("unknown class {class:?} behind tag {}", tag::CLASS))),
    }
}

/// The bits of a tag tell the elements' kind (RFC 8746, section 2.1). Those
/// with the high byte first are turned around.
fn typed_array(tag: u8, bytes: &[u8]) -> Result<Extended> {
    const LOW_BYTE_FIRST: u8 = 4;
    let (is_float, width) = (tag >> 4 & 1, tag & 3);
    let size = 1_usize << (is_float + width);
    if !bytes.len().is_multiple_of(size) {
        let len = bytes.len();
        return Err(DecodeError::new(format!(
            "a typed array of {len} bytes with elements of {size} bytes"
        )));
    }
    if size == 1 || tag & LOW_BYTE_FIRST != 0 {
        return Ok(Extended::TypedArray { tag, bytes: Bytes::copy_from_slice(bytes) });
    }
    let turned: Vec<u8> =
        bytes.chunks(size).flat_map(|element| element.iter().rev()).copied().collect();
    Ok(Extended::TypedArray { tag: tag | LOW_BYTE_FIRST, bytes: turned.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_from_text() {
        let check = |text: &str, ms: Option<f64>| assert_eq!(parse_date(text).map(|d| d.0), ms);
        check("1970-01-01T00:00:00Z", Some(0.0));
        check("2000-02-29T00:00:00.123Z", Some(951_782_400_123.0));
        check("2000-02-29t01:00:00.1239+01:00", Some(951_782_400_123.0));
        check("1969-12-31T23:59:59.999z", Some(-1.0));
        check("1969-12-31 22:30:00-01:30", Some(0.0));
        check("0000-03-01T00:00:00Z", Some(-62_162_035_200_000.0));
        check("9999-12-31T23:59:60Z", Some(253_402_300_800_000.0));
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-13-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.5x+01:00",
            "1970-1-01T00:00:00Z",
            "1970-01-01T00:00:00*01:00",
            "+970-01-01T00:00:00Z",
            "1970-01-01T0\u{e9}:00:00Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn milliseconds_round_as_in_javascript() {
        let ms = |seconds| date(Head::Float(seconds)).unwrap().0;
        assert_eq!(ms(1_567_677_050.576), 1_567_677_050_576.0);
        assert_eq!(ms(0.0005), 1.0);
        assert_eq!(ms(-0.0005), 0.0);
        assert_eq!(ms(-0.0015), -1.0);
        assert!(ms(f64::NAN).is_nan());
        assert_eq!(date(Head::Negative(0)).unwrap().0, -1000.0);
        assert_eq!(date(Head::Long { negative: true, n: 0 }).unwrap().0, -1000.0);
        assert!(date(Head::Null).is_err());
    }
}
