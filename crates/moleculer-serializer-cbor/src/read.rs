//! CBOR to tokens.

use moleculer_protocol::{
    DecodeError, Extended,
    format::{Compound, Peek, Token, TokenReader},
};

use crate::{EIGHT_BYTES, big, tag, tagged};

pub(crate) type Result<T> = std::result::Result<T, DecodeError>;

/// Input that is read from its front.
#[derive(Debug)]
pub(crate) struct Reader<'de> {
    rest: &'de [u8],
    /// Values that still have to come, as far as lists and maps have announced
    /// them, and the ends of those that announced none. Each takes a byte at
    /// least, so that there is an end to lying lengths.
    owed: usize,
    /// The innermost list or map without a length, and those around it.
    open: Open,
    around: Vec<Open>,
}

/// A list or map that ends with a break.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// What is owed where its next item or its break stands.
    owed: usize,
    /// How many values an item has: a map's has two.
    per_item: usize,
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(rest: &'de [u8]) -> Self {
        let none = Open { owed: usize::MAX, per_item: 0 };
        Self { rest, owed: 1, open: none, around: Vec::new() }
    }
}

impl<'de> TokenReader<'de> for Reader<'de> {
    fn token(&mut self) -> Result<Token<'de>> {
        let mut head = self.head()?;
        while head == Head::Tag(tag::SELF_DESCRIBED) {
            head = self.head()?;
        }
        Ok(match head {
            Head::Undefined => Token::Undefined,
            Head::Null => Token::Null,
            Head::Bool(flag) => Token::Bool(flag),
            Head::UInt(n) => Token::UInt(n.into()),
            Head::Negative(n) => Token::Int(-1 - i64::from(n)),
            Head::Long { negative, n } => {
                Token::Owned(Box::new(Extended::BigInt(big::from_u64(negative, n)?).into()))
            }
            Head::Float(n) => Token::Float(n),
            Head::Text(bytes) => Token::Text(text(bytes)?),
            Head::Bytes(bytes) => Token::Bytes(bytes),
            Head::List(len) => Token::Begin(Compound::Array, len),
            Head::Map(len) => Token::Begin(Compound::Object, len),
            Head::Break => Token::End,
            Head::Tag(tag) => tagged::token(self, tag)?,
        })
    }

    fn peek(&mut self) -> Result<Peek> {
        Ok(match self.rest.first() {
            Some(0xf6) => Peek::Null,
            Some(0xf7) => Peek::Undefined,
            Some(&BREAK) => Peek::End,
            _ => Peek::Other,
        })
    }

    fn skip(&mut self) -> Result<&'de [u8]> {
        let start = self.rest;
        let item = if self.owed == self.open.owed { self.open.per_item } else { 0 };
        let owed = (self.owed + item).saturating_sub(1);
        loop {
            if self.head()? == Head::Break && self.owed < owed {
                return Err(DecodeError::new("a list or map ends where a value should stand"));
            }
            if self.owed == owed {
                return Ok(&start[..start.len() - self.rest.len()]);
            }
        }
    }

    fn rest(&self) -> &'de [u8] {
        self.rest
    }

    fn has_undefined(&self) -> bool {
        true
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::new(format!("text: {error}")))
}

/// Ends what has no length.
const BREAK: u8 = 0xff;

/// What stands at one place: a whole scalar, or what comes before others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Head<'de> {
    Undefined,
    Null,
    Bool(bool),
    UInt(u32),
    /// Stands for -1 minus this.
    Negative(u32),
    /// An integer of eight bytes, a big one to JavaScript.
    Long {
        negative: bool,
        n: u64,
    },
    Float(f64),
    /// Meant to be UTF-8, not checked yet.
    Text(&'de [u8]),
    Bytes(&'de [u8]),
    /// Number of elements, if known; as many bytes follow at least.
    List(Option<usize>),
    /// Number of members, if known; twice as many bytes follow at least.
    Map(Option<usize>),
    Break,
    /// Says what the value behind it is.
    Tag(u64),
}

impl<'de> Reader<'de> {
    /// Reads a scalar, or the head of a list, a map or a tagged value.
    ///
    /// # Errors
    ///
    /// When the input ends early. A length is checked against what is left
    /// before anybody can act on it.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head<'de>> {
        let [first] = self.array()?;
        if first == BREAK {
            return self.end();
        }
        if self.owed == self.open.owed {
            self.owed += self.open.per_item;
        }
        self.owed = self.owed.saturating_sub(1);
        let info = first & 0x1f;
        Ok(match first >> 5 {
            0 if info == EIGHT_BYTES => Head::Long { negative: false, n: self.u64()? },
            0 => Head::UInt(self.short_number(first)?),
            1 if info == EIGHT_BYTES => Head::Long { negative: true, n: self.u64()? },
            1 => Head::Negative(self.short_number(first)?),
            2 => Head::Bytes(self.string(first)?),
            3 => Head::Text(self.string(first)?),
            4 => Head::List(self.items(first, 1)?),
            5 => Head::Map(self.items(first, 2)?),
            6 => {
                self.owed += 1;
                Head::Tag(self.number(first)?)
            }
            _ => self.simple(first)?,
        })
    }

    fn simple(&mut self, first: u8) -> Result<Head<'de>> {
        Ok(match first & 0x1f {
            20 => Head::Bool(false),
            21 => Head::Bool(true),
            22 => Head::Null,
            23 => Head::Undefined,
            25 => Head::Float(half(u16::from_be_bytes(self.array()?))),
            26 => Head::Float(f32::from_be_bytes(self.array()?).into()),
            27 => Head::Float(f64::from_be_bytes(self.array()?)),
            _ => return Err(no_value(first)),
        })
    }

    #[inline]
    fn short_number(&mut self, first: u8) -> Result<u32> {
        Ok(match first & 0x1f {
            n @ 0..=23 => n.into(),
            24 => u8::from_be_bytes(self.array()?).into(),
            25 => u16::from_be_bytes(self.array()?).into(),
            26 => u32::from_be_bytes(self.array()?),
            _ => return Err(no_value(first)),
        })
    }

    fn number(&mut self, first: u8) -> Result<u64> {
        match first & 0x1f {
            EIGHT_BYTES => self.u64(),
            _ => self.short_number(first).map(u64::from),
        }
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn string(&mut self, first: u8) -> Result<&'de [u8]> {
        if first & 0x1f == 31 {
            return Err(DecodeError::new("text and binary data must announce their length"));
        }
        let len = self.number(first)?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let Some((bytes, rest)) = split else {
            return Err(self.short(len));
        };
        self.rest = rest;
        Ok(bytes)
    }

    /// Every value that is owed takes a byte at least, so a larger number is
    /// a lie.
    fn items(&mut self, first: u8, per_item: usize) -> Result<Option<usize>> {
        if first & 0x1f == 31 {
            self.begin(per_item);
            return Ok(None);
        }
        let announced = self.number(first)?;
        let len = usize::try_from(announced).ok();
        match len.and_then(|len| len.checked_mul(per_item)) {
            Some(more) if more <= self.rest.len().saturating_sub(self.owed) => {
                self.owed += more;
                Ok(len)
            }
            _ => Err(self.short(announced)),
        }
    }

    /// A list or map without a length owes its break, and whole items only.
    fn begin(&mut self, per_item: usize) {
        self.owed += 1;
        self.around.push(self.open);
        self.open = Open { owed: self.owed, per_item };
    }

    fn end(&mut self) -> Result<Head<'de>> {
        match self.around.pop() {
            Some(around) if self.owed == self.open.owed => {
                self.owed -= 1;
                self.open = around;
                Ok(Head::Break)
            }
            _ => Err(DecodeError::new("a list or map ends where a value should stand")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.short(N as u64));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    #[cold]
    fn short(&self, wanted: u64) -> DecodeError {
        let left = self.rest.len();
        DecodeError::new(format!("the input ends early: {wanted} announced, {left} bytes left"))
    }
}

#[cold]
fn no_value(first: u8) -> DecodeError {
    DecodeError::new(format!("byte {first:#04x} begins no value"))
}

/// A float of 16 bits: a sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_lies_is_an_error() {
        for bytes in [
            &b"\x9a\xff\xff\xff\xff"[..],
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xbb\x80\0\0\0\0\0\0\0\0",
            b"\xba\xff\xff\xff\xff\x00\x00",
            b"\x7a\xff\xff\xff\xff",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x82\x01",
            b"\xa1\x01",
            b"\x19\x01",
            b"\xc1",
            b"",
        ] {
            assert!(Reader::new(bytes).skip().is_err(), "{bytes:x?}");
        }
    }

    /// Each list alone could be as long as it says, but not all of them. The
    /// break of a list without a length is owed too.
    #[test]
    fn nested_lengths_share_what_is_left() {
        let check = |lists: &[u8], heads: &[Option<usize>]| {
            let mut reader = Reader::new(lists);
            for len in &heads[..heads.len() - 1] {
                assert_eq!(reader.head().unwrap(), Head::List(*len));
            }
            assert!(reader.head().is_err());
            let longer = [lists, &[0]].concat();
            let mut reader = Reader::new(&longer);
            for len in heads {
                assert_eq!(reader.head().unwrap(), Head::List(*len));
            }
        };
        check(b"\x86\x83\0\0\0\0\0\0\0", &[Some(6), Some(3)]);
        check(b"\x9f\x83\0\0\0", &[None, Some(3)]);
        check(b"\x83\x9f\x9f\x83\0\0\0\0\0\0", &[Some(3), None, None, Some(3)]);
    }

    #[test]
    fn breaks_stand_where_an_item_could() {
        let spans: [(&[u8], bool); 14] = [
            (b"\x9f\xff", true),
            (b"\xbf\xff", true),
            (b"\xbf\x01\x02\xff", true),
            (b"\xbf\x01\xff", false),
            (b"\xbf\x01\xff\x02", false),
            (b"\xbf\x9f\xff\xbf\xff\xff", true),
            (b"\xbf\x9f\xff\xff", false),
            (b"\x9f\x82\x01\xff", false),
            (b"\x9f\x82\x01\xff\x02", false),
            (b"\x9f\x82\x01\x9f\xff\xff", true),
            (b"\x9f\xc1\xff", false),
            (b"\x82\x9f\xff\xff", false),
            (b"\xff", false),
            (b"\x9f\x9f\xff", false),
        ];
        for (bytes, valid) in spans {
            let skipped = Reader::new(bytes).skip();
            assert_eq!(skipped.is_ok_and(|span| span == bytes), valid, "{bytes:x?}");
        }
    }

    /// Values of a list or map without a length, one by one.
    #[test]
    fn items_without_a_length_are_skipped_one_by_one() {
        let mut reader = Reader::new(b"\xbf\x61a\x9f\x01\xff\x61b\x02\xff\x03");
        assert_eq!(reader.token().unwrap(), Token::Begin(Compound::Object, None));
        for span in [&b"\x61a"[..], b"\x9f\x01\xff", b"\x61b", b"\x02"] {
            assert_eq!(reader.skip().unwrap(), span);
        }
        assert_eq!(reader.peek().unwrap(), Peek::End);
        assert_eq!(reader.token().unwrap(), Token::End);
        let mut reader = Reader::new(b"\x9f\x01\xff");
        reader.token().unwrap();
        reader.skip().unwrap();
        assert!(reader.skip().is_err());
    }

    #[test]
    fn halves_are_floats() {
        let check = |bits, n: f64| assert_eq!(half(bits), n);
        check(0x0000, 0.0);
        check(0x3c00, 1.0);
        check(0xc400, -4.0);
        check(0x7bff, 65_504.0);
        check(0x0001, 5.960_464_477_539_063e-8);
        check(0x0400, 0.000_061_035_156_25);
        check(0xfc00, f64::NEG_INFINITY);
        assert!(half(0x8000).is_sign_negative() && half(0x7e00).is_nan());
    }

    #[test]
    fn skipping_a_deep_value_takes_no_stack() {
        for (first, last) in [(0x81, &b"\xf6"[..]), (0xc1, b"\xf6"), (0xc1, b"\x80")] {
            let mut bytes = vec![first; 1_000_000];
            bytes.extend(last);
            bytes.push(0x05);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.skip().unwrap().len(), 1_000_001);
            assert_eq!(reader.token().unwrap(), Token::UInt(5));
        }
        let bytes = [vec![0x9f; 1_000_000], vec![0xff; 1_000_000]].concat();
        assert_eq!(Reader::new(&bytes).skip().unwrap().len(), 2_000_000);
    }
}
