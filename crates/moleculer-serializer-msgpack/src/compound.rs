//! Lists and maps.

use bytes::BytesMut;
use moleculer_protocol::EncodeError;
use rmp::encode;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use crate::{
    encode::{Encoder, Result, Written, value},
    key::NOT_TEXT,
    number::{Writer, failed},
    read::{Head, Reader},
};

/// A list or map under construction. Its head announces a count, which is
/// corrected at the end: members may turn out to be undefined.
#[derive(Debug)]
pub(crate) struct Compound<'a> {
    out: &'a mut BytesMut,
    kind: Kind,
    start: usize,
    announced: u32,
    count: u32,
    /// Where the key stands whose value comes next.
    key: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    List,
    Map,
}

impl<'a> Compound<'a> {
    pub(crate) fn map(out: &'a mut BytesMut, len: Option<usize>) -> Result<Self> {
        Self::open(out, Kind::Map, len)
    }

    pub(crate) fn list(out: &'a mut BytesMut, len: Option<usize>) -> Result<Self> {
        Self::open(out, Kind::List, len)
    }

    fn open(out: &'a mut BytesMut, kind: Kind, len: Option<usize>) -> Result<Self> {
        let start = out.len();
        let announced = length(len.unwrap_or(0))?;
        write_head(out, kind, announced)?;
        Ok(Self {
            out,
            kind,
            start,
            announced,
            count: 0,
            key: start,
        })
    }

    /// Writes a member, or leaves it out if it is undefined.
    pub(crate) fn member<T: ?Sized + Serialize>(&mut self, key: &str, value: &T) -> Result<()> {
        self.member_with(key, |out| value.serialize(Encoder(out)))
    }

    /// Writes a key and what `write` appends.
    pub(crate) fn member_with(
        &mut self,
        key: &str,
        write: impl FnOnce(&mut BytesMut) -> Result,
    ) -> Result<()> {
        self.key = self.out.len();
        write_text(self.out, key)?;
        let written = write(self.out)?;
        self.close_member(written);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<()> {
        if self.count == self.announced {
            return Ok(());
        }
        let (old, end) = (head_len(self.announced), self.out.len());
        write_head(self.out, self.kind, self.count)?;
        let new = self.out.len() - end;
        if new == old {
            self.out.copy_within(end.., self.start);
            self.out.truncate(end);
        } else {
            let body = self.start + old;
            self.out[body..].rotate_right(new);
            self.out.copy_within(body.., self.start);
            self.out.truncate(end + new - old);
        }
        Ok(())
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        match value.serialize(Encoder(self.out))? {
            Written::Value => self.count += 1,
            Written::Nothing => return Err(undefined()),
        }
        Ok(())
    }

    fn close_member(&mut self, written: Written) {
        match written {
            Written::Value => self.count += 1,
            Written::Nothing => self.out.truncate(self.key),
        }
    }

    fn end(self) -> Result {
        self.finish().map(value)
    }
}

pub(crate) fn undefined() -> EncodeError {
    EncodeError::new("MsgPack cannot carry undefined in a list; use null")
}

pub(crate) fn length(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| EncodeError::new(format!("{len} is too long for MsgPack")))
}

pub(crate) fn write_head(out: &mut BytesMut, kind: Kind, len: u32) -> Result<()> {
    let out = &mut Writer(out);
    match kind {
        Kind::List => encode::write_array_len(out, len),
        Kind::Map => encode::write_map_len(out, len),
    }
    .map(drop)
    .map_err(failed)
}

const fn head_len(len: u32) -> usize {
    match len {
        0..=15 => 1,
        16..=0xffff => 3,
        _ => 5,
    }
}

pub(crate) fn write_text(out: &mut BytesMut, text: &str) -> Result<()> {
    length(text.len())?;
    encode::write_str(&mut Writer(out), text).map_err(failed)
}

/// Objects have text keys, so numbers and flags become text, as in JSON.
fn write_key<T: ?Sized + Serialize>(out: &mut BytesMut, key: &T) -> Result<()> {
    let start = out.len();
    key.serialize(Encoder(out))?;
    let text = match Reader::new(&out[start..]).head() {
        Ok(Head::Text(_)) => return Ok(()),
        Ok(Head::Int(n)) => n.to_string(),
        Ok(Head::UInt(n)) => n.to_string(),
        Ok(Head::Bool(flag)) => flag.to_string(),
        _ => return Err(EncodeError::new(NOT_TEXT)),
    };
    out.truncate(start);
    write_text(out, &text)
}

macro_rules! list {
    ($($interface:ident $method:ident)*) => {$(
        impl $interface for Compound<'_> {
            type Ok = Written;
            type Error = EncodeError;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
                self.element(value)
            }
            fn end(self) -> Result {
                self.end()
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
        impl $interface for Compound<'_> {
            type Ok = Written;
            type Error = EncodeError;

            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<()> {
                self.member(key, value)
            }
            fn end(self) -> Result {
                self.end()
            }
        }
    )*};
}

members!(SerializeStruct SerializeStructVariant);

impl SerializeMap for Compound<'_> {
    type Ok = Written;
    type Error = EncodeError;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<()> {
        self.key = self.out.len();
        write_key(self.out, key)
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        let written = value.serialize(Encoder(self.out))?;
        self.close_member(written);
        Ok(())
    }
    fn end(self) -> Result {
        self.end()
    }
}
