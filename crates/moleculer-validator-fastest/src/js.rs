//! What JavaScript makes of values: numbers, text, equality. The rules are
//! defined by it.

use std::borrow::Cow;

use moleculer_protocol::{Extended, Value};

/// `Number(value)`.
pub(crate) fn to_number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::String(text) => parse_number(text),
        Value::Array(_) => parse_number(&to_text(value)),
        Value::Date(date) => date.0,
        Value::Extended(extended) => match &**extended {
            Extended::BigInt(n) => parse_number(n.as_str()),
            _ => f64::NAN,
        },
        number => number.as_f64().unwrap_or(f64::NAN),
    }
}

/// `Number(text)`: NaN for what is no number, 0 for empty text.
pub(crate) fn parse_number(text: &str) -> f64 {
    let text = trim(text);
    let radix = |digits: &str, radix: u32| {
        let digits = digits.chars().map(|digit| digit.to_digit(radix).map(f64::from));
        let value = digits.reduce(|all, digit| Some(all? * f64::from(radix) + digit?));
        value.flatten().unwrap_or(f64::NAN)
    };
    match text.get(..2) {
        Some("0x" | "0X") => return radix(&text[2..], 16),
        Some("0o" | "0O") => return radix(&text[2..], 8),
        Some("0b" | "0B") => return radix(&text[2..], 2),
        _ => {}
    }
    match text {
        "" => 0.0,
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads names such as `inf`.
        _ if text.bytes().all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c)) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

/// A number as a value: an integer where it is one, as JSON shows it.
pub(crate) fn number(n: f64) -> Value {
    let is_integer = n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0;
    if is_integer && !(n == 0.0 && n.is_sign_negative()) {
        Value::Int(n as i64)
    } else {
        Value::Float(n)
    }
}

/// `String(value)`, except that dates are in their ISO form.
pub(crate) fn to_text(value: &Value) -> Cow<'_, str> {
    Cow::Owned(match value {
        Value::String(text) => return Cow::Borrowed(text),
        Value::Undefined => "undefined".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        Value::Float(n) => ryu_js::Buffer::new().format(*n).to_owned(),
        Value::Array(items) => join(items, ","),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Date(date) => date.to_iso().unwrap_or_else(|| "Invalid Date".to_owned()),
        Value::Extended(extended) => match &**extended {
            Extended::BigInt(n) => n.as_str().to_owned(),
            Extended::RegExp { source, flags } => format!("/{source}/{flags}"),
            _ => "[object Object]".to_owned(),
        },
        _ => "[object Object]".to_owned(),
    })
}

/// `items.join(separator)`.
pub(crate) fn join(items: &[Value], separator: &str) -> String {
    let texts = items.iter().map(|item| match item {
        Value::Undefined | Value::Null => Cow::Borrowed(""),
        item => to_text(item),
    });
    texts.collect::<Vec<_>>().join(separator)
}

/// `a === b`, where objects and lists are equal to nothing: each value that
/// came over a wire has an identity of its own.
pub(crate) fn strict_eq(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Undefined, Value::Undefined) | (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Extended(a), Value::Extended(b)) => {
            matches!((&**a, &**b), (Extended::BigInt(a), Extended::BigInt(b)) if a == b)
        }
        _ => matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b),
    }
}

/// `a == b`, with the same exception.
pub(crate) fn loose_eq(a: &Value, b: &Value) -> bool {
    if a.is_nullish() || b.is_nullish() {
        return a.is_nullish() && b.is_nullish();
    }
    let is_text = |value: &Value| matches!(value, Value::String(_));
    match (is_primitive(a), is_primitive(b)) {
        (false, false) => false,
        (true, true) if is_text(a) && is_text(b) => to_text(a) == to_text(b),
        (true, true) => to_number(a) == to_number(b),
        (true, false) if is_text(a) => to_text(a) == to_text(b),
        (false, true) if is_text(b) => to_text(a) == to_text(b),
        _ => parse_or_number(a) == parse_or_number(b),
    }
}

/// An object as a number: by way of its text.
fn parse_or_number(value: &Value) -> f64 {
    if is_primitive(value) { to_number(value) } else { parse_number(&to_text(value)) }
}

fn is_primitive(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Bytes(_) | Value::Date(_) => false,
        Value::Extended(extended) => matches!(**extended, Extended::BigInt(_)),
        _ => true,
    }
}

/// `text.length`: the number of UTF-16 units.
pub(crate) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// `text.trim()`.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What JavaScript takes for white space. It is not quite what Unicode does.
pub(crate) const fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}'
            | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

/// What a text literal of JavaScript with this content denotes. The reference
/// writes some texts into the source of its checks, so that backslashes are
/// read once more.
pub(crate) fn literal(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut rest = content.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escaped) = rest.next() else { break };
        let code = |digits: usize, rest: &mut std::str::Chars<'_>| {
            let hex = rest.as_str().get(..digits)?;
            let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            rest.nth(digits - 1);
            Some(c)
        };
        out.push(match escaped {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '0' => '\0',
            'x' => code(2, &mut rest).unwrap_or('x'),
            'u' => code(4, &mut rest).unwrap_or('u'),
            other => other,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use moleculer_protocol::{Date, Object};

    use super::*;

    #[test]
    fn texts_are_read_as_numbers() {
        let check = |text: &str, expected: f64| {
            let found = parse_number(text);
            assert!(found == expected || (found.is_nan() && expected.is_nan()), "{text}: {found}");
        };
        for (text, expected) in [
            ("", 0.0),
            (" \n12.5\u{feff}", 12.5),
            ("0x1F", 31.0),
            ("0b11", 3.0),
            ("0o17", 15.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            check(text, expected);
        }
        for text in ["inf", "nan", "1_000", "0x", "0xg", "12px", "-0x1", ".", "é"] {
            check(text, f64::NAN);
        }
    }

    #[test]
    fn equality_is_that_of_javascript() {
        let list = |items: &[i64]| Value::from(items.to_vec());
        assert!(strict_eq(&5.into(), &5.0.into()));
        assert!(!strict_eq(&list(&[]), &list(&[])));
        for (a, b) in [
            (Value::Null, Value::Undefined),
            (1.into(), "1".into()),
            (true.into(), "1".into()),
            (list(&[1, 2]), "1,2".into()),
            (list(&[5]), 5.into()),
            (Object::new().into(), "[object Object]".into()),
        ] {
            assert!(loose_eq(&a, &b) && loose_eq(&b, &a), "{a:?} {b:?}");
        }
        for (a, b) in [
            (Value::Null, 0.into()),
            ("a".into(), 0.into()),
            (list(&[1]), list(&[1])),
            (Value::Date(Date(0.0)), "".into()),
        ] {
            assert!(!loose_eq(&a, &b) && !loose_eq(&b, &a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn lengths_are_in_utf_16_units() {
        assert_eq!(length("añ😀"), 4);
        assert_eq!(to_text(&Value::from(vec![Value::Null, 1.5.into(), "a".into()])), ",1.5,a");
        assert_eq!(literal(r"/^\d\.\x41\u0042\n$/"), "/^d.AB\n$/");
    }
}
