//! MessagePack to tokens.

use bytes::Bytes;
use moleculer_protocol::{
    Date, DecodeError, Value,
    format::{Compound, Peek, Token, TokenReader},
};
use rmp::Marker;

use crate::dialect::Dialect;

type Result<T> = std::result::Result<T, DecodeError>;

/// Input that is read from its front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'de> {
    rest: &'de [u8],
    /// Values that still have to come: what lists and maps have announced.
    /// Each takes a byte at least, so that there is an end to lying lengths.
    owed: usize,
    dialect: Dialect,
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(rest: &'de [u8], dialect: Dialect) -> Self {
        Self { rest, owed: 1, dialect }
    }
}

impl<'de> TokenReader<'de> for Reader<'de> {
    fn token(&mut self) -> Result<Token<'de>> {
        Ok(match self.head()? {
            Head::Nil => Token::Null,
            Head::Bool(flag) => Token::Bool(flag),
            Head::Int(n) => Token::Int(n),
            Head::UInt(n) => Token::UInt(n),
            Head::Float(n) => Token::Float(n),
            Head::Text(bytes) => Token::Text(text(bytes)?),
            Head::Bin(bytes) => Token::Bytes(bytes),
            Head::List(len) => Token::Begin(Compound::Array, Some(len)),
            Head::Map(len) => Token::Begin(Compound::Object, Some(len)),
            Head::Ext(ext) => match self.dialect {
                Dialect::MsgPack => Token::Date(timestamp(ext)?),
                Dialect::Notepack => notepack_extension(ext),
            },
        })
    }

    fn peek(&mut self) -> Result<Peek> {
        Ok(match (self.dialect, self.rest) {
            (_, [0xc0, ..]) => Peek::Null,
            (Dialect::Notepack, [0xd4, 0, ..]) => Peek::Undefined,
            _ => Peek::Other,
        })
    }

    fn skip(&mut self) -> Result<&'de [u8]> {
        let start = self.rest;
        let owed = self.owed.saturating_sub(1);
        loop {
            self.head()?;
            if self.owed == owed {
                return Ok(&start[..start.len() - self.rest.len()]);
            }
        }
    }

    fn rest(&self) -> &'de [u8] {
        self.rest
    }

    fn has_undefined(&self) -> bool {
        self.dialect == Dialect::Notepack
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::new(format!("text: {error}")))
}

/// The timestamp extension (type -1) in its three lengths.
#[cold]
fn timestamp(Ext { tag, content, .. }: Ext<'_>) -> Result<Date> {
    let mut rest = Reader::new(content, Dialect::default());
    let (seconds, nanos) = match (tag, content.len()) {
        (-1, 4) => (i64::from(rest.u32()?), 0),
        (-1, 8) => {
            let both = u64::from_be_bytes(rest.array()?);
            ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
        }
        (-1, 12) => {
            let nanos = rest.u32()?;
            (i64::from_be_bytes(rest.array()?), nanos)
        }
        (tag, len) => {
            let message = format!("unknown extension type {tag} of {len} bytes");
            return Err(DecodeError::new(message));
        }
    };
    Ok(Date(seconds as f64 * 1e3 + f64::from(nanos) / 1e6))
}

/// Type 0 in the forms that notepack.io once wrote, and what it makes of types
/// that it does not know: a list of type and content.
#[cold]
fn notepack_extension(ext: Ext<'_>) -> Token<'_> {
    match (ext.tag, ext.fixed, ext.content) {
        (0, true, [_]) => Token::Undefined,
        (0, true, &[a, b, c, d, e, f, g, h]) => {
            Token::Date(Date(i64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64))
        }
        (0, false, content) => Token::Bytes(content),
        (tag, _, content) => match timestamp(ext) {
            Ok(date) => Token::Date(date),
            Err(_) => {
                let content = Value::from(Bytes::copy_from_slice(content));
                Token::Owned(Box::new(Value::Array(vec![tag.into(), content])))
            }
        },
    }
}

/// A value of a type that MessagePack does not define itself.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ext<'de> {
    tag: i8,
    /// Whether its head tells one of the lengths that need no byte.
    fixed: bool,
    content: &'de [u8],
}

/// What stands at one place: a whole scalar, or the size of a list or map.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Head<'de> {
    Nil,
    Bool(bool),
    /// Negative, or written with a signed width.
    Int(i64),
    UInt(u64),
    Float(f64),
    /// Meant to be UTF-8, not checked yet.
    Text(&'de [u8]),
    Bin(&'de [u8]),
    Ext(Ext<'de>),
    /// Number of elements; as many bytes follow at least.
    List(usize),
    /// Number of members; twice as many bytes follow at least.
    Map(usize),
}

impl<'de> Reader<'de> {
    /// Reads a scalar, or the head of a list or map.
    ///
    /// # Errors
    ///
    /// When the input ends early. A length is checked against what is left
    /// before anybody can act on it.
    #[inline]
    fn head(&mut self) -> Result<Head<'de>> {
        let [marker] = self.array()?;
        self.owed = self.owed.saturating_sub(1);
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(n) => Head::UInt(n.into()),
            Marker::FixNeg(n) => Head::Int(n.into()),
            Marker::Null => Head::Nil,
            Marker::True => Head::Bool(true),
            Marker::False => Head::Bool(false),
            Marker::U8 => Head::UInt(self.u8()?.into()),
            Marker::U16 => Head::UInt(self.u16()?.into()),
            Marker::U32 => Head::UInt(self.u32()?.into()),
            Marker::U64 => Head::UInt(u64::from_be_bytes(self.array()?)),
            Marker::I8 => Head::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Head::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Head::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Head::Int(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Head::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => Head::Text(self.take(len.into())?),
            Marker::Str8 => Head::Text(self.u8().and_then(|len| self.take(len.into()))?),
            Marker::Str16 => Head::Text(self.u16().and_then(|len| self.take(len.into()))?),
            Marker::Str32 => Head::Text(self.u32().and_then(|len| self.take(len as usize))?),
            Marker::Bin8 => Head::Bin(self.u8().and_then(|len| self.take(len.into()))?),
            Marker::Bin16 => Head::Bin(self.u16().and_then(|len| self.take(len.into()))?),
            Marker::Bin32 => Head::Bin(self.u32().and_then(|len| self.take(len as usize))?),
            Marker::FixArray(len) => Head::List(self.items(len.into(), 1)?),
            Marker::Array16 => Head::List(self.u16().and_then(|len| self.items(len.into(), 1))?),
            Marker::Array32 => Head::List(self.u32().and_then(|len| self.items(len, 1))?),
            Marker::FixMap(len) => Head::Map(self.items(len.into(), 2)?),
            Marker::Map16 => Head::Map(self.u16().and_then(|len| self.items(len.into(), 2))?),
            Marker::Map32 => Head::Map(self.u32().and_then(|len| self.items(len, 2))?),
            Marker::FixExt1 => self.ext(1, true)?,
            Marker::FixExt2 => self.ext(2, true)?,
            Marker::FixExt4 => self.ext(4, true)?,
            Marker::FixExt8 => self.ext(8, true)?,
            Marker::FixExt16 => self.ext(16, true)?,
            Marker::Ext8 => self.u8().and_then(|len| self.ext(len.into(), false))?,
            Marker::Ext16 => self.u16().and_then(|len| self.ext(len.into(), false))?,
            Marker::Ext32 => self.u32().and_then(|len| self.ext(len as usize, false))?,
            Marker::Reserved => return Err(DecodeError::new("byte 0xc1 begins no value")),
        })
    }

    fn ext(&mut self, len: usize, fixed: bool) -> Result<Head<'de>> {
        let tag = i8::from_be_bytes(self.array()?);
        Ok(Head::Ext(Ext { tag, fixed, content: self.take(len)? }))
    }

    /// Every value that is owed takes a byte at least, so a larger number is
    /// a lie.
    fn items(&mut self, len: u32, values: usize) -> Result<usize> {
        let len = len as usize;
        match len.checked_mul(values) {
            Some(more) if more <= self.rest.len().saturating_sub(self.owed) => {
                self.owed += more;
                Ok(len)
            }
            _ => Err(self.short(len)),
        }
    }

    fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.short(N));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.short(len));
        };
        self.rest = rest;
        Ok(bytes)
    }

    #[cold]
    fn short(&self, wanted: usize) -> DecodeError {
        let left = self.rest.len();
        DecodeError::new(format!("the input ends early: {wanted} announced, {left} bytes left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, Dialect::MsgPack)
    }

    #[test]
    fn a_length_that_lies_is_an_error() {
        for bytes in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff\x00\x00",
            b"\xdb\xff\xff\xff\xff",
            b"\xc6\x80\x00\x00\x00",
            b"\xc9\xff\xff\xff\xff\xff",
            b"\x92\x01",
            b"\x81\x01",
            b"\xcd\x01",
            b"\xc1",
            b"",
        ] {
            assert!(open(bytes).skip().is_err(), "{bytes:x?}");
        }
    }

    /// Each list alone could be as long as it says, but not all of them.
    #[test]
    fn nested_lengths_share_what_is_left() {
        let lists = b"\xdc\0\x06\xdc\0\x03\0\0\0\0\0\0";
        let mut reader = open(lists);
        let list = |len| Head::List(len);
        assert_eq!(reader.head().unwrap(), list(6));
        assert!(reader.head().is_err());
        let longer = [&lists[..], &[0, 0]].concat();
        let mut reader = open(&longer);
        assert_eq!(reader.head().unwrap(), list(6));
        assert_eq!(reader.head().unwrap(), list(3));
        assert!(reader.skip().is_ok());
    }

    #[test]
    fn timestamps_have_three_lengths() {
        let ms =
            |tag, content: &[u8]| timestamp(Ext { tag, fixed: true, content }).map(|date| date.0);
        assert_eq!(ms(-1, &[0, 0, 0, 1]), Ok(1000.0));
        assert_eq!(ms(-1, &(5_000_000_u64 << 34 | 7).to_be_bytes()), Ok(7005.0));
        assert_eq!(ms(-1, &[&[0; 4][..], &(-1_i64).to_be_bytes()].concat()), Ok(-1000.0));
        assert!(ms(-1, &[0]).is_err());
        assert!(ms(3, &[0; 4]).is_err());
    }

    #[test]
    fn skipping_a_deep_value_takes_no_stack() {
        let mut bytes = vec![0x91; 1_000_000];
        bytes.push(0xc0);
        bytes.push(0x05);
        let mut reader = open(&bytes);
        assert_eq!(reader.skip().unwrap().len(), 1_000_001);
        assert_eq!(reader.token().unwrap(), Token::UInt(5));
    }
}
