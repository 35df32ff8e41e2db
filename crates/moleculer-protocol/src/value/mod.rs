//! The dynamic value that every serializer can carry.

mod access;
mod by_ref;
mod de;
mod deserializer;
mod json;
mod object;
mod ser;

use std::{fmt, str::FromStr};

use bytes::Bytes;

pub(crate) use self::{by_ref::RefDeserializer, ser::ValueSerializer};
pub use self::{deserializer::ValueDeserializer, object::Object};

/// A value whose type is known only at run time.
///
/// JSON's kinds, 64-bit integers apart from floats, bytes, and the further
/// kinds that JSONExt, MsgPack and CBOR carry, so that a node in the middle
/// passes anything on unchanged. JSON writes the further kinds as JavaScript's
/// `JSON.stringify` does: see the table in the [crate docs](crate).
///
/// ```
/// use moleculer_protocol::Value;
///
/// let value = Value::from(serde_json::json!({ "user": { "id": 5 } }));
/// assert_eq!(value.pointer("user.id"), Some(&Value::Int(5)));
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// JavaScript's `undefined`: an absent member that some formats write.
    Undefined,
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// Any other number; `-0`, infinities and NaN included.
    Float(f64),
    /// Text.
    String(String),
    /// Binary data: a JavaScript `Buffer`.
    Bytes(Box<Bytes>),
    /// A list.
    Array(Vec<Self>),
    /// Text keys in insertion order.
    Object(Object),
    /// A point in time.
    Date(Date),
    /// The rare kinds.
    Extended(Box<Extended>),
}

/// Kinds of [`Value`] that are rare enough to live in a box.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Extended {
    /// An integer of any size.
    BigInt(BigInt),
    /// A typed array other than a `Buffer`.
    TypedArray {
        /// Tag of RFC 8746 that names the element type, for example 64 for `Uint8Array`.
        tag: u8,
        /// The elements as little-endian bytes.
        bytes: Bytes,
    },
    /// A `Map`, whose keys need not be text.
    Map(Vec<(Value, Value)>),
    /// A `Set`.
    Set(Vec<Value>),
    /// A regular expression.
    RegExp {
        /// The pattern between the slashes.
        source: String,
        /// The flags after the second slash.
        flags: String,
    },
}

impl Extended {
    /// A big integer that fits.
    fn integer<T: FromStr>(&self) -> Option<T> {
        match self {
            Self::BigInt(n) => n.as_str().parse().ok(),
            _ => None,
        }
    }
}

/// Milliseconds since 1970-01-01 UTC; NaN is JavaScript's invalid date.
#[derive(Clone, Copy, Debug)]
pub struct Date(pub f64);

impl PartialEq for Date {
    /// Two invalid dates are equal: a relayed value must compare equal to itself.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

/// An integer of any size, as decimal digits with an optional leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigInt(String);

impl BigInt {
    /// Takes decimal digits with an optional leading `-`; `None` for anything else.
    pub fn parse(digits: &str) -> Option<Self> {
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        let valid = !magnitude.is_empty() && magnitude.bytes().all(|c| c.is_ascii_digit());
        valid.then(|| Self(digits.to_owned()))
    }

    /// The decimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value {
    /// Whether this is `Undefined`.
    pub const fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined)
    }

    /// Whether this is `Null` or `Undefined`.
    pub const fn is_nullish(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }

    /// Whether JavaScript takes this for true: flags on the wire need no more.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Int(n) => *n != 0,
            Self::UInt(n) => *n != 0,
            Self::Float(n) => *n != 0.0 && !n.is_nan(),
            Self::String(text) => !text.is_empty(),
            _ => true,
        }
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The flag, if this is one.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The number as a float, if this is a number.
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::UInt(n) => Some(*n as f64),
            Self::Float(n) => Some(*n),
            _ => None,
        }
    }

    /// The number as an integer, if it is integral and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Float(n) if n.fract() == 0.0 && n.abs() < 9e18 => Some(*n as i64),
            Self::Extended(extended) => extended.integer(),
            _ => None,
        }
    }

    /// The number as an integer, if it is integral, not negative and fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::UInt(n) => Some(*n),
            Self::Float(n) if n.fract() == 0.0 && (0.0..1.8e19).contains(n) => Some(*n as u64),
            Self::Extended(extended) => extended.integer(),
            _ => self.as_i64().and_then(|n| u64::try_from(n).ok()),
        }
    }

    /// The elements, if this is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Follows a path of member names and list indexes separated by dots.
    pub fn pointer(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, key| match value {
            Self::Object(object) => object.get(key),
            Self::Array(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("undefined"),
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::UInt(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "{bytes:?}"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Object(object) => object.fmt(f),
            Self::Date(date) => date.fmt(f),
            Self::Extended(extended) => extended.fmt(f),
        }
    }
}

macro_rules! from_number {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(n: $int) -> Self {
                Self::Int(i64::from(n))
            }
        }
    )*};
}
from_number!(i8, i16, i32, i64, u8, u16, u32);

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        i64::try_from(n).map_or(Self::UInt(n), Self::Int)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Self::from(n as u64)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Float(n)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(Box::new(bytes))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Extended> for Value {
    fn from(extended: Extended) -> Self {
        Self::Extended(Box::new(extended))
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_small() {
        // The bound on decoding (64 times the input) rests on this.
        assert_eq!(size_of::<Value>(), 32);
        assert_eq!(size_of::<Object>(), 24);
    }

    /// CBOR has no other form for integers of more than 53 bits.
    #[test]
    fn a_big_integer_that_fits_is_an_integer() {
        let big = |digits| Value::from(Extended::BigInt(BigInt::parse(digits).expect(digits)));
        assert_eq!(big("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(big("9223372036854775808").as_i64(), None);
        assert_eq!(big("18446744073709551615").as_u64(), Some(u64::MAX));
        assert_eq!(big("-1").as_u64(), None);
        assert_eq!(Value::from(Extended::Set(vec![])).as_i64(), None);
    }

    #[test]
    fn truthiness_is_that_of_javascript() {
        for falsy in [
            Value::Undefined,
            Value::Null,
            false.into(),
            0.into(),
            (-0.0).into(),
            f64::NAN.into(),
            "".into(),
        ] {
            assert!(!falsy.is_truthy(), "{falsy:?}");
        }
        for truthy in [true.into(), 1.into(), "0".into(), Value::Array(vec![])] {
            assert!(truthy.is_truthy(), "{truthy:?}");
        }
    }
}
