//! [`Value`] as a serde target, and as a serde source ([`ValueDeserializer`]).

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess,
        SeqAccess, Unexpected, VariantAccess, Visitor,
        value::{SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{Extended, Object, Value, ser::from_kind};
use crate::format::{DecodeError, Key, kinds};

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(kinds::VALUE, ValueVisitor { trusted: true })
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(object) => Ok(object),
            other => Err(D::Error::custom(format_args!("expected an object, found {other:?}"))),
        }
    }
}

struct ValueVisitor {
    /// Whether the deserializer is one of ours: its lengths have been checked.
    trusted: bool,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(v.into())
    }
    fn visit_bytes<E>(self, v: &[u8]) -> Result<Value, E> {
        Ok(Bytes::copy_from_slice(v).into())
    }
    fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Value, E> {
        Ok(Bytes::from(v).into())
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(Self { trusted: false })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::with_capacity(self.reserve(seq.size_hint()));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Object::with_capacity(self.reserve(map.size_hint()));
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            object.insert(key, value);
        }
        Ok(object.into())
    }
    /// One of the further kinds.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (name, content) = data.variant::<String>()?;
        match &*name {
            kinds::UNDEFINED => content.unit_variant().map(|()| Value::Undefined),
            kinds::MAP => content
                .newtype_variant::<Entries>()
                .map(|Entries(entries)| Extended::Map(entries).into()),
            name => from_kind(name, content.newtype_variant()?)
                .ok_or_else(|| A::Error::custom(format_args!("malformed content of {name}"))),
        }
    }
}

impl ValueVisitor {
    /// A length that somebody else read may lie, so it reserves nothing.
    fn reserve(&self, len: Option<usize>) -> usize {
        len.filter(|_| self.trusted).unwrap_or(0)
    }
}

/// The entries of a map, from its keys and values in turn.
struct Entries(Vec<(Value, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Vec<(Value, Value)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values in turn")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(seq.size_hint().unwrap_or(0) / 2);
                while let Some(key) = seq.next_element()? {
                    let value = seq.next_element()?;
                    entries.push((key, value.ok_or_else(|| A::Error::invalid_length(1, &self))?));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(V).map(Self)
    }
}

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

struct SeqSource(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for SeqSource {
    type Error = DecodeError;

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.0.next().map(|item| seed.deserialize(ValueDeserializer(item))).transpose()
    }
}

struct MapSource<I> {
    members: I,
    value: Option<Value>,
}

impl MapSource<()> {
    fn new(object: Object) -> MapSource<impl Iterator<Item = (String, Value)>> {
        let members = object.into_iter().filter(|(_, value)| !value.is_undefined());
        MapSource { members, value: None }
    }

    /// Undefined members included, which only [`Value`] takes.
    fn all(object: Object) -> MapSource<impl Iterator<Item = (String, Value)>> {
        MapSource { members: object.into_iter(), value: None }
    }
}

impl<'de, I: Iterator<Item = (String, Value)>> MapAccess<'de> for MapSource<I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(Key::from(Cow::Owned(key))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let value = self.value.take().unwrap_or_default();
        seed.deserialize(ValueDeserializer(value))
    }
}

struct EnumSource {
    variant: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for EnumSource {
    type Error = DecodeError;
    type Variant = VariantSource;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantSource), DecodeError> {
        let variant = seed.deserialize(StringDeserializer::<DecodeError>::new(self.variant))?;
        Ok((variant, VariantSource(self.content)))
    }
}

struct VariantSource(Option<Value>);

impl VariantSource {
    fn content(self) -> Result<ValueDeserializer, DecodeError> {
        self.0.map(ValueDeserializer).ok_or_else(|| {
            DecodeError::invalid_type(Unexpected::UnitVariant, &"a variant with content")
        })
    }
}

impl<'de> VariantAccess<'de> for VariantSource {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        self.0.map_or(Ok(()), |content| <()>::deserialize(ValueDeserializer(content)))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.content()?)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.content()?.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.content()?.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
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
