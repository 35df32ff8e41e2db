//! [`Value`] as a serde source: [`ValueDeserializer`].

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor, value::SeqDeserializer},
    forward_to_deserialize_any,
};

use super::{
    Extended, Object, Value,
    access::{EnumSource, MapSource, SeqSource},
};
use crate::format::{DecodeError, kinds};

impl Value {
    /// Converts into any deserializable type.
    ///
    /// An integral float fits an integer, and null or `{}` fit `()`.
    ///
    /// # Errors
    ///
    /// When the value does not fit the type.
    pub fn into_type<T: DeserializeOwned>(self) -> Result<T, DecodeError> {
        T::deserialize(ValueDeserializer(self))
    }
}

/// Reads a type from a value in memory.
#[derive(Debug)]
pub struct ValueDeserializer(pub(crate) Value);

impl IntoDeserializer<'_, DecodeError> for Value {
    type Deserializer = ValueDeserializer;

    fn into_deserializer(self) -> ValueDeserializer {
        ValueDeserializer(self)
    }
}

macro_rules! integral {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.0.as_i64() {
                Some(n) => visitor.visit_i64(n),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for ValueDeserializer {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Undefined | Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(flag),
            Value::Int(n) => visitor.visit_i64(n),
            Value::UInt(n) => visitor.visit_u64(n),
            Value::Float(n) => visitor.visit_f64(n),
            Value::String(text) => visitor.visit_string(text),
            Value::Bytes(bytes) => visitor.visit_byte_buf((*bytes).into()),
            Value::Array(items) => visitor.visit_seq(SeqSource(items.into_iter())),
            Value::Object(object) => visitor.visit_map(MapSource::new(object)),
            Value::Date(date) => match date.to_iso() {
                Some(iso) => visitor.visit_string(iso),
                None => visitor.visit_unit(),
            },
            Value::Extended(extended) => Self(extended.json_form()).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_nullish() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0 {
            Value::Object(object) if object.is_empty() => visitor.visit_unit(),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        // Absent params stand for `{}`; null does only where nothing is expected.
        if self.0.is_undefined() || (fields.is_empty() && self.0.is_nullish()) {
            return visitor.visit_map(MapSource::new(Object::new()));
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name != kinds::VALUE {
            return visitor.visit_newtype_struct(self);
        }
        let (kind, content) = match self.0 {
            Value::Undefined => (kinds::UNDEFINED, None),
            Value::Date(date) => (kinds::DATE, Some(Value::Float(date.0))),
            Value::Extended(extended) => {
                let (kind, content) = extended.into_kind();
                (kind, Some(content))
            }
            Value::Object(object) => return visitor.visit_map(MapSource::all(object)),
            _ => return self.deserialize_any(visitor),
        };
        let variant = kind.to_owned();
        visitor.visit_enum(EnumSource { variant, content })
    }

    /// Bytes of a `Uint8Array` are binary data to a type that wants such.
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Extended(extended) => match *extended {
                Extended::TypedArray { tag: 64 | 68, bytes } => {
                    visitor.visit_byte_buf(bytes.into())
                }
                other => Self(other.into()).deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_byte_buf(visitor)
    }

    /// Binary data, typed arrays and sets read as lists too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Bytes(bytes) => {
                let bytes = bytes.iter().copied();
                visitor.visit_seq(SeqDeserializer::<_, DecodeError>::new(bytes))
            }
            Value::Extended(extended) => match *extended {
                Extended::Set(items) => visitor.visit_seq(SeqSource(items.into_iter())),
                Extended::TypedArray { tag, ref bytes } => match elements(tag, bytes) {
                    Some(items) => visitor.visit_seq(SeqSource(items.into_iter())),
                    None => Self((*extended).into()).deserialize_any(visitor),
                },
                other => Self(other.into()).deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    /// A map whose keys are text reads as an object too.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Extended(extended) => match extended.into_object() {
                Ok(object) => visitor.visit_map(MapSource::new(object)),
                Err(other) => Self(other.into()).deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (variant, content) = match self.0 {
            Value::String(variant) => (variant, None),
            Value::Object(object) if object.len() == 1 => {
                let Some((variant, content)) = object.into_iter().next() else {
                    return Err(DecodeError::custom("empty object"));
                };
                (variant, Some(content))
            }
            other => {
                return Err(DecodeError::custom(format_args!(
                    "expected a variant name or an object with one member, found {other:?}"
                )));
            }
        };
        visitor.visit_enum(EnumSource { variant, content })
    }

    integral!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_u64(visitor)
    }
    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.as_u64() {
            Some(n) => visitor.visit_u64(n),
            None => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string tuple_struct identifier ignored_any
    }
}

impl Extended {
    /// The entries of a map as members, if all keys are text.
    fn into_object(self) -> Result<Object, Self> {
        match self {
            Self::Map(entries) if entries.iter().all(|(key, _)| key.as_str().is_some()) => {
                let member = |(key, value)| match key {
                    Value::String(key) => Some((key, value)),
                    _ => None,
                };
                Ok(entries.into_iter().filter_map(member).collect())
            }
            other => Err(other),
        }
    }
}

/// The elements of a typed array; `None` for kinds that JavaScript lacks.
fn elements(tag: u8, bytes: &[u8]) -> Option<Vec<Value>> {
    fn each<const N: usize>(bytes: &[u8], read: fn([u8; N]) -> Value) -> Vec<Value> {
        let (elements, _) = bytes.as_chunks();
        elements.iter().copied().map(read).collect()
    }
    Some(match tag {
        64 | 68 => each(bytes, |n| u8::from_le_bytes(n).into()),
        69 => each(bytes, |n| u16::from_le_bytes(n).into()),
        70 => each(bytes, |n| u32::from_le_bytes(n).into()),
        71 => each(bytes, |n| u64::from_le_bytes(n).into()),
        72 => each(bytes, |n| i8::from_le_bytes(n).into()),
        77 => each(bytes, |n| i16::from_le_bytes(n).into()),
        78 => each(bytes, |n| i32::from_le_bytes(n).into()),
        79 => each(bytes, |n| i64::from_le_bytes(n).into()),
        85 => each(bytes, |n| f64::from(f32::from_le_bytes(n)).into()),
        86 => each(bytes, |n| f64::from_le_bytes(n).into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{BigInt, Date};

    #[test]
    fn lenient_where_javascript_is() {
        let value = |json| Value::from(json);
        assert_eq!(Value::Float(5.0).into_type::<i64>().unwrap(), 5);
        assert_eq!(Value::Float(5.0).into_type::<u8>().unwrap(), 5);
        assert_eq!(value(json!(5)).into_type::<f64>().unwrap(), 5.0);
        value(json!({})).into_type::<()>().unwrap();
        value(json!(null)).into_type::<()>().unwrap();
        assert!(value(json!([1])).into_type::<()>().is_err());
        assert!(value(json!(5.5)).into_type::<i64>().is_err());
        assert!(value(json!(300)).into_type::<u8>().is_err());
    }

    #[test]
    fn structs_enums_and_options() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Shape {
            Unit,
            Circle(f64),
            Rect { w: u8, h: Option<u8> },
        }
        let shapes: Vec<Shape> =
            Value::from(json!(["Unit", {"Circle": 1}, {"Rect": {"w": 2, "x": 0}}]))
                .into_type()
                .unwrap();
        assert_eq!(shapes, [Shape::Unit, Shape::Circle(1.0), Shape::Rect { w: 2, h: None }]);
    }

    #[test]
    fn maps_with_text_as_keys_read_as_objects() {
        let map = |key: Value| Value::from(Extended::Map(vec![(key, 5.into())]));
        let outer = Value::from(Extended::Map(vec![("in".into(), map("a".into()))]));
        type Map<T> = std::collections::BTreeMap<String, T>;
        let read: Map<Map<u8>> = outer.into_type().unwrap();
        assert_eq!(read["in"]["a"], 5);
        let shown: Map<u8> = map(1.into()).into_type().unwrap();
        assert!(shown.is_empty(), "what JSON shows of it");
    }

    #[test]
    fn typed_arrays_read_as_lists() {
        let array = |tag, bytes: &'static [u8]| {
            Value::from(Extended::TypedArray { tag, bytes: Bytes::from_static(bytes) })
        };
        let bytes: Bytes = array(64, b"ab").into_type().unwrap();
        assert_eq!(bytes, b"ab".as_slice());
        assert_eq!(array(68, b"ab").into_type::<Vec<u8>>().unwrap(), b"ab");
        assert_eq!(array(69, &[1, 2]).into_type::<(u32,)>().unwrap(), (0x201,));
        assert_eq!(array(72, &[0xff]).into_type::<Vec<i64>>().unwrap(), [-1]);
        let floats = array(85, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(floats.into_type::<Vec<f32>>().unwrap(), [1.0, -2.0]);
        let longs = array(79, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(longs.into_type::<Vec<i64>>().unwrap(), [-2]);
        // No elements of 16-bit floats here; and these are no bytes.
        assert!(array(84, &[0, 0]).into_type::<Vec<f32>>().is_err());
        assert!(array(69, &[1, 2]).into_type::<Bytes>().is_err());
    }

    /// Also inside of other types.
    #[test]
    fn a_value_in_a_type_keeps_its_kind() {
        #[derive(Deserialize)]
        struct Envelope {
            inner: Value,
            bytes: Vec<u8>,
            set: Vec<u8>,
        }
        let further: Value = vec![
            Value::Undefined,
            Value::Date(Date(1.0)),
            Extended::Map(vec![(1.into(), Value::Undefined)]).into(),
            Extended::BigInt(BigInt::parse("-5").unwrap()).into(),
            Object::from([("gone", Value::Undefined)]).into(),
        ]
        .into();
        let outer = Object::from([
            ("inner", further.clone()),
            ("bytes", Bytes::from_static(b"ab").into()),
            ("set", Extended::Set(vec![1.into()]).into()),
        ]);
        let envelope: Envelope = Value::from(outer).into_type().unwrap();
        assert_eq!(envelope.inner, further);
        assert_eq!((envelope.bytes, envelope.set), (b"ab".to_vec(), vec![1]));
    }
}
