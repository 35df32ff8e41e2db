//! Keys of objects, in both directions.

use std::{borrow::Cow, marker::PhantomData};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{Error, IntoDeserializer, Visitor},
    forward_to_deserialize_any,
    ser::{Error as _, Impossible},
};

use super::{DecodeError, EncodeError, Token};
use crate::{Extended, Value};

/// What to say of a key that cannot be one.
const NOT_TEXT: &str = "a map key is not text";

/// A key as text, since JavaScript's objects have no other keys; numbers and
/// flags are read from it where they are wanted. A `Map` may have any key.
pub(crate) struct Key<'de, E = DecodeError>(Cow<'de, str>, PhantomData<fn() -> E>);

impl<'de, E> From<Cow<'de, str>> for Key<'de, E> {
    fn from(text: Cow<'de, str>) -> Self {
        Self(text, PhantomData)
    }
}

impl<'de> Key<'de> {
    #[inline]
    pub(super) fn new(token: Token<'de>) -> Result<Self, DecodeError> {
        match token {
            Token::Text(text) => Ok(Cow::Borrowed(text).into()),
            other => Self::converted(other),
        }
    }

    #[cold]
    fn converted(token: Token<'de>) -> Result<Self, DecodeError> {
        let text = match token {
            Token::Int(n) => n.to_string(),
            Token::UInt(n) => n.to_string(),
            Token::Float(n) => number(n),
            Token::Bool(flag) => flag.to_string(),
            Token::Null => "null".to_owned(),
            Token::Undefined => "undefined".to_owned(),
            Token::Owned(value) => match *value {
                Value::String(text) => text,
                Value::Extended(extended) => match *extended {
                    Extended::BigInt(n) => n.as_str().to_owned(),
                    _ => return Err(DecodeError::new(NOT_TEXT)),
                },
                _ => return Err(DecodeError::new(NOT_TEXT)),
            },
            _ => return Err(DecodeError::new(NOT_TEXT)),
        };
        Ok(Self(text.into(), PhantomData))
    }
}

/// A number as JavaScript makes a key of it.
fn number(n: f64) -> String {
    ryu_js::Buffer::new().format(n).to_owned()
}

macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            match self.0.parse() {
                Ok(parsed) => visitor.$visit(parsed),
                Err(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de, E: Error> Deserializer<'de> for Key<'de, E> {
    type Error = E;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// Hands the text of a key on, without a copy where it is text already.
pub(super) struct WithKey<F>(pub(super) F);

type Written<T = ()> = Result<T, EncodeError>;

macro_rules! shown {
    ($($method:ident($ty:ty))*) => {$(
        fn $method(self, v: $ty) -> Written {
            (self.0)(&v.to_string())
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($ty:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $ty),*) -> Written<$ok> {
            Err(not_text())
        }
    )*};
}

fn not_text() -> EncodeError {
    EncodeError::custom(NOT_TEXT)
}

type Never = Impossible<(), EncodeError>;

impl<F: FnOnce(&str) -> Written> Serializer for WithKey<F> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    #[inline]
    fn serialize_str(self, text: &str) -> Written {
        (self.0)(text)
    }
    fn serialize_char(self, c: char) -> Written {
        (self.0)(c.encode_utf8(&mut [0; 4]))
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        (self.0)(variant)
    }
    fn serialize_f32(self, n: f32) -> Written {
        (self.0)(ryu_js::Buffer::new().format(n))
    }
    fn serialize_f64(self, n: f64) -> Written {
        (self.0)(&number(n))
    }
    fn serialize_some<T: ?Sized + Serialize>(self, key: &T) -> Written {
        key.serialize(self)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, key: &T) -> Written {
        key.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Written {
        Err(not_text())
    }

    shown! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128)
    }

    refused! {
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
}
