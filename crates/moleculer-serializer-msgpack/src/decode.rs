//! MessagePack to values.

use std::borrow::Cow;

use moleculer_protocol::{DecodeError, Value};
use rmp::Marker;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{BorrowedBytesDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{
    key::{Key, NOT_TEXT},
    read::{Head, Reader},
};

type Result<T> = std::result::Result<T, DecodeError>;

/// A newtype of this name gets the bytes of a whole value, undecoded.
pub(crate) const RAW: &str = "$moleculer::msgpack::Raw";

/// Levels of lists and maps; msgpack5 has the same limit.
const MAX_DEPTH: u8 = 100;

/// A deserializer that is as lenient as our JSON one: `()` reads from null and
/// `{}`, numbers as keys from text, integers from integral floats, and text
/// from dates.
#[derive(Debug)]
pub(crate) struct Decoder<'de> {
    reader: Reader<'de>,
    depth_left: u8,
}

impl<'de> Decoder<'de> {
    pub(crate) const fn new(input: &'de [u8]) -> Self {
        Self {
            reader: Reader::new(input),
            depth_left: MAX_DEPTH,
        }
    }

    /// # Errors
    ///
    /// When something follows what has been read.
    pub(crate) fn end(&self) -> Result<()> {
        match self.reader.rest().len() {
            0 => Ok(()),
            more => Err(DecodeError::new(format!("{more} bytes after the end"))),
        }
    }

    fn next_is_nil(&self) -> bool {
        self.reader.rest().first() == Some(&Marker::Null.to_u8())
    }

    /// Runs `read` one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth_left == 0 {
            return Err(DecodeError::new(format!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        self.depth_left -= 1;
        let result = read(self);
        self.depth_left += 1;
        result
    }

    fn visit<V: Visitor<'de>>(&mut self, head: Head<'de>, visitor: V) -> Result<V::Value> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(flag) => visitor.visit_bool(flag),
            Head::Int(n) => visitor.visit_i64(n),
            Head::UInt(n) => visitor.visit_u64(n),
            Head::Float(n) => visitor.visit_f64(n),
            Head::Text(bytes) => visitor.visit_borrowed_str(text(bytes)?),
            Head::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Head::Ext(tag, content) => visitor.visit_newtype_struct(Ext(tag, content)),
            Head::List(left) => self.nested(|decoder| visitor.visit_seq(Items { decoder, left })),
            Head::Map(left) => self.nested(|decoder| visitor.visit_map(Items { decoder, left })),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::new(format!("text: {error}")))
}

/// A float as an integer, if it is integral and fits.
fn integral(head: Head<'_>) -> Head<'_> {
    match head {
        Head::Float(n) if n.fract() == 0.0 && (-9.2e18..9.2e18).contains(&n) => Head::Int(n as i64),
        Head::Float(n) if n.fract() == 0.0 && (0.0..1.8e19).contains(&n) => Head::UInt(n as u64),
        other => other,
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let head = integral(self.reader.head()?);
            self.visit(head, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let head = self.reader.head()?;
        self.visit(head, visitor)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    /// A date shows as its ISO text, as it would in JSON.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let before = self.reader;
        match self.reader.head()? {
            Head::Ext(..) => {
                self.reader = before;
                match Value::deserialize(&mut *self)? {
                    Value::Date(date) => {
                        visitor.visit_string(date.to_iso().ok_or_else(|| {
                            DecodeError::new("expected text, found an invalid date")
                        })?)
                    }
                    other => Err(DecodeError::new(format!("expected text, found {other:?}"))),
                }
            }
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next_is_nil() {
            self.reader.head()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Map(0) => visitor.visit_unit(),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            RAW => visitor.visit_borrowed_bytes(self.reader.skip()?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// Binary data reads as a list of numbers too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Bin(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Nil if fields.is_empty() => {
                let none = std::iter::empty::<(&str, ())>();
                visitor.visit_map(MapDeserializer::new(none))
            }
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.head()? {
            Head::Text(variant) => visitor.visit_enum(text(variant)?.into_deserializer()),
            Head::Map(1) => self.nested(|decoder| visitor.visit_enum(Variant(decoder))),
            _ => Err(DecodeError::new(
                "expected a variant's name or a map with one member",
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool f32 f64 char bytes byte_buf tuple tuple_struct map identifier
    }
}

/// What is left of a list or map.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
}

impl Items<'_, '_> {
    const fn advance(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.advance() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.advance() {
            return Ok(None);
        }
        let key = match self.decoder.reader.head()? {
            Head::Text(bytes) => Cow::Borrowed(text(bytes)?),
            Head::Int(n) => n.to_string().into(),
            Head::UInt(n) => n.to_string().into(),
            Head::Bool(flag) => flag.to_string().into(),
            _ => return Err(DecodeError::new(NOT_TEXT)),
        };
        seed.deserialize(Key(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant's name, then its content.
struct Variant<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        Ok((seed.deserialize(&mut *self.0)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        <()>::deserialize(self.0)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.0)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.0.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.0.deserialize_any(visitor)
    }
}

/// An extension as a pair of type and content.
struct Ext<'de>(i8, &'de [u8]);

impl<'de> Deserializer<'de> for Ext<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(ExtParts {
            tag: Some(self.0),
            content: Some(self.1),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}

struct ExtParts<'de> {
    tag: Option<i8>,
    content: Option<&'de [u8]>,
}

impl<'de> SeqAccess<'de> for ExtParts<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if let Some(tag) = self.tag.take() {
            return seed.deserialize(tag.into_deserializer()).map(Some);
        }
        match self.content.take() {
            Some(content) => seed
                .deserialize(BorrowedBytesDeserializer::new(content))
                .map(Some),
            None => Ok(None),
        }
    }
}
