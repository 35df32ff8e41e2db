//! Tokens to MessagePack: what the dialect's library makes of the same
//! JavaScript value.

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{
    BigInt, Date, EncodeError, ValueFormat,
    format::{Compound, Open, TokenWriter},
};
use rmp::encode;

use crate::{
    dialect::Dialect,
    number::{Target, failed, write_float, write_int, write_uint},
};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Appends tokens to a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) dialect: Dialect,
}

impl TokenWriter for Writer<'_> {
    fn null(&mut self) -> Result {
        encode::write_nil(&mut Target(self.out)).map_err(failed)
    }
    fn bool(&mut self, flag: bool) -> Result {
        encode::write_bool(&mut Target(self.out), flag).map_err(failed)
    }
    fn int(&mut self, n: i64) -> Result {
        write_int(self.out, n, self.dialect)
    }
    fn uint(&mut self, n: u64) -> Result {
        write_uint(self.out, n)
    }
    fn float(&mut self, n: f64) -> Result {
        write_float(self.out, n, self.dialect)
    }
    fn text(&mut self, text: &str) -> Result {
        length(text.len())?;
        encode::write_str(&mut Target(self.out), text).map_err(failed)
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result {
        length(bytes.len())?;
        encode::write_bin(&mut Target(self.out), bytes).map_err(failed)
    }

    /// Returns the place of the head, which announces a count that may have
    /// to be corrected at the end.
    fn begin(&mut self, compound: Compound, len: Option<usize>) -> Result<usize> {
        let place = self.out.len();
        write_head(self.out, compound, length(len.unwrap_or(0))?)?;
        Ok(place)
    }

    fn end(&mut self, open: Open, len: usize) -> Result {
        let announced = open.len.unwrap_or(0);
        if len == announced {
            return Ok(());
        }
        self.correct_head(open, announced, length(len)?)
    }

    fn raw(&mut self, encoded: &[u8]) -> Result {
        self.out.extend_from_slice(encoded);
        Ok(())
    }

    /// msgpack5 writes a map as an object; else both show `{}`.
    fn has(&self, compound: Compound) -> bool {
        match compound {
            Compound::Array | Compound::Object => true,
            Compound::Map => self.dialect == Dialect::MsgPack,
            Compound::Set => false,
        }
    }

    fn undefined(&mut self) -> Result {
        match self.dialect {
            Dialect::MsgPack => {
                Err(EncodeError::new("MsgPack cannot carry undefined in a list; use null"))
            }
            Dialect::Notepack => self.null(),
        }
    }

    /// The timestamp extension in the shortest of its three lengths; null for
    /// a date that is no number.
    fn date(&mut self, date: Date) -> Result {
        if !date.0.is_finite() {
            return self.null();
        }
        let mut seconds = (date.0 / 1e3).floor();
        let mut nanos = ((date.0 - seconds * 1e3) * 1e6).round();
        if nanos >= 1e9 {
            (seconds, nanos) = (seconds + 1.0, 0.0);
        }
        let (seconds, nanos) = (seconds as i64, nanos as u32);
        match (u32::try_from(seconds), nanos) {
            (Ok(seconds), 0) => {
                self.timestamp(4)?;
                self.out.put_u32(seconds);
            }
            _ if (0..1 << 34).contains(&seconds) => {
                self.timestamp(8)?;
                self.out.put_u64(u64::from(nanos) << 34 | seconds as u64);
            }
            _ => {
                self.timestamp(12)?;
                self.out.put_u32(nanos);
                self.out.put_i64(seconds);
            }
        }
        Ok(())
    }

    fn big_int(&mut self, n: &BigInt) -> Result {
        Err(EncodeError::new(format!(
            "{} cannot carry the big integer {}; send it as text",
            self.dialect.name(),
            n.as_str()
        )))
    }
}

impl Writer<'_> {
    fn timestamp(&mut self, len: u32) -> Result {
        const TIMESTAMP: i8 = -1;
        encode::write_ext_meta(&mut Target(self.out), len, TIMESTAMP).map(drop).map_err(failed)
    }

    #[cold]
    fn correct_head(&mut self, open: Open, announced: usize, len: u32) -> Result {
        let (old, end) = (head_len(announced), self.out.len());
        let out = &mut *self.out;
        write_head(out, open.compound, len)?;
        let new = out.len() - end;
        if new == old {
            out.copy_within(end.., open.place);
            out.truncate(end);
        } else {
            let body = open.place + old;
            out[body..].rotate_right(new);
            out.copy_within(body.., open.place);
            out.truncate(end + new - old);
        }
        Ok(())
    }
}

fn length(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| EncodeError::new(format!("{len} is too long for MsgPack")))
}

fn write_head(out: &mut BytesMut, compound: Compound, len: u32) -> Result {
    let out = &mut Target(out);
    match compound {
        Compound::Array | Compound::Set => encode::write_array_len(out, len),
        Compound::Object | Compound::Map => encode::write_map_len(out, len),
    }
    .map(drop)
    .map_err(failed)
}

const fn head_len(len: usize) -> usize {
    match len {
        0..=15 => 1,
        16..=0xffff => 3,
        _ => 5,
    }
}
