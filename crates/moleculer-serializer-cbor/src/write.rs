//! Tokens to CBOR: what cbor-x makes of the same JavaScript value.

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{
    BigInt, Date, EncodeError,
    format::{Compound, Open, TokenWriter},
};

use crate::{EIGHT_BYTES, big, tag};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Up to here a JavaScript number holds every integer.
const MAX_EXACT: u64 = 1 << 53;

/// Appends tokens to a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    /// Whether maps say that they are no objects.
    pub(crate) tag_maps: bool,
}

/// The upper three bits of a value's first byte.
#[derive(Clone, Copy)]
enum Major {
    UInt = 0,
    Negative = 1,
    Bytes = 2,
    Text = 3,
    List = 4,
    Map = 5,
    Tag = 6,
}

impl TokenWriter for Writer<'_> {
    fn null(&mut self) -> Result {
        self.byte(0xf6)
    }
    fn bool(&mut self, flag: bool) -> Result {
        self.byte(0xf4 + u8::from(flag))
    }

    #[inline]
    fn int(&mut self, n: i64) -> Result {
        match u64::try_from(n) {
            Ok(n) => self.uint(n),
            Err(_) => self.negative((-1 - n).cast_unsigned()),
        }
    }

    /// JavaScript reads eight bytes as a big integer, which its arithmetic
    /// refuses to mix with numbers: only integers that no number holds take
    /// them.
    #[inline]
    fn uint(&mut self, n: u64) -> Result {
        match n {
            0..=0xffff_ffff => self.head(Major::UInt, n),
            0x1_0000_0000..=MAX_EXACT => self.double(n as f64),
            _ => self.eight_bytes(Major::UInt, n),
        }
    }

    /// JavaScript has one kind of number: integral ones become integers. -0
    /// stays a float, or another Rust node would lose its sign.
    #[inline]
    fn float(&mut self, n: f64) -> Result {
        const RANGE: std::ops::RangeInclusive<f64> = -4_294_967_296.0..=4_294_967_295.0;
        if n.fract() == 0.0 && RANGE.contains(&n) && (n != 0.0 || n.is_sign_positive()) {
            return self.int(n as i64);
        }
        self.double(n)
    }

    #[inline]
    fn text(&mut self, text: &str) -> Result {
        self.string(Major::Text, text.as_bytes())
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result {
        self.string(Major::Bytes, bytes)
    }

    /// Returns the place of the head, which announces a count that may have
    /// to be corrected at the end.
    fn begin(&mut self, compound: Compound, len: Option<usize>) -> Result<usize> {
        match compound {
            Compound::Set => self.head(Major::Tag, tag::SET)?,
            Compound::Map if self.tag_maps => self.head(Major::Tag, tag::MAP)?,
            Compound::Array | Compound::Object | Compound::Map => {}
        }
        let place = self.out.len();
        self.compound_head(compound, length(len.unwrap_or(0))?)?;
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

    fn has(&self, _: Compound) -> bool {
        true
    }
    fn has_undefined(&self) -> bool {
        true
    }
    fn undefined(&mut self) -> Result {
        self.byte(0xf7)
    }

    /// Whole seconds from 1970 to 2106 take four bytes, whatever they are.
    fn date(&mut self, date: Date) -> Result {
        self.head(Major::Tag, tag::SECONDS)?;
        let seconds = date.0 / 1e3;
        if date.0 % 1e3 != 0.0 || !(0.0..4_294_967_296.0).contains(&seconds) {
            return self.double(seconds);
        }
        self.out.put_u8(26);
        self.out.put_u32(seconds as u32);
        Ok(())
    }

    /// Eight bytes even for a small one: that is what makes it a big integer.
    fn big_int(&mut self, n: &BigInt) -> Result {
        let (negative, magnitude) = big::magnitude(n)?;
        if let Some(n) = big::to_u64(&magnitude) {
            // cbor-x writes -2^64 the long way.
            if !negative || n < u64::MAX {
                let major = if negative { Major::Negative } else { Major::UInt };
                return self.eight_bytes(major, n);
            }
        }
        self.head(Major::Tag, if negative { tag::BIG_NEGATIVE } else { tag::BIG })?;
        self.bytes(&magnitude)
    }

    fn typed_array(&mut self, tag: u8, bytes: &[u8]) -> Result {
        if !(64..=87).contains(&tag) {
            return Err(EncodeError::new(format!("{tag} is no tag of a typed array in RFC 8746")));
        }
        self.head(Major::Tag, tag.into())?;
        self.bytes(bytes)
    }

    fn reg_exp(&mut self, source: &str, flags: &str) -> Result {
        self.head(Major::Tag, tag::CLASS)?;
        self.head(Major::List, 3)?;
        ["RegExp", source, flags].into_iter().try_for_each(|text| self.text(text))
    }
}

impl Writer<'_> {
    fn byte(&mut self, byte: u8) -> Result {
        self.out.put_u8(byte);
        Ok(())
    }

    /// Writes -1 - `n`.
    fn negative(&mut self, n: u64) -> Result {
        match n {
            0..=0xffff_ffff => self.head(Major::Negative, n),
            0x1_0000_0000..MAX_EXACT => self.double(-1.0 - n as f64),
            _ => self.eight_bytes(Major::Negative, n),
        }
    }

    fn double(&mut self, n: f64) -> Result {
        let n = if n.is_nan() { f64::NAN } else { n };
        let mut bytes = [0xfb; 9];
        bytes[1..].copy_from_slice(&n.to_be_bytes());
        self.raw(&bytes)
    }

    fn eight_bytes(&mut self, major: Major, n: u64) -> Result {
        let mut bytes = [(major as u8) << 5 | EIGHT_BYTES; 9];
        bytes[1..].copy_from_slice(&n.to_be_bytes());
        self.raw(&bytes)
    }

    fn string(&mut self, major: Major, bytes: &[u8]) -> Result {
        self.head(major, length(bytes.len())?.into())?;
        self.raw(bytes)
    }

    /// The shortest head.
    #[inline]
    fn head(&mut self, major: Major, n: u64) -> Result {
        let first = (major as u8) << 5;
        match n {
            0..=23 => self.byte(first | n as u8),
            24..=0xff => self.raw(&[first | 24, n as u8]),
            0x100..=0xffff => {
                let [a, b] = (n as u16).to_be_bytes();
                self.raw(&[first | 25, a, b])
            }
            0x1_0000..=0xffff_ffff => {
                let [a, b, c, d] = (n as u32).to_be_bytes();
                self.raw(&[first | 26, a, b, c, d])
            }
            _ => self.eight_bytes(major, n),
        }
    }

    /// An object's count takes two bytes where they do, as in cbor-x, which
    /// does not know the count beforehand.
    fn compound_head(&mut self, compound: Compound, len: u32) -> Result {
        match (compound, u16::try_from(len)) {
            (Compound::Object, Ok(len)) => {
                let [a, b] = len.to_be_bytes();
                self.raw(&[0xb9, a, b])
            }
            (Compound::Object | Compound::Map, _) => self.head(Major::Map, len.into()),
            (Compound::Array | Compound::Set, _) => self.head(Major::List, len.into()),
        }
    }

    #[cold]
    fn correct_head(&mut self, open: Open, announced: usize, len: u32) -> Result {
        let (old, end) = (head_len(open.compound, announced), self.out.len());
        self.compound_head(open.compound, len)?;
        let new = self.out.len() - end;
        let body = open.place + old;
        if new != old {
            self.out[body..].rotate_right(new);
            self.out.copy_within(body.., open.place);
        } else {
            self.out.copy_within(end.., open.place);
        }
        self.out.truncate(end + new - old);
        Ok(())
    }
}

fn length(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| EncodeError::new(format!("{len} is too long for cbor-x")))
}

const fn head_len(compound: Compound, len: usize) -> usize {
    match (compound, len) {
        (Compound::Object, ..=0xffff) | (_, 0x100..=0xffff) => 3,
        (_, 0..=23) => 1,
        (_, 24..=0xff) => 2,
        _ => 5,
    }
}
