//! [`Value`] as a serde source, and as a serde target ([`ValueSerializer`]).

use std::borrow::Cow;

use bytes::Bytes;
use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{BigInt, Date, Extended, Object, Value};
use crate::format::{EncodeError, kinds};

/// JSON sees the JSON form; a format that knows the names in [`kinds`] gets
/// the exact content by serializing the newtype's inner value with a
/// serializer that is not human readable.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Undefined => serializer.serialize_unit_struct(kinds::UNDEFINED),
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(n) => serializer.serialize_i64(*n),
            Self::UInt(n) => serializer.serialize_u64(*n),
            Self::Float(n) => serializer.serialize_f64(*n),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::Date(date) => serializer.serialize_newtype_struct(kinds::DATE, &Exact(date)),
            Self::Extended(extended) => {
                serializer.serialize_newtype_struct(extended.kind(), &Exact(&**extended))
            }
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.iter().any(|(_, value)| value.is_undefined()) {
            serializer.serialize_newtype_struct(kinds::OBJECT, &Exact(self))
        } else {
            serializer.collect_map(self.iter())
        }
    }
}

/// Serializes the exact content where the serializer is not human readable,
/// and what JSON shows of it elsewhere.
struct Exact<'a, T>(&'a T);

impl Serialize for Exact<'_, Date> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.to_iso().serialize(serializer)
        } else {
            serializer.serialize_f64(self.0.0)
        }
    }
}

impl Serialize for Exact<'_, Object> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = !serializer.is_human_readable();
        let members = || self.0.iter().filter(|(_, value)| all || !value.is_undefined());
        let mut map = serializer.serialize_map(Some(members().count()))?;
        for (key, value) in members() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Exact<'_, Extended> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.0.json_form().serialize(serializer);
        }
        match self.0 {
            Extended::BigInt(n) => serializer.serialize_str(n.as_str()),
            Extended::TypedArray { tag, bytes } => {
                (*tag, Value::from(bytes.clone())).serialize(serializer)
            }
            Extended::Map(entries) => entries.serialize(serializer),
            Extended::Set(items) => items.serialize(serializer),
            Extended::RegExp { source, flags } => (source, flags).serialize(serializer),
        }
    }
}

impl Extended {
    /// The name under which this kind passes through serde.
    const fn kind(&self) -> &'static str {
        match self {
            Self::BigInt(_) => kinds::BIG_INT,
            Self::TypedArray { .. } => kinds::TYPED_ARRAY,
            Self::Map(_) => kinds::MAP,
            Self::Set(_) => kinds::SET,
            Self::RegExp { .. } => kinds::REG_EXP,
        }
    }
}

/// Puts a kind together from its name and exact content.
///
/// `None` if the name is not one of [`kinds`] or the content does not fit it.
pub(super) fn from_kind(name: &str, content: Value) -> Option<Value> {
    let extended = match (name, content) {
        (kinds::OBJECT, object @ Value::Object(_)) => return Some(object),
        (kinds::DATE, Value::Float(ms)) => return Some(Value::Date(Date(ms))),
        (kinds::BIG_INT, Value::String(digits)) => Extended::BigInt(BigInt::parse(&digits)?),
        (kinds::SET, Value::Array(items)) => Extended::Set(items),
        (kinds::MAP, Value::Array(entries)) => {
            Extended::Map(entries.into_iter().map(pair).collect::<Option<_>>()?)
        }
        (kinds::TYPED_ARRAY, content) => match pair(content)? {
            (tag, Value::Bytes(bytes)) => {
                Extended::TypedArray { tag: u8::try_from(tag.as_u64()?).ok()?, bytes: *bytes }
            }
            _ => return None,
        },
        (kinds::REG_EXP, content) => match pair(content)? {
            (Value::String(source), Value::String(flags)) => Extended::RegExp { source, flags },
            _ => return None,
        },
        _ => return None,
    };
    Some(extended.into())
}

fn pair(value: Value) -> Option<(Value, Value)> {
    match value {
        Value::Array(items) => {
            let [first, second] = <[Value; 2]>::try_from(items).ok()?;
            Some((first, second))
        }
        _ => None,
    }
}

impl Extended {
    /// The name under which this kind passes through serde, and what is read
    /// under it.
    pub(super) fn into_kind(self) -> (&'static str, Value) {
        let name = self.kind();
        let content = match self {
            Self::BigInt(n) => n.as_str().into(),
            Self::TypedArray { tag, bytes } => Value::Array(vec![tag.into(), bytes.into()]),
            Self::Map(entries) => {
                let parts = entries.into_iter().flat_map(|(key, value)| [key, value]);
                Value::Array(parts.collect())
            }
            Self::Set(items) => Value::Array(items),
            Self::RegExp { source, flags } => vec![source, flags].into(),
        };
        (name, content)
    }
}

impl Value {
    /// Converts any serializable value.
    ///
    /// # Errors
    ///
    /// When the value's own `Serialize` fails, or a map key is not text.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        value.serialize(ValueSerializer::default())
    }
}

/// Builds a [`Value`]; keeps the further kinds.
#[derive(Clone, Copy, Default)]
pub(crate) struct ValueSerializer {
    /// Set while the content of a kind is read.
    exact: bool,
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = EncodeError;
    type SerializeSeq = SeqBuilder;
    type SerializeTuple = SeqBuilder;
    type SerializeTupleStruct = SeqBuilder;
    type SerializeTupleVariant = VariantBuilder<SeqBuilder>;
    type SerializeMap = MapBuilder;
    type SerializeStruct = MapBuilder;
    type SerializeStructVariant = VariantBuilder<MapBuilder>;

    fn is_human_readable(&self) -> bool {
        !self.exact
    }

    fn serialize_bool(self, v: bool) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_i8(self, v: i8) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_i16(self, v: i16) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_i32(self, v: i32) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_i64(self, v: i64) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_u8(self, v: u8) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_u16(self, v: u16) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_u32(self, v: u32) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_u64(self, v: u64) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_i128(self, v: i128) -> Result<Value, EncodeError> {
        Ok(i64::try_from(v).map_or_else(|_| Value::Float(v as f64), Value::Int))
    }
    fn serialize_u128(self, v: u128) -> Result<Value, EncodeError> {
        Ok(u64::try_from(v).map_or_else(|_| Value::Float(v as f64), Value::from))
    }
    fn serialize_f32(self, v: f32) -> Result<Value, EncodeError> {
        Ok(f64::from(v).into())
    }
    fn serialize_f64(self, v: f64) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_char(self, v: char) -> Result<Value, EncodeError> {
        Ok(v.to_string().into())
    }
    fn serialize_str(self, v: &str) -> Result<Value, EncodeError> {
        Ok(v.into())
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Value, EncodeError> {
        Ok(Bytes::copy_from_slice(v).into())
    }
    fn serialize_none(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<Value, EncodeError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, EncodeError> {
        Ok(if name == kinds::UNDEFINED { Value::Undefined } else { Value::Null })
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, EncodeError> {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError> {
        if !kinds::is_kind(name) {
            return value.serialize(self);
        }
        let content = value.serialize(Self { exact: true })?;
        from_kind(name, content)
            .ok_or_else(|| EncodeError::custom(format_args!("malformed content of {name}")))
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError> {
        Ok(Object::from([(variant, value.serialize(self)?)]).into())
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<SeqBuilder, EncodeError> {
        let items = Vec::with_capacity(len.unwrap_or(0));
        Ok(SeqBuilder { target: self, items })
    }
    fn serialize_tuple(self, len: usize) -> Result<SeqBuilder, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<SeqBuilder, EncodeError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<VariantBuilder<SeqBuilder>, EncodeError> {
        Ok(VariantBuilder { variant, inner: self.serialize_seq(Some(len))? })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<MapBuilder, EncodeError> {
        Ok(MapBuilder { target: self, object: Object::new(), key: None })
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<MapBuilder, EncodeError> {
        Ok(MapBuilder { target: self, object: Object::with_capacity(len), key: None })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<VariantBuilder<MapBuilder>, EncodeError> {
        Ok(VariantBuilder { variant, inner: self.serialize_map(Some(len))? })
    }
}

pub(crate) struct SeqBuilder {
    target: ValueSerializer,
    items: Vec<Value>,
}

impl SerializeSeq for SeqBuilder {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.items.push(value.serialize(self.target)?);
        Ok(())
    }
    fn end(self) -> Result<Value, EncodeError> {
        Ok(Value::Array(self.items))
    }
}

impl SerializeTuple for SeqBuilder {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Value, EncodeError> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for SeqBuilder {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Value, EncodeError> {
        SerializeSeq::end(self)
    }
}

pub(crate) struct MapBuilder {
    target: ValueSerializer,
    object: Object,
    key: Option<String>,
}

impl SerializeMap for MapBuilder {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key = Some(match key.serialize(self.target)? {
            Value::String(text) => text,
            Value::Int(n) => n.to_string(),
            Value::UInt(n) => n.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => {
                return Err(EncodeError::custom(format_args!("map key {other:?} is not text")));
            }
        });
        Ok(())
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = self.key.take().ok_or_else(|| EncodeError::custom("map value without a key"))?;
        self.object.insert(key, value.serialize(self.target)?);
        Ok(())
    }
    fn end(self) -> Result<Value, EncodeError> {
        Ok(self.object.into())
    }
}

impl SerializeStruct for MapBuilder {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.object.insert_member(Cow::Borrowed(key), value.serialize(self.target)?);
        Ok(())
    }
    fn end(self) -> Result<Value, EncodeError> {
        Ok(self.object.into())
    }
}

/// An enum variant with content: an object with the variant's name as its only key.
pub(crate) struct VariantBuilder<B> {
    variant: &'static str,
    inner: B,
}

impl<B> VariantBuilder<B> {
    fn wrap(variant: &'static str, content: Value) -> Value {
        Object::from([(variant, content)]).into()
    }
}

impl SerializeTupleVariant for VariantBuilder<SeqBuilder> {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        SerializeSeq::serialize_element(&mut self.inner, value)
    }
    fn end(self) -> Result<Value, EncodeError> {
        Ok(Self::wrap(self.variant, SerializeSeq::end(self.inner)?))
    }
}

impl SerializeStructVariant for VariantBuilder<MapBuilder> {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        SerializeStruct::serialize_field(&mut self.inner, key, value)
    }
    fn end(self) -> Result<Value, EncodeError> {
        Ok(Self::wrap(self.variant, SerializeStruct::end(self.inner)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Value> {
        let big = BigInt::parse("-123456789012345678901234567890");
        vec![
            Value::Undefined,
            Value::UInt(u64::MAX),
            (-0.0).into(),
            Bytes::from_static(b"\0\xff").into(),
            Value::Date(Date(f64::NAN)),
            Extended::BigInt(big.unwrap()).into(),
            Extended::Map(vec![(1.into(), Value::Null)]).into(),
            Extended::Set(vec!["a".into()]).into(),
            Extended::RegExp { source: "a|b".into(), flags: "gi".into() }.into(),
            Extended::TypedArray { tag: 64, bytes: Bytes::from_static(b"ab") }.into(),
            Object::from([("gone", Value::Undefined), ("kept", 1.into())]).into(),
        ]
    }

    #[test]
    fn every_kind_survives_serde() {
        for value in samples() {
            assert_eq!(Value::from_serialize(&value).unwrap(), value);
        }
        let nested = Value::Array(samples());
        assert_eq!(Value::from_serialize(&Some(&nested)).unwrap(), nested);
    }

    #[test]
    fn enums_take_serde_jsons_form() {
        #[derive(serde::Serialize)]
        enum Shape {
            Unit,
            Circle(f64),
            Rect { w: u8 },
            Pair(u8, u8),
        }
        let shapes = [Shape::Unit, Shape::Circle(1.5), Shape::Rect { w: 2 }, Shape::Pair(1, 2)];
        for shape in shapes {
            let expected = Value::from(serde_json::to_value(&shape).unwrap());
            assert_eq!(Value::from_serialize(&shape).unwrap(), expected);
        }
    }
}
