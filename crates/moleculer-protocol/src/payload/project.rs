//! Reading one part of a payload without building the rest.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
    ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer},
};

use crate::{
    Value,
    format::{DecodeError, EncodeError, Format},
    value::ValueSerializer,
};

/// Decodes the part at `path`, skipping what is beside it.
pub(super) fn decode(
    format: &Format,
    bytes: &[u8],
    path: &str,
) -> Result<Option<Value>, DecodeError> {
    format.decode_seed(bytes, Seek(Some(path)))
}

/// The rest of a path; `None` at its end.
#[derive(Clone, Copy)]
struct Seek<'a>(Option<&'a str>);

impl<'a> Seek<'a> {
    fn split(path: &'a str) -> (&'a str, Self) {
        match path.split_once('.') {
            Some((key, rest)) => (key, Self(Some(rest))),
            None => (path, Self(None)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        match self.0 {
            None => Value::deserialize(deserializer).map(Some),
            Some(path) => deserializer.deserialize_any(SeekVisitor(path)),
        }
    }
}

struct SeekVisitor<'a>(&'a str);

impl<'de> Visitor<'de> for SeekVisitor<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let (wanted, _) = Seek::split(self.0);
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == wanted {
                found = map.next_value_seed(Seek::split(self.0).1)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        let wanted = Seek::split(self.0).0.parse::<usize>().ok();
        let (mut found, mut index) = (None, 0);
        loop {
            if Some(index) == wanted {
                match seq.next_element_seed(Seek::split(self.0).1)? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            index += 1;
        }
    }
    fn visit_bool<E>(self, _: bool) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_none<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Option<Value>, D::Error> {
        IgnoredAny::deserialize(d).map(|_| None)
    }
}

/// Serializes only the part of `value` at `path`.
pub(super) fn serialize<T: Serialize>(value: &T, path: &str) -> Result<Option<Value>, DecodeError> {
    value.serialize(Projector(path)).map_err(DecodeError::custom)
}

/// A serializer that follows a path and drops everything else.
#[derive(Clone, Copy)]
struct Projector<'a>(&'a str);

type Found = Result<Option<Value>, EncodeError>;

macro_rules! leaves {
    ($($method:ident($($ty:ty),*))*) => {$(
        fn $method(self, $(_: $ty),*) -> Found {
            Ok(None)
        }
    )*};
}

impl<'a> Serializer for Projector<'a> {
    type Ok = Option<Value>;
    type Error = EncodeError;
    type SerializeSeq = Walk<'a>;
    type SerializeTuple = Walk<'a>;
    type SerializeTupleStruct = Walk<'a>;
    type SerializeTupleVariant = Impossible<Option<Value>, EncodeError>;
    type SerializeMap = Walk<'a>;
    type SerializeStruct = Walk<'a>;
    type SerializeStructVariant = Impossible<Option<Value>, EncodeError>;

    leaves! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32)
        serialize_i64(i64) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
        serialize_u64(u64) serialize_i128(i128) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char)
        serialize_str(&str) serialize_bytes(&[u8]) serialize_none() serialize_unit()
        serialize_unit_struct(&'static str) serialize_unit_variant(&'static str, u32, &'static str)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Found {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Found {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Found {
        let mut walk = Walk::new(self);
        walk.visit(variant, value)?;
        Ok(walk.found)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Walk<'a>, EncodeError> {
        Ok(Walk::new(self))
    }
    fn serialize_tuple(self, _: usize) -> Result<Walk<'a>, EncodeError> {
        Ok(Walk::new(self))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Walk<'a>, EncodeError> {
        Ok(Walk::new(self))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Walk<'a>, EncodeError> {
        Ok(Walk::new(self))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Walk<'a>, EncodeError> {
        Ok(Walk::new(self))
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        Err(unsupported(name))
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        Err(unsupported(name))
    }
}

fn unsupported(name: &str) -> EncodeError {
    EncodeError::new(format!("no path leads into a variant of enum {name}"))
}

/// The members of one level.
struct Walk<'a> {
    wanted: &'a str,
    rest: Seek<'a>,
    index: usize,
    here: bool,
    found: Option<Value>,
}

impl<'a> Walk<'a> {
    fn new(Projector(path): Projector<'a>) -> Self {
        let (wanted, rest) = Seek::split(path);
        Self { wanted, rest, index: 0, here: false, found: None }
    }

    fn visit<T: ?Sized + Serialize>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        if key == self.wanted {
            self.take(value)?;
        }
        Ok(())
    }

    fn take<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.found = match self.rest.0 {
            None => Some(value.serialize(ValueSerializer::default())?),
            Some(rest) => value.serialize(Projector(rest))?,
        };
        Ok(())
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.wanted.parse() == Ok(self.index) {
            self.take(value)?;
        }
        self.index += 1;
        Ok(())
    }
}

impl SerializeSeq for Walk<'_> {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.element(value)
    }
    fn end(self) -> Found {
        Ok(self.found)
    }
}

impl serde::ser::SerializeTuple for Walk<'_> {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.element(value)
    }
    fn end(self) -> Found {
        Ok(self.found)
    }
}

impl serde::ser::SerializeTupleStruct for Walk<'_> {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.element(value)
    }
    fn end(self) -> Found {
        Ok(self.found)
    }
}

impl SerializeMap for Walk<'_> {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), EncodeError> {
        let key = key.serialize(ValueSerializer::default())?;
        self.here = match &key {
            Value::String(key) => key == self.wanted,
            Value::Int(key) => self.wanted.parse() == Ok(*key),
            _ => false,
        };
        Ok(())
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.here { self.take(value) } else { Ok(()) }
    }
    fn end(self) -> Found {
        Ok(self.found)
    }
}

impl SerializeStruct for Walk<'_> {
    type Ok = Option<Value>;
    type Error = EncodeError;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.visit(key, value)
    }
    fn end(self) -> Found {
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use serde_json::json;

    use crate::{Format, Payload, Value};

    #[derive(serde::Serialize)]
    struct Order {
        user: User,
        items: Vec<(u8, Option<User>)>,
    }

    #[derive(Clone, serde::Serialize)]
    struct User {
        id: u32,
    }

    /// The same parts come out of a typed, a dynamic and an encoded payload.
    #[test]
    fn every_form_projects_alike() {
        let order =
            || Order { user: User { id: 7 }, items: vec![(1, None), (2, Some(User { id: 8 }))] };
        let typed = Payload::new(order());
        let mut bytes = BytesMut::new();
        typed.encode(&Format::Json, &mut bytes).unwrap();
        let encoded = Payload::encoded(bytes.freeze(), Format::Json);
        let dynamic = Payload::from(encoded.to_value().unwrap());
        for payload in [typed, encoded, dynamic] {
            let get = |path| payload.get(path).unwrap();
            assert_eq!(get("user.id"), Some(7.into()));
            assert_eq!(get("user"), Some(json!({"id": 7}).into()));
            assert_eq!(get("items.1.1.id"), Some(8.into()));
            assert_eq!(get("items.0.1"), Some(Value::Null));
            for absent in ["usr", "user.id.x", "items.2", "items.x", "", "user."] {
                assert_eq!(get(absent), None, "{absent}");
            }
        }
    }

    #[test]
    fn malformed_bytes_are_an_error() {
        let payload = Payload::encoded(Bytes::from_static(b"{\"a\":1,"), Format::Json);
        assert!(payload.get("b").is_err());
    }
}
