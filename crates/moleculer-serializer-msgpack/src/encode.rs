//! Values to MessagePack: what msgpack5 makes of the same JavaScript value.

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{Date, EncodeError, Extended, Value, format::kinds};
use rmp::encode;
use serde::ser::{Serialize, Serializer};

use crate::{
    compound::{Compound, Kind, length, undefined, write_head, write_text},
    number::{Writer, failed, write_float, write_int, write_uint},
};

/// Whether serializing wrote a value, or met `undefined`, which writes
/// nothing: the list or member around it decides what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Value,
    Nothing,
}

pub(crate) type Result<T = Written> = std::result::Result<T, EncodeError>;

/// Appends a value to a buffer.
///
/// Human readable, so that ids and times of other crates become the text that
/// JavaScript peers expect.
#[derive(Debug)]
pub(crate) struct Encoder<'a>(pub(crate) &'a mut BytesMut);

impl Encoder<'_> {
    fn variant(self, variant: &str) -> Result<Self> {
        write_head(self.0, Kind::Map, 1)?;
        write_text(self.0, variant)?;
        Ok(self)
    }
}

impl<'a> Serializer for Encoder<'a> {
    type Ok = Written;
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn serialize_bool(self, v: bool) -> Result {
        encode::write_bool(&mut Writer(self.0), v)
            .map(value)
            .map_err(failed)
    }
    fn serialize_i8(self, v: i8) -> Result {
        self.serialize_i64(v.into())
    }
    fn serialize_i16(self, v: i16) -> Result {
        self.serialize_i64(v.into())
    }
    fn serialize_i32(self, v: i32) -> Result {
        self.serialize_i64(v.into())
    }
    fn serialize_i64(self, v: i64) -> Result {
        write_int(self.0, v).map(value)
    }
    fn serialize_i128(self, v: i128) -> Result {
        match (i64::try_from(v), u64::try_from(v)) {
            (Ok(n), _) => self.serialize_i64(n),
            (_, Ok(n)) => self.serialize_u64(n),
            _ => Err(too_large(v)),
        }
    }
    fn serialize_u8(self, v: u8) -> Result {
        self.serialize_u64(v.into())
    }
    fn serialize_u16(self, v: u16) -> Result {
        self.serialize_u64(v.into())
    }
    fn serialize_u32(self, v: u32) -> Result {
        self.serialize_u64(v.into())
    }
    fn serialize_u64(self, v: u64) -> Result {
        write_uint(self.0, v).map(value)
    }
    fn serialize_u128(self, v: u128) -> Result {
        match u64::try_from(v) {
            Ok(n) => self.serialize_u64(n),
            Err(_) => Err(too_large(v)),
        }
    }
    fn serialize_f32(self, v: f32) -> Result {
        self.serialize_f64(v.into())
    }
    fn serialize_f64(self, v: f64) -> Result {
        write_float(self.0, v).map(value)
    }
    fn serialize_char(self, v: char) -> Result {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Result {
        write_text(self.0, v).map(value)
    }
    fn serialize_bytes(self, v: &[u8]) -> Result {
        length(v.len())?;
        encode::write_bin(&mut Writer(self.0), v)
            .map(value)
            .map_err(failed)
    }
    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result {
        encode::write_nil(&mut Writer(self.0))
            .map(value)
            .map_err(failed)
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result {
        match name {
            kinds::UNDEFINED => Ok(Written::Nothing),
            _ => self.serialize_unit(),
        }
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        match name {
            kinds::DATE | kinds::BIG_INT | kinds::TYPED_ARRAY | kinds::MAP => {
                kind(self.0, &Value::from_serialize(&Newtype(name, value))?)
            }
            // The others show msgpack5 what they show JSON.
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
        let content = self.variant(variant)?;
        match value.serialize(Encoder(&mut *content.0))? {
            Written::Value => Ok(Written::Value),
            Written::Nothing => Err(undefined()),
        }
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'a>> {
        Compound::list(self.0, len)
    }
    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Compound<'a>> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>> {
        self.variant(variant)?.serialize_seq(Some(len))
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'a>> {
        Compound::map(self.0, len)
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Compound<'a>> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'a>> {
        self.variant(variant)?.serialize_map(Some(len))
    }
}

/// For what always writes.
pub(crate) fn value<T>(_: T) -> Written {
    Written::Value
}

fn too_large(n: impl std::fmt::Display) -> EncodeError {
    EncodeError::new(format!("{n} does not fit 64 bits; send it as text"))
}

/// A newtype to be read back as the kind of value that its name tells.
struct Newtype<'a, T: ?Sized>(&'static str, &'a T);

impl<T: ?Sized + Serialize> Serialize for Newtype<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(self.0, self.1)
    }
}

/// The kinds that JSON shows differently from msgpack5.
fn kind(out: &mut BytesMut, value: &Value) -> Result {
    let extended = match value {
        Value::Date(date) => return write_date(out, *date),
        Value::Extended(extended) => &**extended,
        other => return Err(EncodeError::new(format!("unexpected kind {other:?}"))),
    };
    match extended {
        Extended::TypedArray { bytes, .. } => Encoder(out).serialize_bytes(bytes),
        Extended::Map(entries) => {
            write_head(out, Kind::Map, length(entries.len())?)?;
            for part in entries.iter().flat_map(|(key, value)| [key, value]) {
                if part.serialize(Encoder(out))? == Written::Nothing {
                    return Err(undefined());
                }
            }
            Ok(Written::Value)
        }
        Extended::BigInt(n) => Err(EncodeError::new(format!(
            "MsgPack cannot carry the big integer {}; send it as text",
            n.as_str()
        ))),
        other => Err(EncodeError::new(format!("unexpected kind {other:?}"))),
    }
}

/// The timestamp extension in the shortest of its three lengths; null for a
/// date that is no number.
fn write_date(out: &mut BytesMut, date: Date) -> Result {
    const TIMESTAMP: i8 = -1;
    if !date.0.is_finite() {
        return Encoder(out).serialize_unit();
    }
    let mut seconds = (date.0 / 1e3).floor();
    let mut nanos = ((date.0 - seconds * 1e3) * 1e6).round();
    if nanos >= 1e9 {
        (seconds, nanos) = (seconds + 1.0, 0.0);
    }
    let (seconds, nanos) = (seconds as i64, nanos as u32);
    let ext = |out: &mut BytesMut, len| {
        encode::write_ext_meta(&mut Writer(out), len, TIMESTAMP).map_err(failed)
    };
    match (u32::try_from(seconds), nanos) {
        (Ok(seconds), 0) => {
            ext(out, 4)?;
            out.put_u32(seconds);
        }
        _ if (0..1 << 34).contains(&seconds) => {
            ext(out, 8)?;
            out.put_u64(u64::from(nanos) << 34 | seconds as u64);
        }
        _ => {
            ext(out, 12)?;
            out.put_u32(nanos);
            out.put_i64(seconds);
        }
    }
    Ok(Written::Value)
}
