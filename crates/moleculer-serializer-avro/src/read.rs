//! Avro's primitive types, read.

use bytes::Bytes;
use moleculer_protocol::{DecodeError, Format, Object, Payload, Value, json};
use serde::de::DeserializeOwned;

use crate::write::data_type;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the members of a record one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    packet: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(packet: &'a Bytes) -> Self {
        Self {
            packet,
            rest: packet,
        }
    }

    /// Reads a member; errors name it.
    pub(crate) fn field<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        read(self).map_err(|error| error.within(name))
    }

    /// Reads a member that is a union of null and something.
    pub(crate) fn option<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        self.field(name, |input| match input.long()? {
            0 => Ok(None),
            1 => read(input).map(Some),
            other => Err(DecodeError::new(format!("a union has no branch {other}"))),
        })
    }

    /// # Errors
    ///
    /// When something follows what has been read.
    pub(crate) fn end(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(DecodeError::new(format!("{more} bytes after the end"))),
        }
    }

    pub(crate) fn long(&mut self) -> Result<i64> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                break;
            }
            bits |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        Err(DecodeError::new("an integer does not fit 64 bits"))
    }

    pub(crate) fn int<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let n = self.long()?;
        T::try_from(n).map_err(|_| DecodeError::new(format!("{n} is out of range")))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(DecodeError::new(format!("{other} is no boolean"))),
        }
    }

    pub(crate) fn double(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.long()?;
        let split = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((bytes, rest)) = split else {
            return Err(self.short(len));
        };
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| DecodeError::new(error.to_string()))
    }

    /// Blocks of texts. A negative count is followed by the block's size.
    pub(crate) fn list<T: From<&'a str>>(&mut self) -> Result<Vec<T>> {
        let mut items = Vec::new();
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                self.long()?;
            }
            // The count may lie, so it reserves nothing.
            for _ in 0..count.unsigned_abs() {
                items.push(self.string()?.into());
            }
        }
    }

    /// JSON text; an empty one is the default.
    pub(crate) fn json<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        match self.bytes()? {
            [] => Ok(T::default()),
            text => json::from_slice(text),
        }
    }

    /// The JSON text of an object; a falsy value stands for `{}`.
    pub(crate) fn object(&mut self) -> Result<Object> {
        match self.json()? {
            Value::Object(object) => Ok(object),
            value if !value.is_truthy() => Ok(Object::new()),
            other => Err(DecodeError::new(format!(
                "expected an object, found {other:?}"
            ))),
        }
    }

    /// Params or data, sharing the packet's buffer. A type that nobody knows
    /// is taken for JSON.
    pub(crate) fn payload(&mut self, name: &str) -> Result<Payload> {
        let bytes = self.option(name, Self::bytes)?;
        let data_type = self.field("data type", Self::int)?;
        Ok(match (data_type, bytes) {
            (data_type::UNDEFINED, _) => Payload::nothing(),
            (data_type::NULL, _) | (_, None) => Payload::null(),
            (data_type::BUFFER, Some(bytes)) => Payload::cloneable(self.packet.slice_ref(bytes)),
            (_, Some(text)) => Payload::encoded(self.packet.slice_ref(text), Format::Json),
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.short(N as i64));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    #[cold]
    fn short(&self, wanted: i64) -> DecodeError {
        let left = self.rest.len();
        DecodeError::new(format!(
            "the input ends early: {wanted} announced, {left} bytes left"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag_varints() {
        let read = |bytes: &'static [u8]| Reader::new(&Bytes::from_static(bytes)).long();
        assert_eq!(read(b"\x00").unwrap(), 0);
        assert_eq!(read(b"\x01").unwrap(), -1);
        assert_eq!(read(b"\x80\x01").unwrap(), 64);
        assert_eq!(
            read(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap(),
            i64::MAX
        );
        assert_eq!(
            read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap(),
            i64::MIN
        );
        // Padded, but valid.
        assert_eq!(read(b"\x82\x80\x00").unwrap(), 1);
        assert!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").is_err());
        assert!(read(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01").is_err());
        assert!(read(b"\x80").is_err());
    }

    #[test]
    fn lists_come_in_blocks() {
        let read = |bytes: &'static [u8]| Reader::new(&Bytes::from_static(bytes)).list::<String>();
        assert_eq!(read(b"\x00").unwrap(), Vec::<String>::new());
        assert_eq!(read(b"\x02\x02a\x02\x02b\x00").unwrap(), ["a", "b"]);
        assert_eq!(read(b"\x03\x08\x02a\x02b\x00").unwrap(), ["a", "b"]);
        assert!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00").is_err());
    }
}
