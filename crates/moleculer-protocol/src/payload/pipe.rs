//! From JSON text to tokens, without a value in between.

use std::{cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use crate::{
    format::{Compound, DecodeError, EncodeError, Open, TokenWriter},
    json,
};

/// Writes what `text` holds. Further kinds are what JSON shows of them.
pub(super) fn json_tokens(text: &[u8], writer: &mut dyn TokenWriter) -> Result<(), DecodeError> {
    let writer = RefCell::new(writer);
    json::from_slice_once(text, Pipe(&writer))
}

/// Writes the value that comes next.
#[derive(Clone, Copy)]
struct Pipe<'a, 'w>(&'a RefCell<&'w mut dyn TokenWriter>);

impl Pipe<'_, '_> {
    fn write<E: serde::de::Error>(
        self,
        write: impl FnOnce(&mut dyn TokenWriter) -> Result<(), EncodeError>,
    ) -> Result<(), E> {
        write(&mut **self.0.borrow_mut()).map_err(E::custom)
    }

    fn begin<E: serde::de::Error>(self, compound: Compound, len: Option<usize>) -> Result<Open, E> {
        let place = self.0.borrow_mut().begin(compound, len).map_err(E::custom)?;
        Ok(Open { compound, len, place })
    }
}

impl<'de> DeserializeSeed<'de> for Pipe<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pipe<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.write(|writer| writer.null())
    }
    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        self.write(|writer| writer.bool(flag))
    }
    fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<(), E> {
        self.write(|writer| writer.int(n))
    }
    fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<(), E> {
        self.write(|writer| writer.uint(n))
    }
    fn visit_f64<E: serde::de::Error>(self, n: f64) -> Result<(), E> {
        self.write(|writer| writer.float(n))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.write(|writer| writer.text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (open, mut len) = (self.begin(Compound::Array, seq.size_hint())?, 0);
        while seq.next_element_seed(self)?.is_some() {
            len += 1;
        }
        self.write(|writer| writer.end(open, len))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (open, mut len) = (self.begin(Compound::Object, map.size_hint())?, 0);
        while map.next_key_seed(Key(self))?.is_some() {
            map.next_value_seed(self)?;
            len += 1;
        }
        self.write(|writer| writer.end(open, len))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        self.deserialize(d)
    }
}

/// Writes the key that comes next.
struct Key<'a, 'w>(Pipe<'a, 'w>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        self.0.write(|writer| writer.key(key))
    }
}
