//! Avro's primitive types, written.

use std::fmt::Display;

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{EncodeError, Format, PacketId, Payload, json};
use serde::Serialize;

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// What a payload's bytes are; the member after it tells.
pub(crate) mod data_type {
    pub(crate) const UNDEFINED: i32 = 0;
    pub(crate) const NULL: i32 = 1;
    pub(crate) const JSON: i32 = 2;
    pub(crate) const BUFFER: i32 = 3;
}

/// Appends the members of a record.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut BytesMut);

impl Writer<'_> {
    /// A zigzag varint: Avro's `int` and `long` alike.
    pub(crate) fn long(&mut self, n: i64) {
        let mut rest = ((n << 1) ^ (n >> 63)) as u64;
        while rest > 0x7f {
            self.0.put_u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.put_u8(rest as u8);
    }

    /// An `int` from any wider integer.
    pub(crate) fn int<T: TryInto<i32> + Copy + Display>(&mut self, name: &str, n: T) -> Result {
        let int = n
            .try_into()
            .map_err(|_| EncodeError::new(format!("{name}: {n} does not fit 32 bits")))?;
        self.long(int.into());
        Ok(())
    }

    pub(crate) fn boolean(&mut self, flag: bool) {
        self.0.put_u8(flag.into());
    }

    pub(crate) fn double(&mut self, n: f64) {
        self.0.put_f64_le(n);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as i64);
        self.0.put_slice(bytes);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn id(&mut self, id: &PacketId) {
        id.with_str(|text| self.string(text));
    }

    /// One block with all items, then the end.
    pub(crate) fn list<T: AsRef<str>>(&mut self, items: &[T]) {
        if !items.is_empty() {
            self.long(items.len() as i64);
            for item in items {
                self.string(item.as_ref());
            }
        }
        self.long(0);
    }

    /// A union of null and something.
    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.long(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// JSON text, as a string or as bytes.
    pub(crate) fn json<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result {
        self.sized(|out| json::to_writer(value, out))
            .map(drop)
            .map_err(|error| EncodeError::new(format!("{name}: {error}")))
    }

    /// Params or data in a union with null, then their type.
    pub(crate) fn payload(&mut self, name: &str, payload: &Payload) -> Result {
        let start = self.0.len();
        let data_type = if payload.is_nothing() {
            data_type::UNDEFINED
        } else if let Some(bytes) = payload.as_bytes() {
            self.option(Some(&bytes), |out, bytes| out.bytes(bytes));
            data_type::BUFFER
        } else {
            self.long(1);
            let text = self
                .sized(|out| payload.encode(&Format::Json, out))
                .map_err(|error| EncodeError::new(format!("{name}: {error}")))?;
            match &self.0[text..] {
                b"null" => data_type::NULL,
                _ => data_type::JSON,
            }
        };
        if matches!(data_type, data_type::UNDEFINED | data_type::NULL) {
            self.0.truncate(start);
            self.long(0);
        }
        self.long(data_type.into());
        Ok(())
    }

    /// Writes bytes whose length comes out at the end, and puts the length in
    /// front of them. Returns where the bytes stand.
    fn sized(&mut self, write: impl FnOnce(&mut BytesMut) -> Result) -> Result<usize> {
        let start = self.0.len();
        write(self.0)?;
        let end = self.0.len();
        self.long((end - start) as i64);
        let head = self.0.len() - end;
        self.0[start..].rotate_right(head);
        Ok(start + head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag_varints() {
        let check = |n: i64, hex: &str| {
            let mut out = BytesMut::new();
            Writer(&mut out).long(n);
            assert_eq!(format!("{:x}", out.freeze()), hex, "{n}");
        };
        check(0, "00");
        check(-1, "01");
        check(63, "7e");
        check(64, "8001");
        check(5001, "924e");
        check(i64::MAX, "feffffffffffffffff01");
        check(i64::MIN, "ffffffffffffffffff01");
    }
}
