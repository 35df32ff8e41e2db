//! The parts of a [`Value`] as serde sees them: items, members, a variant.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer as _,
    de::{
        DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor, value::StringDeserializer,
    },
};

use super::{Object, Value, deserializer::ValueDeserializer};
use crate::format::{DecodeError, Key};

pub(super) struct SeqSource(pub(super) std::vec::IntoIter<Value>);

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

pub(super) struct MapSource<I> {
    members: I,
    value: Option<Value>,
}

impl MapSource<()> {
    pub(super) fn new(
        object: Object,
    ) -> MapSource<impl Iterator<Item = (Cow<'static, str>, Value)>> {
        let members = object.into_members().filter(|(_, value)| !value.is_undefined());
        MapSource { members, value: None }
    }

    /// Undefined members included, which only [`Value`] takes.
    pub(super) fn all(
        object: Object,
    ) -> MapSource<impl Iterator<Item = (Cow<'static, str>, Value)>> {
        MapSource { members: object.into_members(), value: None }
    }
}

impl<'de, I: Iterator<Item = (Cow<'static, str>, Value)>> MapAccess<'de> for MapSource<I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(Key::from(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let value = self.value.take().unwrap_or_default();
        seed.deserialize(ValueDeserializer(value))
    }
}

pub(super) struct EnumSource {
    pub(super) variant: String,
    pub(super) content: Option<Value>,
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

pub(super) struct VariantSource(Option<Value>);

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
