//! What differs between two values or packets, in words.

use moleculer_protocol::{
    EncodeError, Extended, FieldWriter, Object, Packet, Payload, Value, format::DecodeError,
};

/// Where two packets differ, if they do; the first member is named.
///
/// # Errors
///
/// When a payload cannot be decoded.
pub(crate) fn packets(expected: &Packet, actual: &Packet) -> Result<Option<String>, DecodeError> {
    Ok(difference(&members(expected)?, &members(actual)?))
}

/// Where two values differ, if they do; the first path is named.
///
/// Undefined members count as absent. Numbers compare by value and zeros by
/// their sign as well; an integer equals the float that JavaScript has for it.
///
/// ```
/// use moleculer_protocol::{Object, Value};
/// use moleculer_testkit::serializer::difference;
///
/// let [a, b] = [1, 2].map(|n| Value::from(Object::from([("user", Object::from([("id", n)]))])));
/// assert_eq!(difference(&a, &b).as_deref(), Some("user.id: expected 1, found 2"));
/// assert_eq!(difference(&a, &a), None);
/// ```
pub fn difference(expected: &Value, actual: &Value) -> Option<String> {
    compare(expected, actual).map(|(path, what)| match path.is_empty() {
        true => what,
        false => format!("{}: {what}", path.into_iter().rev().collect::<Vec<_>>().join(".")),
    })
}

/// The members of a packet, payloads decoded.
fn members(packet: &Packet) -> Result<Value, DecodeError> {
    let mut members = Members(Object::new());
    packet.write_fields(&mut members).map_err(|error| DecodeError::new(error.to_string()))?;
    Ok(members.0.into())
}

struct Members(Object);

impl FieldWriter for Members {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.0.insert(key, text);
        Ok(())
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.0.insert(key, value.clone());
        Ok(())
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.0.insert(key, object.clone());
        Ok(())
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        let value = payload.to_value().map_err(|error| EncodeError::new(error.to_string()))?;
        self.0.insert(key, value);
        Ok(())
    }
}

/// A path, built from its end, and what differs there.
type Difference = (Vec<String>, String);

fn compare(expected: &Value, actual: &Value) -> Option<Difference> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => compare_members(expected, actual),
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            compare_lists(expected, actual)
        }
        (Value::Extended(a), Value::Extended(b)) => match (&**a, &**b) {
            (Extended::Set(a), Extended::Set(b)) if a.len() == b.len() => compare_lists(a, b),
            (Extended::Map(a), Extended::Map(b)) if a.len() == b.len() => {
                a.iter().zip(b).enumerate().find_map(|(at, (a, b))| {
                    within(&at, compare(&a.0, &b.0).or_else(|| compare(&a.1, &b.1)))
                })
            }
            _ if a == b => None,
            _ => Some(differ(expected, actual)),
        },
        _ if same(expected, actual) => None,
        _ => Some(differ(expected, actual)),
    }
}

fn differ(expected: &Value, actual: &Value) -> Difference {
    (vec![], format!("expected {}, found {}", short(expected), short(actual)))
}

/// Enough of a value to recognise it.
pub(crate) fn short(value: &Value) -> String {
    const SHOWN: usize = 200;
    let mut text = format!("{value:?}");
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.replace_range(end.., "...");
    }
    text
}

fn compare_members(expected: &Object, actual: &Object) -> Option<Difference> {
    let undefined = &Value::Undefined;
    // Each key once, or the work doubles with each level.
    let added = actual.keys().filter(|key| !expected.contains_key(key));
    expected.keys().chain(added).find_map(|key| {
        let [expected, actual] = [expected, actual].map(|o| o.get(key).unwrap_or(undefined));
        within(&key, compare(expected, actual))
    })
}

fn compare_lists(expected: &[Value], actual: &[Value]) -> Option<Difference> {
    let mut pairs = expected.iter().zip(actual).enumerate();
    pairs.find_map(|(at, (expected, actual))| within(&at, compare(expected, actual)))
}

fn within(key: &impl ToString, difference: Option<Difference>) -> Option<Difference> {
    difference.map(|(mut path, what)| {
        path.push(key.to_string());
        (path, what)
    })
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            a.is_nan() && b.is_nan() || (a == b && a.is_sign_negative() == b.is_sign_negative())
        }
        // JavaScript writes the shortest digits that mean the float.
        (Value::Float(n), other) | (other, Value::Float(n)) => {
            integer(other).is_some_and(|i| i as f64 == *n && !(*n == 0.0 && n.is_sign_negative()))
        }
        (Value::Int(_) | Value::UInt(_), _) => integer(a) == integer(b),
        _ => a == b,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some((*n).into()),
        Value::UInt(n) => Some((*n).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: impl Into<Value>, b: impl Into<Value>, found: Option<&str>) {
        let (a, b) = (a.into(), b.into());
        assert_eq!(difference(&a, &b).as_deref(), found, "{a:?} {b:?}");
        assert_eq!(difference(&b, &a).is_some(), found.is_some(), "{b:?} {a:?}");
    }

    #[test]
    fn numbers_compare_by_value_and_zeros_by_sign() {
        check(5, 5.0, None);
        check(5, 5.5, Some("expected 5, found 5.5"));
        check(0, -0.0, Some("expected 0, found -0.0"));
        check(0.0, -0.0, Some("expected 0.0, found -0.0"));
        check(f64::NAN, f64::NAN, None);
        check(u64::MAX, u64::MAX, None);
        check(
            u64::MAX,
            u64::MAX - 1,
            Some("expected 18446744073709551615, found 18446744073709551614"),
        );
        check(u64::MAX, u64::MAX as f64, None);
        check(Value::UInt(1), 1, None);
        check(5, "5", Some("expected 5, found \"5\""));
        check(5, (), Some("expected 5, found null"));
    }

    #[test]
    fn the_place_is_named() {
        let object = |n: Value| Object::from([("a", Value::from(vec![Value::from(1), n]))]);
        check(object(2.into()), object(3.into()), Some("a.1: expected 2, found 3"));
        check(object(2.into()), Object::new(), Some("a: expected [1, 2], found undefined"));
        check(Object::from([("a", Value::Undefined)]), Object::new(), None);
        let map = |n: f64| Value::from(Extended::Map(vec![(1.into(), n.into())]));
        check(map(1.0), Value::from(Extended::Map(vec![(1.into(), 1.into())])), None);
        check(map(1.0), map(2.0), Some("0: expected 1.0, found 2.0"));
    }
}
