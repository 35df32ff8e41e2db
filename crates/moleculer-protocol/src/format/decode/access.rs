//! What stands inside of lists, objects and variants.

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use super::{Result, TokenDeserializer};
use crate::format::{DecodeError, Peek, TokenReader, key::Key};

/// What is left of a list or object.
pub(super) struct Items<'a, 'r, R: ?Sized> {
    decoder: &'a mut TokenDeserializer<'r, R>,
    /// `None` until the end of what began without a length is seen.
    left: Option<usize>,
    exact: bool,
}

impl<'a, 'r, 'de, R: TokenReader<'de> + ?Sized> Items<'a, 'r, R> {
    #[inline]
    pub(super) const fn new(
        decoder: &'a mut TokenDeserializer<'r, R>,
        left: Option<usize>,
        exact: bool,
    ) -> Self {
        Self { decoder, left, exact }
    }

    /// # Errors
    ///
    /// When the visitor took less than there is.
    #[inline]
    pub(super) fn finish(mut self) -> Result<()> {
        match self.advance()? {
            false => Ok(()),
            true => Err(DecodeError::new("more elements than expected")),
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        match self.left {
            Some(0) => Ok(false),
            Some(left) => {
                self.left = Some(left - 1);
                Ok(true)
            }
            None => self.has_not_ended(),
        }
    }

    fn has_not_ended(&mut self) -> Result<bool> {
        if self.decoder.reader.peek()? != Peek::End {
            return Ok(true);
        }
        self.decoder.reader.token()?;
        self.left = Some(0);
        Ok(false)
    }

    /// Skips an undefined member's value: a type sees it as absent.
    fn is_absent(&mut self) -> Result<bool> {
        if self.exact || !self.decoder.has_undefined {
            return Ok(false);
        }
        let absent = self.decoder.reader.peek()? == Peek::Undefined;
        if absent {
            self.decoder.reader.token()?;
        }
        Ok(absent)
    }
}

impl<'de, R: TokenReader<'de> + ?Sized> SeqAccess<'de> for Items<'_, '_, R> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.advance()? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de, R: TokenReader<'de> + ?Sized> MapAccess<'de> for Items<'_, '_, R> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        while self.advance()? {
            let key = Key::new(self.decoder.reader.token()?)?;
            if !self.is_absent()? {
                return seed.deserialize(key).map(Some);
            }
        }
        Ok(None)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

/// A variant's name as a key, then its content.
pub(super) struct Variant<'b, 'a, 'r, R: ?Sized>(pub(super) &'b mut Items<'a, 'r, R>);

impl<'de, R: TokenReader<'de> + ?Sized> EnumAccess<'de> for Variant<'_, '_, '_, R> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        match self.0.next_key_seed(seed)? {
            Some(variant) => Ok((variant, self)),
            None => Err(DecodeError::new("expected a variant's name, found `{}`")),
        }
    }
}

impl<'de, R: TokenReader<'de> + ?Sized> VariantAccess<'de> for Variant<'_, '_, '_, R> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        <()>::deserialize(&mut *self.0.decoder)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(&mut *self.0.decoder)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.0.decoder.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.0.decoder.deserialize_any(visitor)
    }
}

/// A map or set for [`Value`](crate::Value): its kind's name, then its parts
/// in a row.
pub(super) struct Further<'b, 'a, 'r, R: ?Sized>(
    pub(super) &'static str,
    pub(super) &'b mut Items<'a, 'r, R>,
);

impl<'b, 'a, 'r, 'de, R: TokenReader<'de> + ?Sized> EnumAccess<'de> for Further<'b, 'a, 'r, R> {
    type Error = DecodeError;
    type Variant = Parts<'b, 'a, 'r, R>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant)> {
        let parts = match self.0 {
            crate::format::kinds::MAP => Parts { items: self.1, per_item: 2, owed: 0 },
            _ => Parts { items: self.1, per_item: 1, owed: 0 },
        };
        let name: serde::de::value::StrDeserializer<'_, DecodeError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, parts))
    }
}

/// The parts of a map or set: a map has two for each item.
pub(super) struct Parts<'b, 'a, 'r, R: ?Sized> {
    items: &'b mut Items<'a, 'r, R>,
    per_item: usize,
    owed: usize,
}

impl<'de, R: TokenReader<'de> + ?Sized> SeqAccess<'de> for Parts<'_, '_, '_, R> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.owed == 0 {
            if !self.items.advance()? {
                return Ok(None);
            }
            self.owed = self.per_item;
        }
        self.owed -= 1;
        seed.deserialize(&mut *self.items.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.left.map(|left| left * self.per_item)
    }
}

impl<'de, R: TokenReader<'de> + ?Sized> Deserializer<'de> for Parts<'_, '_, '_, R> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct newtype_struct seq tuple tuple_struct map struct enum
        identifier ignored_any
    }
}

impl<'de, R: TokenReader<'de> + ?Sized> VariantAccess<'de> for Parts<'_, '_, '_, R> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        Err(DecodeError::new("a map or set has content"))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(self)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self)
    }
}

/// Binary data as a list of numbers.
pub(super) struct Bits<'de>(std::slice::Iter<'de, u8>);

impl<'de> Bits<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self(bytes.iter())
    }
}

impl<'de> SeqAccess<'de> for Bits<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let byte = self.0.next();
        byte.map(|byte| seed.deserialize((*byte).into_deserializer())).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
