//! A value that fits whatever is asked of it, as far as one can be made up.

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer, StrDeserializer},
    },
};

use crate::format::DecodeError;

type Result<T> = std::result::Result<T, DecodeError>;

#[derive(Clone, Copy)]
pub(super) struct Hole;

impl IntoDeserializer<'_, DecodeError> for Hole {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! gives {
    ($($method:ident($($arg:ty),*) $visit:ident($($value:expr)?);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $arg,)* visitor: V) -> Result<V::Value> {
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Hole {
    type Error = DecodeError;

    gives! {
        deserialize_any() visit_unit();
        deserialize_bool() visit_bool(false);
        deserialize_i8() visit_i8(1);
        deserialize_i16() visit_i16(1);
        deserialize_i32() visit_i32(1);
        deserialize_i64() visit_i64(1);
        deserialize_i128() visit_i64(1);
        deserialize_u8() visit_u8(1);
        deserialize_u16() visit_u16(1);
        deserialize_u32() visit_u32(1);
        deserialize_u64() visit_u64(1);
        deserialize_u128() visit_u64(1);
        deserialize_f32() visit_f32(1.0);
        deserialize_f64() visit_f64(1.0);
        deserialize_char() visit_char('a');
        deserialize_str() visit_str("");
        deserialize_string() visit_str("");
        deserialize_bytes() visit_bytes(&[]);
        deserialize_byte_buf() visit_bytes(&[]);
        deserialize_option() visit_none();
        deserialize_unit() visit_unit();
        deserialize_unit_struct(&'static str) visit_unit();
        deserialize_identifier() visit_unit();
        deserialize_ignored_any() visit_unit();
        deserialize_newtype_struct(&'static str) visit_newtype_struct(Self);
        deserialize_seq() visit_seq(list(0));
        deserialize_map() visit_map(object(&[]));
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match variants.first() {
            Some(first) => visitor.visit_enum(Variant(first)),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(list(len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(list(len))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_map(object(fields))
    }
}

/// A variant of any shape.
struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = DecodeError;
    type Variant = Hole;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Hole)> {
        let name = seed.deserialize(StrDeserializer::<DecodeError>::new(self.0))?;
        Ok((name, Hole))
    }
}

impl<'de> VariantAccess<'de> for Hole {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(list(len))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_map(object(fields))
    }
}

fn list(len: usize) -> SeqDeserializer<impl Iterator<Item = Hole>, DecodeError> {
    SeqDeserializer::new(std::iter::repeat_n(Hole, len))
}

fn object<'de>(
    fields: &'static [&'static str],
) -> MapDeserializer<'de, impl Iterator<Item = (&'static str, Hole)>, DecodeError> {
    MapDeserializer::new(fields.iter().map(|field| (*field, Hole)))
}
