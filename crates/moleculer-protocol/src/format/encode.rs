//! Types to tokens.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Compound, EncodeError, Open, TokenWriter, key::WithKey, kinds};
use crate::{Extended, Value};

/// Writes a value as tokens.
///
/// Human readable, so that ids and times of other crates become the text that
/// JavaScript peers expect. Undefined members are left out where the format
/// has no `undefined`.
///
/// # Errors
///
/// When the value's own `Serialize` fails, a map key is not text, an integer
/// is above 64 bits, or the writer fails.
pub fn to_tokens<T, W>(value: &T, writer: &mut W) -> Result<(), EncodeError>
where
    T: Serialize + ?Sized,
    W: TokenWriter + ?Sized,
{
    value.serialize(Encoder::new(writer, Place::Root)).map(drop)
}

/// An object written member by member; they are counted as they come.
#[derive(Debug)]
pub(crate) struct ObjectWriter<'w, W: ?Sized> {
    writer: &'w mut W,
    open: Open,
    len: usize,
}

impl<'w, W: TokenWriter + ?Sized> ObjectWriter<'w, W> {
    /// Begins an object.
    ///
    /// # Errors
    ///
    /// These methods fail when the value's own `Serialize` or the writer does.
    pub(crate) fn begin(writer: &'w mut W) -> Result<Self, EncodeError> {
        let open = Open::begin(writer, Compound::Object, None)?;
        Ok(Self { writer, open, len: 0 })
    }

    /// Writes a member, or leaves it out if it is undefined and the format
    /// has no such thing.
    ///
    /// # Errors
    ///
    /// See [`ObjectWriter::begin`].
    pub(crate) fn member<T: ?Sized + Serialize>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let written = value.serialize(Encoder::new(&mut *self.writer, Place::Member(key)))?;
        self.len += written.count();
        Ok(())
    }

    /// Writes a key, and lets `write` write the value.
    ///
    /// # Errors
    ///
    /// See [`ObjectWriter::begin`].
    pub(crate) fn member_with(
        &mut self,
        key: &str,
        write: impl FnOnce(&mut W) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.writer.key(key)?;
        self.len += 1;
        write(self.writer)
    }

    /// Ends the object.
    ///
    /// # Errors
    ///
    /// See [`ObjectWriter::begin`].
    pub(crate) fn end(self) -> Result<(), EncodeError> {
        self.writer.end(self.open, self.len)
    }
}

/// Whether serializing wrote a value, or met an undefined member, which
/// writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Value,
    Nothing,
}

impl Written {
    const fn count(self) -> usize {
        match self {
            Self::Value => 1,
            Self::Nothing => 0,
        }
    }
}

type Result<T = Written, E = EncodeError> = std::result::Result<T, E>;

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place<'k> {
    Root,
    Element,
    /// Behind this key, which is not written yet.
    Member(&'k str),
}

struct Encoder<'w, 'k, W: ?Sized> {
    writer: &'w mut W,
    place: Place<'k>,
    /// Set while the content of a kind is read.
    exact: bool,
}

impl<'w, 'k, W: TokenWriter + ?Sized> Encoder<'w, 'k, W> {
    #[inline]
    const fn new(writer: &'w mut W, place: Place<'k>) -> Self {
        Self { writer, place, exact: false }
    }

    /// Writes the key, if there is one, and then the value.
    #[inline]
    fn write(self, write: impl FnOnce(&mut W) -> Result<()>) -> Result {
        if let Place::Member(key) = self.place {
            self.writer.key(key)?;
        }
        write(self.writer)?;
        Ok(Written::Value)
    }

    #[inline]
    fn begin(self, compound: Compound, len: Option<usize>) -> Result<Parts<'w, W>> {
        if let Place::Member(key) = self.place {
            self.writer.key(key)?;
        }
        Ok(Parts {
            open: Open::begin(self.writer, compound, len)?,
            writer: self.writer,
            len: 0,
            around: None,
            key: None,
        })
    }

    /// A variant with content is an object with one member.
    fn variant(
        self,
        variant: &str,
        compound: Compound,
        len: Option<usize>,
    ) -> Result<Parts<'w, W>> {
        let around = self.begin(Compound::Object, Some(1))?;
        let inner = Encoder::new(around.writer, Place::Member(variant));
        let mut parts = inner.begin(compound, len)?;
        parts.around = Some(around.open);
        Ok(parts)
    }

    fn undefined(self) -> Result {
        let has_undefined = self.writer.has_undefined();
        match self.place {
            Place::Member(_) if !has_undefined => Ok(Written::Nothing),
            Place::Root if !has_undefined => self.write(W::null),
            _ => self.write(W::undefined),
        }
    }

    #[cold]
    fn further(self, value: &Value) -> Result {
        let extended = match value {
            Value::Date(date) => return self.write(|writer| writer.date(*date)),
            Value::Extended(extended) => &**extended,
            other => return other.serialize(self),
        };
        match extended {
            Extended::BigInt(n) => self.write(|writer| writer.big_int(n)),
            Extended::TypedArray { tag, bytes } => {
                self.write(|writer| writer.typed_array(*tag, bytes))
            }
            Extended::RegExp { source, flags } => {
                self.write(|writer| writer.reg_exp(source, flags))
            }
            Extended::Map(entries) => self.parts(Compound::Map, entries.len(), |parts| {
                entries.iter().try_for_each(|(key, value)| {
                    key.serialize(Encoder::new(&mut *parts.writer, Place::Element))?;
                    parts.element(value)
                })
            }),
            Extended::Set(items) => self.parts(Compound::Set, items.len(), |parts| {
                items.iter().try_for_each(|item| parts.element(item))
            }),
        }
    }

    /// A map or set, or the empty object that other formats show of it.
    fn parts(
        self,
        compound: Compound,
        len: usize,
        write: impl FnOnce(&mut Parts<'w, W>) -> Result<()>,
    ) -> Result {
        if !self.writer.has(compound) {
            return self.begin(Compound::Object, Some(0))?.finish();
        }
        let mut parts = self.begin(compound, Some(len))?;
        write(&mut parts)?;
        parts.finish()
    }
}

fn too_large(n: impl std::fmt::Display) -> EncodeError {
    EncodeError::new(format!("{n} does not fit 64 bits; send it as text"))
}

/// A newtype to be read back as the kind of value that its name tells.
struct Newtype<'a, T: ?Sized>(&'static str, &'a T);

impl<T: ?Sized + Serialize> Serialize for Newtype<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(self.0, self.1)
    }
}

macro_rules! numbers {
    ($($method:ident($ty:ty) $write:ident)*) => {$(
        #[inline]
        fn $method(self, v: $ty) -> Result {
            self.write(|writer| writer.$write(v.into()))
        }
    )*};
}

impl<'w, W: TokenWriter + ?Sized> Serializer for Encoder<'w, '_, W> {
    type Ok = Written;
    type Error = EncodeError;
    type SerializeSeq = Parts<'w, W>;
    type SerializeTuple = Parts<'w, W>;
    type SerializeTupleStruct = Parts<'w, W>;
    type SerializeTupleVariant = Parts<'w, W>;
    type SerializeMap = Parts<'w, W>;
    type SerializeStruct = Parts<'w, W>;
    type SerializeStructVariant = Parts<'w, W>;

    fn is_human_readable(&self) -> bool {
        !self.exact
    }

    numbers! {
        serialize_bool(bool) bool
        serialize_i8(i8) int serialize_i16(i16) int serialize_i32(i32) int serialize_i64(i64) int
        serialize_u8(u8) uint serialize_u16(u16) uint serialize_u32(u32) uint
        serialize_u64(u64) uint
        serialize_f32(f32) float serialize_f64(f64) float
    }

    fn serialize_i128(self, v: i128) -> Result {
        match (i64::try_from(v), u64::try_from(v)) {
            (Ok(n), _) => self.serialize_i64(n),
            (_, Ok(n)) => self.serialize_u64(n),
            _ => Err(too_large(v)),
        }
    }
    fn serialize_u128(self, v: u128) -> Result {
        match u64::try_from(v) {
            Ok(n) => self.serialize_u64(n),
            Err(_) => Err(too_large(v)),
        }
    }
    fn serialize_char(self, v: char) -> Result {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    #[inline]
    fn serialize_str(self, v: &str) -> Result {
        self.write(|writer| writer.text(v))
    }
    fn serialize_bytes(self, v: &[u8]) -> Result {
        self.write(|writer| writer.bytes(v))
    }
    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result {
        self.write(W::null)
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result {
        match name {
            kinds::UNDEFINED => self.undefined(),
            _ => self.serialize_unit(),
        }
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result {
        match name {
            kinds::OBJECT => {
                self.exact = self.writer.has_undefined();
                value.serialize(self)
            }
            _ if kinds::is_kind(name) => {
                self.further(&Value::from_serialize(&Newtype(name, value))?)
            }
            _ => value.serialize(self),
        }
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let mut parts = self.begin(Compound::Object, Some(1))?;
        parts.writer.key(variant)?;
        parts.element(value)?;
        parts.finish()
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Parts<'w, W>> {
        self.begin(Compound::Array, len)
    }
    fn serialize_tuple(self, len: usize) -> Result<Parts<'w, W>> {
        self.begin(Compound::Array, Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Parts<'w, W>> {
        self.begin(Compound::Array, Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Parts<'w, W>> {
        self.variant(variant, Compound::Array, Some(len))
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Parts<'w, W>> {
        self.begin(Compound::Object, len)
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Parts<'w, W>> {
        self.begin(Compound::Object, Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Parts<'w, W>> {
        self.variant(variant, Compound::Object, Some(len))
    }
}

/// A list or object under construction.
struct Parts<'w, W: ?Sized> {
    writer: &'w mut W,
    open: Open,
    len: usize,
    /// The object around a variant's content.
    around: Option<Open>,
    /// A key whose value comes in another call.
    key: Option<String>,
}

impl<W: TokenWriter + ?Sized> Parts<'_, W> {
    #[inline]
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        value.serialize(Encoder::new(&mut *self.writer, Place::Element))?;
        self.len += 1;
        Ok(())
    }

    #[inline]
    fn member<T: ?Sized + Serialize>(&mut self, key: &str, value: &T) -> Result<()> {
        let written = value.serialize(Encoder::new(&mut *self.writer, Place::Member(key)))?;
        self.len += written.count();
        Ok(())
    }

    fn finish(self) -> Result {
        self.writer.end(self.open, self.len)?;
        if let Some(around) = self.around {
            self.writer.end(around, 1)?;
        }
        Ok(Written::Value)
    }
}

macro_rules! list {
    ($($interface:ident $method:ident)*) => {$(
        impl<W: TokenWriter + ?Sized> $interface for Parts<'_, W> {
            type Ok = Written;
            type Error = EncodeError;

            #[inline]
            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
                self.element(value)
            }
            fn end(self) -> Result {
                self.finish()
            }
        }
    )*};
}

list! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! members {
    ($($interface:ident)*) => {$(
        impl<W: TokenWriter + ?Sized> $interface for Parts<'_, W> {
            type Ok = Written;
            type Error = EncodeError;

            #[inline]
            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<()> {
                self.member(key, value)
            }
            fn end(self) -> Result {
                self.finish()
            }
        }
    )*};
}

members!(SerializeStruct SerializeStructVariant);

impl<W: TokenWriter + ?Sized> SerializeMap for Parts<'_, W> {
    type Ok = Written;
    type Error = EncodeError;

    #[inline]
    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<()>
    where
        K: ?Sized + Serialize,
        V: ?Sized + Serialize,
    {
        key.serialize(WithKey(|key: &str| self.member(key, value)))
    }
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<()> {
        key.serialize(WithKey(|key: &str| {
            self.key = Some(key.to_owned());
            Ok(())
        }))
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        match self.key.take() {
            Some(key) => self.member(&key, value),
            None => Err(EncodeError::new("a map's value comes before its key")),
        }
    }
    fn end(self) -> Result {
        self.finish()
    }
}
