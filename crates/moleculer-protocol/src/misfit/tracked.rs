//! A deserializer that knows where it is.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
};

use super::{Gap, Run, Step, hole::Hole};
use crate::{
    format::{Key, kinds},
    visits::forward_visits,
};

/// Where a reading is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'p> {
    Root,
    Member(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl Place<'_> {
    fn path(&self) -> Vec<Step> {
        let (mut path, step) = match self {
            Self::Root => return Vec::new(),
            Self::Member(parent, key) => (parent.path(), Step::Member((*key).to_owned())),
            Self::Item(parent, index) => (parent.path(), Step::Item(*index)),
        };
        path.push(step);
        path
    }

    fn is(&self, path: &[Step]) -> bool {
        match (self, path) {
            (Self::Root, []) => true,
            (Self::Member(parent, key), [rest @ .., Step::Member(step)]) => {
                key == step && parent.is(rest)
            }
            (Self::Item(parent, index), [rest @ .., Step::Item(step)]) => {
                index == step && parent.is(rest)
            }
            _ => false,
        }
    }
}

impl<'h> Run<'h> {
    /// Notes where an error arose: the first one to tell is the innermost.
    fn note<T, E>(&self, place: &Place<'_>, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.found.borrow_mut().get_or_insert_with(|| place.path());
        }
        result
    }

    fn is_hole(&self, place: &Place<'_>) -> bool {
        self.holes.iter().any(|hole| place.is(&hole.path))
    }

    /// Whether a member was found to be one that the type does not know.
    fn is_unknown(&self, place: &Place<'_>, key: &str) -> bool {
        let place = Place::Member(place, key);
        self.holes.iter().any(|hole| hole.unknown && place.is(&hole.path))
    }

    /// The holes among the members of an object.
    fn missing(&self, object: &Place<'_>) -> Vec<&'h str> {
        let member = |hole: &'h Gap| match &hole.path[..] {
            [rest @ .., Step::Member(key)] if !hole.unknown && object.is(rest) => Some(&**key),
            _ => None,
        };
        self.holes.iter().filter_map(member).collect()
    }
}

/// The same wrapper goes around visitors, seeds and accesses, since each of
/// them hands a new deserializer on.
pub(crate) struct Tracked<'t, T> {
    inner: T,
    place: &'t Place<'t>,
    run: &'t Run<'t>,
}

impl<'t, T> Tracked<'t, T> {
    pub(crate) const fn new(inner: T, place: &'t Place<'t>, run: &'t Run<'t>) -> Self {
        Self { inner, place, run }
    }

    const fn with<U>(&self, inner: U) -> Tracked<'t, U> {
        Tracked { inner, place: self.place, run: self.run }
    }
}

macro_rules! forward {
    ($($method:ident($($arg:ident: $ty:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.with(visitor);
            self.run.note(self.place, self.inner.$method($($arg,)* visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tracked<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str()
        deserialize_string() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier() deserialize_ignored_any()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if kinds::is_kind(name) {
            return self.inner.deserialize_newtype_struct(name, visitor);
        }
        let visitor = self.with(visitor);
        self.run.note(self.place, self.inner.deserialize_newtype_struct(name, visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tracked<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visits!(inner);

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.visit_some(deserializer)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<V::Value, D::Error> {
        let deserializer = self.with(d);
        self.inner.visit_newtype_struct(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        let seq = Items { inner: self.with(seq), next: 0 };
        self.inner.visit_seq(seq)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let missing = self.run.missing(self.place);
        let map = Members { inner: self.with(map), key: String::new(), missing, made_up: false };
        self.inner.visit_map(map)
    }
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        let data = self.with(data);
        self.inner.visit_enum(data)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Tracked<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let result = if self.run.is_hole(self.place) {
            serde::Deserialize::deserialize(deserializer).map(|IgnoredAny| ())?;
            self.inner.deserialize(Hole).map_err(Error::custom)
        } else {
            let deserializer = self.with(deserializer);
            self.inner.deserialize(deserializer)
        };
        self.run.note(self.place, result)
    }
}

struct Items<'t, A> {
    inner: Tracked<'t, A>,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Tracked { inner, place, run } = &mut self.inner;
        let place = Place::Item(place, self.next);
        self.next += 1;
        inner.next_element_seed(Tracked::new(seed, &place, run))
    }
    fn size_hint(&self) -> Option<usize> {
        self.inner.inner.size_hint()
    }
}

struct Members<'t, A> {
    inner: Tracked<'t, A>,
    key: String,
    /// Members that are not there, and are holes.
    missing: Vec<&'t str>,
    /// Whether the member is one of these.
    made_up: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Tracked { inner, place, run } = &mut self.inner;
        while let Some(key) = inner.next_key_seed(PhantomData::<String>)? {
            self.missing.retain(|missing| **missing != key);
            if run.is_unknown(place, &key) {
                inner.next_value::<IgnoredAny>()?;
                continue;
            }
            self.key.clone_from(&key);
            let key = seed.deserialize(Key::from(Cow::Owned(key)));
            return run.note(place, key).map(Some);
        }
        let Some(key) = self.missing.pop() else { return Ok(None) };
        self.made_up = true;
        self.key = key.to_owned();
        seed.deserialize(Key::from(Cow::Owned(key.to_owned()))).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Tracked { inner, place, run } = &mut self.inner;
        let place = Place::Member(place, &self.key);
        if self.made_up {
            return run.note(&place, seed.deserialize(Hole).map_err(Error::custom));
        }
        inner.next_value_seed(Tracked::new(seed, &place, run))
    }
    fn size_hint(&self) -> Option<usize> {
        self.inner.inner.size_hint()
    }
}

impl<'de, 't, A: EnumAccess<'de>> EnumAccess<'de> for Tracked<'t, A> {
    type Error = A::Error;
    type Variant = Named<'t, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let Self { inner, place, run } = self;
        let (name, content) = inner.variant_seed(PhantomData::<String>)?;
        let variant = seed.deserialize(Key::from(Cow::Owned(name.clone())));
        let content = Named { content: Tracked::new(content, place, run), name };
        Ok((run.note(place, variant)?, content))
    }
}

/// The content of a variant.
pub(crate) struct Named<'t, A> {
    content: Tracked<'t, A>,
    name: String,
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Named<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.content.inner.unit_variant()
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let Tracked { inner, place, run } = self.content;
        let place = Place::Member(place, &self.name);
        inner.newtype_variant_seed(Tracked::new(seed, &place, run))
    }
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let Tracked { inner, place, run } = self.content;
        let place = Place::Member(place, &self.name);
        run.note(&place, inner.tuple_variant(len, Tracked::new(visitor, &place, run)))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let Tracked { inner, place, run } = self.content;
        let place = Place::Member(place, &self.name);
        run.note(&place, inner.struct_variant(fields, Tracked::new(visitor, &place, run)))
    }
}
