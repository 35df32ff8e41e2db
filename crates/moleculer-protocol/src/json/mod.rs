//! JSON as JavaScript writes and reads it.
//!
//! Differences from `serde_json`: bytes take the form
//! `{"type":"Buffer","data":[..]}` in both directions, numbers print as in
//! JavaScript (`5`, `1e+21`), `()` and empty structs read from null and `{}`,
//! and lone surrogates are replaced instead of refused.

mod de;
mod serializer;

use std::{borrow::Cow, io, marker::PhantomData};

use bytes::BytesMut;
use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

use self::de::Lenient;
pub use self::serializer::JsonSerializer;
use crate::format::{DecodeError, EncodeError, Owned};

/// Appends `value` as JSON text to `out`.
///
/// # Errors
///
/// When the value's own `Serialize` fails or a map key is not text.
pub fn to_writer<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut serializer = serde_json::Serializer::with_formatter(Out(out), JavaScript);
    value.serialize(&mut serializer).map_err(|error| EncodeError::new(error.to_string()))
}

/// Reads JSON text.
///
/// # Errors
///
/// When the text is not JSON, is nested deeper than 128 levels, or does not
/// fit `T`.
pub fn from_slice<T: DeserializeOwned>(input: &[u8]) -> Result<T, DecodeError> {
    from_slice_seed(input, Owned(PhantomData))
}

/// As [`from_slice`], for a seed; runs it again if surrogates were replaced.
pub(crate) fn from_slice_seed<T, S>(input: &[u8], seed: S) -> Result<T, DecodeError>
where
    S: for<'de> DeserializeSeed<'de, Value = T> + Copy,
{
    read(input, seed).or_else(|error| match replace_lone_surrogates(input) {
        Cow::Owned(text) => read(&text, seed),
        Cow::Borrowed(_) => Err(error),
    })
}

/// As [`from_slice_seed`], for a seed that must not run twice.
pub(crate) fn from_slice_once<T>(
    input: &[u8],
    seed: impl for<'de> DeserializeSeed<'de, Value = T>,
) -> Result<T, DecodeError> {
    read(&replace_lone_surrogates(input), seed)
}

fn read<T>(
    input: &[u8],
    seed: impl for<'de> DeserializeSeed<'de, Value = T>,
) -> Result<T, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_str(text(input)?);
    seed.deserialize(Lenient(&mut deserializer))
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| DecodeError::new(error.to_string()))
}

/// The input as text: checked once as a whole, which costs less than checking
/// each string in it.
fn text(input: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(input).map_err(|error| DecodeError::new(format!("JSON is UTF-8, but {error}")))
}

/// JavaScript writes half a surrogate pair as an escape; no Rust string can
/// hold it, so it becomes U+FFFD.
fn replace_lone_surrogates(input: &[u8]) -> Cow<'_, [u8]> {
    let mut at = 0;
    let mut fixed: Option<Vec<u8>> = None;
    while let Some(step) = input[at..].iter().position(|&c| c == b'\\') {
        at += step;
        match (surrogate(input, at), surrogate(input, at + 6)) {
            (Some(false), Some(true)) => at += 12,
            (Some(_), _) => {
                fixed.get_or_insert_with(|| input.to_vec())[at..at + 6].copy_from_slice(b"\\ufffd");
                at += 6;
            }
            (None, _) => at = (at + 2).min(input.len()),
        }
    }
    fixed.map_or(Cow::Borrowed(input), Cow::Owned)
}

/// Whether a surrogate's escape stands at `at`, and whether it is a low one.
fn surrogate(input: &[u8], at: usize) -> Option<bool> {
    let [b'\\', b'u', b'd' | b'D', high, a, b] = input.get(at..at + 6)? else {
        return None;
    };
    if !(a.is_ascii_hexdigit() && b.is_ascii_hexdigit()) {
        return None;
    }
    match high {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(false),
        b'c'..=b'f' | b'C'..=b'F' => Some(true),
        _ => None,
    }
}

/// Prints numbers and bytes as JavaScript does.
struct JavaScript;

/// The `writer()` of `BytesMut`, without its loop and its limit around each of
/// the many single characters.
struct Out<'a>(&'a mut BytesMut);

impl io::Write for Out<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(text);
        Ok(text.len())
    }

    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl serde_json::ser::Formatter for JavaScript {
    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }

    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        writer.write_all(br#"{"type":"Buffer","data":["#)?;
        for (i, &byte) in bytes.iter().enumerate() {
            if i > 0 {
                writer.write_all(b",")?;
            }
            self.write_u8(writer, byte)?;
        }
        writer.write_all(b"]}")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde::Deserialize;

    use super::*;
    use crate::Value;

    fn text<T: Serialize>(value: &T) -> String {
        let mut out = BytesMut::new();
        to_writer(value, &mut out).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn numbers_print_as_in_javascript() {
        for (n, expected) in [
            (5.0, "5"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(text(&n), expected);
        }
        assert_eq!(text(&0.1_f32), "0.1");
        assert_eq!(text(&u64::MAX), "18446744073709551615");
    }

    /// Without the feature `float_roundtrip` of `serde_json` they come out one
    /// step beside what JavaScript wrote.
    #[test]
    fn numbers_of_many_digits_are_read_exactly() {
        for (digits, expected) in [
            ("-2147900769925477.4e6", -2_147_900_769_925_477_400_000.0),
            ("863.4277325837063", 863.427_732_583_706_3),
            ("2.5777777777777775e79", 2.577_777_777_777_777_5e79),
        ] {
            assert_eq!(from_slice::<f64>(digits.as_bytes()).unwrap(), expected, "{digits}");
            assert_eq!(from_slice::<Value>(digits.as_bytes()).unwrap(), Value::Float(expected));
        }
    }

    #[test]
    fn bytes_take_the_buffer_form_both_ways() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            body: Bytes,
            rest: Vec<Option<Bytes>>,
        }
        let file = File {
            body: Bytes::from_static(&[0, 255]),
            rest: vec![None, Some(Bytes::from_static(b"a"))],
        };
        let json = r#"{"body":{"type":"Buffer","data":[0,255]},"rest":[null,{"type":"Buffer","data":[97]}]}"#;
        assert_eq!(text(&file), json);
        assert_eq!(from_slice::<File>(json.as_bytes()).unwrap(), file);
        assert_eq!(from_slice::<Bytes>(b"[1,2]").unwrap(), Bytes::from_static(&[1, 2]));
        for bad in [r#"{"type":"Blob","data":[]}"#, r#"{"type":"Buffer","data":[256]}"#, "5", "{}"]
        {
            assert!(from_slice::<Bytes>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_reads_from_null_and_an_empty_object() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Empty {}
        #[derive(Debug, PartialEq, Deserialize)]
        struct Unit;
        for json in ["null", "{}"] {
            from_slice::<()>(json.as_bytes()).unwrap();
            assert_eq!(from_slice::<Empty>(json.as_bytes()).unwrap(), Empty {});
            assert_eq!(from_slice::<Unit>(json.as_bytes()).unwrap(), Unit);
        }
        assert!(from_slice::<()>(br#"{"a":1}"#).is_err());
        assert_eq!(from_slice::<Option<Empty>>(b"null").unwrap(), None);
    }

    #[test]
    fn invalid_utf_8_is_an_error_that_tells_where() {
        let error = from_slice::<Value>(b"[\"a\xff\"]").unwrap_err();
        assert_eq!(
            error.to_string(),
            "JSON is UTF-8, but invalid utf-8 sequence of 1 bytes from index 3"
        );
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        let check = |json: &str, expected: &str| {
            assert_eq!(from_slice::<String>(json.as_bytes()).unwrap(), expected);
        };
        check(r#""a\ud800b""#, "a\u{fffd}b");
        check(r#""\udc00\ud83d\ude00""#, "\u{fffd}\u{1f600}");
        check(r#""\\ud800\ud800""#, "\\ud800\u{fffd}");
        assert!(from_slice::<String>(br#""\ud8"#).is_err());
    }

    #[test]
    fn nesting_is_limited() {
        let deep = "[".repeat(100_000);
        assert!(
            from_slice::<Value>(deep.as_bytes()).unwrap_err().to_string().contains("recursion")
        );
    }

    #[test]
    fn wrapped_visitors_see_everything() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Kind {
            Unit,
            New(i64),
            Tuple(u8, String),
            Struct { a: Option<Box<Self>> },
        }
        let kinds = vec![
            Kind::Unit,
            Kind::New(-1),
            Kind::Tuple(1, "\u{1F600}\n".into()),
            Kind::Struct { a: Some(Box::new(Kind::Unit)) },
            Kind::Struct { a: None },
        ];
        let json = text(&kinds);
        assert_eq!(json, serde_json::to_string(&kinds).unwrap());
        assert_eq!(from_slice::<Vec<Kind>>(json.as_bytes()).unwrap(), kinds);
        let map: std::collections::BTreeMap<u32, f64> = from_slice(br#"{"1":5,"2":0.5}"#).unwrap();
        assert_eq!(map, [(1, 5.0), (2, 0.5)].into());
    }
}
