//! Tokens to types.

mod access;

use serde::{
    Deserializer,
    de::{IntoDeserializer, Visitor},
    forward_to_deserialize_any,
};

use self::access::{Bits, Further, Items, Variant};
use super::{Compound, DecodeError, Peek, Token, TokenReader, kinds};
use crate::{Extended, Value, value::ValueDeserializer};

type Result<T> = std::result::Result<T, DecodeError>;

/// Levels of lists and objects, as in JSON.
const MAX_DEPTH: u8 = 128;

/// The one deserializer of all formats but JSON.
///
/// As lenient as from JSON: nothing reads from null and `{}`, integers from
/// integral floats, numbers as keys from text, and text from dates.
pub(crate) struct TokenDeserializer<'r, R: ?Sized> {
    reader: &'r mut R,
    depth_left: u8,
    has_undefined: bool,
}

impl<'r, 'de, R: TokenReader<'de> + ?Sized> TokenDeserializer<'r, R> {
    pub(crate) fn new(reader: &'r mut R) -> Self {
        Self { has_undefined: reader.has_undefined(), reader, depth_left: MAX_DEPTH }
    }

    /// Runs `read` one level deeper.
    #[inline]
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth_left == 0 {
            return Err(too_deep());
        }
        self.depth_left -= 1;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    /// `exact` shows further kinds as they are, which only [`Value`] takes.
    #[inline]
    fn visit<V: Visitor<'de>>(
        &mut self,
        token: Token<'de>,
        visitor: V,
        exact: bool,
    ) -> Result<V::Value> {
        match token {
            Token::Null => visitor.visit_unit(),
            Token::Bool(flag) => visitor.visit_bool(flag),
            Token::Int(n) => visitor.visit_i64(n),
            Token::UInt(n) => visitor.visit_u64(n),
            Token::Float(n) => visitor.visit_f64(n),
            Token::Text(text) => visitor.visit_borrowed_str(text),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Begin(compound, len) => self.visit_compound(compound, len, visitor, exact),
            Token::Undefined => whole(Value::Undefined, visitor, exact),
            Token::Date(date) => whole(Value::Date(date), visitor, exact),
            Token::Owned(value) => whole(*value, visitor, exact),
            Token::End => Err(unexpected_end()),
        }
    }

    fn visit_compound<V: Visitor<'de>>(
        &mut self,
        compound: Compound,
        len: Option<usize>,
        visitor: V,
        exact: bool,
    ) -> Result<V::Value> {
        self.nested(|decoder| {
            let mut items = Items::new(decoder, len, exact);
            let value = match compound {
                Compound::Map if exact => visitor.visit_enum(Further(kinds::MAP, &mut items)),
                Compound::Set if exact => visitor.visit_enum(Further(kinds::SET, &mut items)),
                Compound::Object | Compound::Map => visitor.visit_map(&mut items),
                Compound::Array | Compound::Set => visitor.visit_seq(&mut items),
            }?;
            items.finish()?;
            Ok(value)
        })
    }

    /// Whether an object that has begun is empty; if so, it has ended.
    fn ends_at_once(&mut self, len: Option<usize>) -> Result<bool> {
        match len {
            None if self.reader.peek()? == Peek::End => self.reader.token().map(|_| true),
            len => Ok(len == Some(0)),
        }
    }
}

#[cold]
fn too_deep() -> DecodeError {
    DecodeError::new(format!("nested deeper than {MAX_DEPTH} levels"))
}

#[cold]
fn unexpected_end() -> DecodeError {
    DecodeError::new("a list or object ends where a value should stand")
}

/// Values that are no token of the other formats pass through memory.
#[cold]
fn whole<'de, V: Visitor<'de>>(value: Value, visitor: V, exact: bool) -> Result<V::Value> {
    let deserializer = ValueDeserializer(value);
    if exact {
        deserializer.deserialize_newtype_struct(kinds::VALUE, visitor)
    } else {
        deserializer.deserialize_any(visitor)
    }
}

/// A float, or a big integer, as an integer if it is integral and fits.
#[inline]
fn integral(token: Token<'_>) -> Token<'_> {
    match token {
        Token::Float(n) => integral_float(n),
        Token::Owned(value) => integral_value(value),
        other => other,
    }
}

fn integral_float<'de>(n: f64) -> Token<'de> {
    match n {
        n if n.fract() != 0.0 => Token::Float(n),
        n if (-9.2e18..9.2e18).contains(&n) => Token::Int(n as i64),
        n if (0.0..1.8e19).contains(&n) => Token::UInt(n as u64),
        n => Token::Float(n),
    }
}

#[cold]
fn integral_value<'de>(value: Box<Value>) -> Token<'de> {
    if let Value::Extended(extended) = &*value
        && let Extended::BigInt(n) = &**extended
    {
        let (int, uint) = (n.as_str().parse(), n.as_str().parse());
        return int
            .map(Token::Int)
            .or_else(|_| uint.map(Token::UInt))
            .unwrap_or(Token::Owned(value));
    }
    Token::Owned(value)
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let token = integral(self.reader.token()?);
            self.visit(token, visitor, false)
        }
    )*};
}

impl<'de, R: TokenReader<'de> + ?Sized> Deserializer<'de> for &mut TokenDeserializer<'_, R> {
    type Error = DecodeError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let token = self.reader.token()?;
        self.visit(token, visitor, false)
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.peek()? {
            Peek::Null | Peek::Undefined => {
                self.reader.token()?;
                visitor.visit_none()
            }
            Peek::End | Peek::Other => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Begin(Compound::Object, len) if self.ends_at_once(len)? => visitor.visit_unit(),
            token => self.visit(token, visitor, false),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match name {
            kinds::VALUE => {
                let token = self.reader.token()?;
                self.visit(token, visitor, true)
            }
            kinds::RAW => visitor.visit_borrowed_bytes(self.reader.skip()?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// The bytes of a typed array are binary data too.
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Owned(value) => ValueDeserializer(*value).deserialize_byte_buf(visitor),
            token => self.visit(token, visitor, false),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_byte_buf(visitor)
    }

    /// Binary data reads as a list of numbers too.
    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Bytes(bytes) => visitor.visit_seq(Bits::new(bytes)),
            Token::Owned(value) => ValueDeserializer(*value).deserialize_seq(visitor),
            token => self.visit(token, visitor, false),
        }
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Owned(value) => ValueDeserializer(*value).deserialize_map(visitor),
            token => self.visit(token, visitor, false),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    /// An undefined value stands for `{}`; null does only where nothing is
    /// expected.
    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Undefined => visitor.visit_map(&mut Items::new(self, Some(0), false)),
            Token::Null if fields.is_empty() => {
                visitor.visit_map(&mut Items::new(self, Some(0), false))
            }
            Token::Owned(value) => ValueDeserializer(*value).deserialize_map(visitor),
            token => self.visit(token, visitor, false),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.token()? {
            Token::Text(variant) => visitor.visit_enum(variant.into_deserializer()),
            Token::Owned(value) => {
                ValueDeserializer(*value).deserialize_enum(name, variants, visitor)
            }
            Token::Begin(Compound::Object, len @ (None | Some(1))) => self.nested(|decoder| {
                let mut items = Items::new(decoder, len, false);
                let value = visitor.visit_enum(Variant(&mut items))?;
                items.finish()?;
                Ok(value)
            }),
            _ => Err(DecodeError::new("expected a variant's name or a map with one member")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string identifier
    }
}
