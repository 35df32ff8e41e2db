//! The interface between types and formats: one value as a row of tokens.

use super::{DecodeError, EncodeError};
use crate::{BigInt, Date, Value};

/// What stands at one place of an encoded value.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Token<'de> {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that is not negative.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text that stands in the input.
    Text(&'de str),
    /// Binary data that stands in the input.
    Bytes(&'de [u8]),
    /// A point in time.
    Date(Date),
    /// Begins a list, object, map or set. A known length counts elements or
    /// members, and so many follow; see [`TokenReader::token`].
    Begin(Compound, Option<usize>),
    /// Ends what began without a length.
    End,
    /// A whole value: text or bytes that do not stand in the input as they
    /// are, a big integer, a typed array, a regular expression.
    Owned(Box<Value>),
}

/// The kinds of values that hold others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compound {
    /// A list.
    Array,
    /// Members in turn: a text as key, then a value. Readers may yield
    /// numbers and flags as keys; they become text.
    Object,
    /// Members in turn: a key of any kind, then a value.
    Map,
    /// Elements, each of them once.
    Set,
}

/// What comes next, as far as a type must know it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// `null`.
    Null,
    /// `undefined`.
    Undefined,
    /// The end of what began without a length.
    End,
    /// Anything else.
    Other,
}

/// Reads one value, token by token.
///
/// # Contract
///
/// - Never panics and needs no stack for nesting; nesting is limited by what
///   reads the tokens.
/// - Text is valid UTF-8.
pub trait TokenReader<'de> {
    /// The next token.
    ///
    /// A length is one that the rest of the input can hold, together with
    /// what is still owed to the lists and objects around: memory is reserved
    /// by it.
    ///
    /// # Errors
    ///
    /// When the input ends early or is not valid in this format.
    fn token(&mut self) -> Result<Token<'de>, DecodeError>;

    /// Looks at what comes next without taking it.
    ///
    /// # Errors
    ///
    /// May fail where [`token`](Self::token) would.
    fn peek(&mut self) -> Result<Peek, DecodeError>;

    /// Skips a whole value and returns its bytes, however deep it is and
    /// whatever it holds.
    ///
    /// # Errors
    ///
    /// When the input ends early or has no such value.
    fn skip(&mut self) -> Result<&'de [u8], DecodeError>;

    /// What is not read yet, white space aside.
    fn rest(&self) -> &'de [u8];

    /// Whether the format knows `undefined`. Where it does, a type does not
    /// see members that are undefined.
    fn has_undefined(&self) -> bool {
        false
    }
}

/// Writes one value, token by token.
///
/// The further kinds of [`Value`] have default methods that write what other
/// formats show of them.
pub trait TokenWriter {
    /// Writes null.
    ///
    /// # Errors
    ///
    /// These methods fail when the format cannot carry the value.
    fn null(&mut self) -> Result<(), EncodeError>;

    /// Writes a flag.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn bool(&mut self, flag: bool) -> Result<(), EncodeError>;

    /// Writes an integer.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn int(&mut self, n: i64) -> Result<(), EncodeError>;

    /// Writes an integer that is not negative.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn uint(&mut self, n: u64) -> Result<(), EncodeError>;

    /// Writes any number.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn float(&mut self, n: f64) -> Result<(), EncodeError>;

    /// Writes text.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn text(&mut self, text: &str) -> Result<(), EncodeError>;

    /// Writes binary data.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError>;

    /// Begins a list, object, map or set; returns whatever the writer wants
    /// to see again at its end. A known length is the one that is announced,
    /// but undefined members may be left out of it.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn begin(&mut self, compound: Compound, len: Option<usize>) -> Result<usize, EncodeError>;

    /// Writes the key of an object's member; its value follows.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn key(&mut self, key: &str) -> Result<(), EncodeError> {
        self.text(key)
    }

    /// Ends the innermost of what is open, now that its length is known.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn end(&mut self, open: Open, len: usize) -> Result<(), EncodeError>;

    /// Appends a value that is already encoded in this format.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn raw(&mut self, encoded: &[u8]) -> Result<(), EncodeError>;

    /// Whether the format carries such values. Where it does not, a map or a
    /// set is an empty object.
    fn has(&self, compound: Compound) -> bool {
        matches!(compound, Compound::Array | Compound::Object)
    }

    /// Whether `undefined` can be a member or a whole value. Where it cannot,
    /// members are left out and a whole value is null.
    fn has_undefined(&self) -> bool {
        false
    }

    /// Writes `undefined`, as an element of a list or where the format has
    /// it; null by default.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn undefined(&mut self) -> Result<(), EncodeError> {
        self.null()
    }

    /// Writes a point in time; ISO text by default, null for an invalid date.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn date(&mut self, date: Date) -> Result<(), EncodeError> {
        match date.to_iso() {
            Some(iso) => self.text(&iso),
            None => self.null(),
        }
    }

    /// Writes a big integer; its digits as text by default.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn big_int(&mut self, n: &BigInt) -> Result<(), EncodeError> {
        self.text(n.as_str())
    }

    /// Writes a typed array, given its tag of RFC 8746 and its elements;
    /// binary data by default.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn typed_array(&mut self, tag: u8, bytes: &[u8]) -> Result<(), EncodeError> {
        let _ = tag;
        self.bytes(bytes)
    }

    /// Writes a regular expression; an empty object by default.
    ///
    /// # Errors
    ///
    /// See [`null`](Self::null).
    fn reg_exp(&mut self, source: &str, flags: &str) -> Result<(), EncodeError> {
        let _ = (source, flags);
        let open = Open::begin(self, Compound::Object, Some(0))?;
        self.end(open, 0)
    }
}

/// A list, object, map or set under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What it is.
    pub compound: Compound,
    /// The length that was announced.
    pub len: Option<usize>,
    /// What [`TokenWriter::begin`] returned.
    pub place: usize,
}

impl Open {
    pub(super) fn begin<W: TokenWriter + ?Sized>(
        writer: &mut W,
        compound: Compound,
        len: Option<usize>,
    ) -> Result<Self, EncodeError> {
        Ok(Self { compound, len, place: writer.begin(compound, len)? })
    }
}
