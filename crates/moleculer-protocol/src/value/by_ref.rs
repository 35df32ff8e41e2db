//! Reading a type from a value that stays: nothing is copied but what the type
//! keeps.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{Object, Value, ValueDeserializer};
use crate::format::{DecodeError, Key, kinds};

/// As [`ValueDeserializer`], for a value that somebody else needs too. What is
/// rare it copies and leaves to that one.
#[derive(Clone, Copy)]
pub(crate) struct RefDeserializer<'v>(pub(crate) &'v Value);

impl RefDeserializer<'_> {
    fn copied(self) -> ValueDeserializer {
        ValueDeserializer(self.0.clone())
    }
}

/// For shapes that rare kinds have too.
macro_rules! common {
    ($($method:ident($($arg:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($arg: $ty,)*
            visitor: V,
        ) -> Result<V::Value, DecodeError> {
            match self.0 {
                Value::Array(_) | Value::Object(_) => self.deserialize_any(visitor),
                _ => self.copied().$method($($arg,)* visitor),
            }
        }
    )*};
}

/// For what converts by itself, and needs no allocation to be copied.
macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.0 {
                Value::Int(_) | Value::UInt(_) | Value::Float(_) => self.copied().$method(visitor),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for RefDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter())),
            Value::Object(object) => visitor.visit_map(Members::of(object)),
            _ => self.copied().deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_nullish() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == kinds::VALUE {
            return self.copied().deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.copied().deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
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

    common! {
        deserialize_seq() deserialize_tuple(len: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_bytes() deserialize_byte_buf()
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string tuple_struct identifier ignored_any
    }
}

struct Items<'v>(std::slice::Iter<'v, Value>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.0.next().map(|item| seed.deserialize(RefDeserializer(item))).transpose()
    }
}

struct Members<'v, I> {
    members: I,
    value: Option<&'v Value>,
}

impl<'v> Members<'v, ()> {
    fn of(object: &'v Object) -> Members<'v, impl Iterator<Item = (&'v str, &'v Value)>> {
        let members = object.iter().filter(|(_, value)| !value.is_undefined());
        Members { members, value: None }
    }
}

impl<'de, I: Iterator<Item = (&'de str, &'de Value)>> MapAccess<'de> for Members<'de, I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(Key::from(Cow::Borrowed(key))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let value = self.value.take().unwrap_or(&Value::Undefined);
        seed.deserialize(RefDeserializer(value))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Debug};

    use bytes::Bytes;
    use serde::{Deserialize, de::DeserializeOwned};
    use serde_json::json;

    use super::*;
    use crate::{Date, Extended};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Post {
        id: Id,
        title: Option<String>,
        #[serde(default)]
        kind: Kind,
        meta: Value,
        counts: BTreeMap<i32, u8>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(u64);

    #[derive(Debug, Default, PartialEq, Deserialize)]
    enum Kind {
        #[default]
        Plain,
        Rated(f64),
        Linked {
            to: Id,
        },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
        Many(Vec<Self>),
    }

    /// A type reads alike from a value that stays and from one that does not.
    fn check<T: DeserializeOwned + PartialEq + Debug>(value: &Value) {
        let text = |error: DecodeError| error.to_string();
        let there = T::deserialize(RefDeserializer(value)).map_err(text);
        assert_eq!(there, value.clone().into_type::<T>().map_err(text), "{value:?}");
    }

    #[test]
    fn it_reads_what_an_owned_value_does() {
        let post = |kind: serde_json::Value| {
            let mut post = Object::from([("id", 5)]);
            post.insert("title", Value::Undefined);
            post.insert("kind", Value::from(kind));
            post.insert("meta", Object::from([("at", Value::Date(Date(5.0)))]));
            post.insert("counts", Value::from(json!({"-1": 1.0, "2": 2})));
            Value::from(post)
        };
        let values = [
            post(json!("Plain")),
            post(json!({"Rated": 5})),
            post(json!({"Linked": {"to": 7}})),
            post(json!({"Linked": {"to": -7}})),
            post(json!(["none"])),
            json!({"id": "5"}).into(),
            json!([1, "a", ["b", [2.0]], null]).into(),
            json!([]).into(),
            json!({}).into(),
            json!("Plain").into(),
            json!(300.0).into(),
            json!(-1).into(),
            json!(1.5).into(),
            json!(u64::MAX).into(),
            Value::Null,
            Value::Undefined,
            true.into(),
            Value::Date(Date(0.0)),
            Value::Date(Date(f64::NAN)),
            Value::from(Bytes::from_static(b"ab")),
            Extended::Set(vec![1.into(), 2.into()]).into(),
            Extended::Map(vec![("1".into(), 2.into())]).into(),
            Extended::TypedArray { tag: 69, bytes: Bytes::from_static(&[1, 2]) }.into(),
        ];
        for value in &values {
            check::<Post>(value);
            check::<Kind>(value);
            check::<Id>(value);
            check::<Nothing>(value);
            check::<()>(value);
            check::<Either>(value);
            check::<Value>(value);
            check::<String>(value);
            check::<bool>(value);
            check::<u8>(value);
            check::<i64>(value);
            check::<f32>(value);
            check::<Option<i64>>(value);
            check::<Vec<i64>>(value);
            check::<(i64, String)>(value);
            check::<Bytes>(value);
            check::<BTreeMap<String, Value>>(value);
            check::<BTreeMap<u8, i64>>(value);
        }
    }
}
