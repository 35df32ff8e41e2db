//! JSON text to tokens; `serde_json` reads what stands between the brackets.

use std::{borrow::Cow, fmt};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use moleculer_protocol::{
    BigInt, Date, DecodeError, Extended, Object,
    format::{Compound, Peek, Token, TokenReader, from_tokens},
    json,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Visitor},
};
use serde_json::value::RawValue;

use crate::write::is_date;

type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// Levels of lists and objects, the texts of maps and sets included.
const MAX_DEPTH: usize = 128;

/// Maps and sets within each other. Each level is a text in a text, of which
/// a copy is held while it is read; and each doubles the escapes, so that
/// nobody sends many.
const MAX_TEXTS: usize = 8;

/// Input that is read from its front.
#[derive(Debug)]
pub(crate) struct Reader<'de> {
    input: &'de [u8],
    at: usize,
    open: Vec<Compound>,
    state: State,
    /// Levels and texts around this text.
    levels: usize,
    texts: usize,
}

/// What has to come next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Value,
    Key,
    /// The first part of a list or object, or its end.
    First,
    /// A comma, or the end of a list or object.
    Next,
    /// Nothing: the value is complete.
    Done,
}

/// What comes next.
enum Ahead {
    Value(u8),
    Key,
    End,
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(input: &'de [u8]) -> Self {
        Self { input, at: 0, open: Vec::new(), state: State::Value, levels: 0, texts: 0 }
    }

    /// Passes white space and the comma, and looks at what follows.
    fn ahead(&mut self) -> Result<Ahead> {
        let mut byte = self.byte()?;
        let in_object = self.open.last() == Some(&Compound::Object);
        if matches!(self.state, State::First | State::Next) {
            if byte == if in_object { b'}' } else { b']' } {
                return Ok(Ahead::End);
            }
            if self.state == State::Next {
                self.expect(b',')?;
                byte = self.byte()?;
            }
            self.state = if in_object { State::Key } else { State::Value };
        }
        match self.state {
            State::Key => Ok(Ahead::Key),
            State::Done => Err(self.error("a value has ended already")),
            _ => Ok(Ahead::Value(byte)),
        }
    }

    /// The next byte that is no white space.
    fn byte(&mut self) -> Result<u8> {
        self.at = self.input.len() - self.rest().len();
        self.input.get(self.at).copied().ok_or_else(|| self.error("the input ends early"))
    }

    fn expect(&mut self, expected: u8) -> Result<()> {
        if self.byte()? != expected {
            return Err(self.error(format_args!("expected `{}`", char::from(expected))));
        }
        self.at += 1;
        Ok(())
    }

    /// A value has ended.
    fn ended(&mut self) {
        self.state = if self.open.is_empty() { State::Done } else { State::Next };
    }

    fn begin(&mut self, compound: Compound) -> Result<Token<'de>> {
        if self.levels + self.open.len() >= MAX_DEPTH {
            return Err(DecodeError::new(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.at += 1;
        self.open.push(compound);
        self.state = State::First;
        Ok(Token::Begin(compound, None))
    }

    fn key(&mut self) -> Result<Token<'de>> {
        let key = self.text()?;
        self.expect(b':')?;
        self.state = State::Value;
        Ok(token(key))
    }

    /// Text, in which U+FFFD stands for halves of surrogate pairs.
    fn text(&mut self) -> Result<Cow<'de, str>> {
        match self.parse() {
            Ok(Text(text)) => Ok(text),
            Err(error) => {
                let raw = self.parse::<&RawValue>().map_err(|_| error.clone())?;
                json::from_slice(raw.get().as_bytes()).map(Cow::Owned).map_err(|_| error)
            }
        }
    }

    /// Has `serde_json` read what comes next.
    fn parse<T: Deserialize<'de>>(&mut self) -> Result<T> {
        let mut values = serde_json::Deserializer::from_slice(&self.input[self.at..]).into_iter();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) => {
                // The place that it tells counts from here.
                let message = error.to_string();
                Err(self.error(message.split(" at line ").next().unwrap_or_default()))
            }
            None => Err(self.error("the input ends early")),
        }
    }

    /// Text that may stand for one of the further kinds.
    fn prefixed(&self, text: Cow<'de, str>) -> Result<Token<'de>> {
        let Some((prefix, rest)) = text.split_at_checked(6) else { return Ok(token(text)) };
        let value = match prefix {
            "[[DT]]" => return Ok(Token::Date(date(rest))),
            "[[BF]]" => Bytes::from(self.base64(rest)?).into(),
            "[[BI]]" => match BigInt::parse(rest) {
                Some(n) => Extended::BigInt(n).into(),
                None => return Err(self.error(format_args!("{rest:?} is no big integer"))),
            },
            "[[RE]]" => {
                let (flags, source) = rest.split_once('|').unwrap_or((rest, ""));
                Extended::RegExp { source: source.to_owned(), flags: flags.to_owned() }.into()
            }
            "[[MP]]" => {
                let members = self.inner::<Object>(prefix, rest)?.into_iter();
                Extended::Map(members.map(|(key, value)| (key.into(), value)).collect()).into()
            }
            "[[ST]]" => Extended::Set(self.inner(prefix, rest)?).into(),
            "[[ES]]" => {
                return Ok(token(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(&text[6..]),
                    Cow::Owned(mut text) => Cow::Owned(text.split_off(6)),
                }));
            }
            _ => return Ok(token(text)),
        };
        Ok(Token::Owned(Box::new(value)))
    }

    /// The value that a text holds.
    fn inner<T: DeserializeOwned>(&self, prefix: &str, text: &str) -> Result<T> {
        if self.texts == MAX_TEXTS {
            return Err(self.error(format_args!("more than {MAX_TEXTS} maps in each other")));
        }
        let mut reader = Reader {
            levels: self.levels + self.open.len() + 1,
            texts: self.texts + 1,
            ..Reader::new(text.as_bytes())
        };
        from_tokens(&mut reader).map_err(|error| error.within(prefix))
    }

    /// With or without padding, as JavaScript reads it.
    fn base64(&self, text: &str) -> Result<Vec<u8>> {
        const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
        ENGINE.decode(text).map_err(|error| self.error(format_args!("binary data: {error}")))
    }

    #[cold]
    fn error(&self, message: impl fmt::Display) -> DecodeError {
        DecodeError::new(format!("{message} at byte {}", self.at))
    }
}

impl<'de> TokenReader<'de> for Reader<'de> {
    fn token(&mut self) -> Result<Token<'de>> {
        match self.ahead()? {
            Ahead::End => {
                self.at += 1;
                self.open.pop();
                self.ended();
                Ok(Token::End)
            }
            Ahead::Key => self.key(),
            Ahead::Value(b'[') => self.begin(Compound::Array),
            Ahead::Value(b'{') => self.begin(Compound::Object),
            Ahead::Value(first) => {
                let token = match first {
                    b'"' => match self.text()? {
                        text if text.starts_with("[[") => self.prefixed(text)?,
                        text => token(text),
                    },
                    _ => self.parse::<Scalar>()?.0,
                };
                self.ended();
                Ok(token)
            }
        }
    }

    fn peek(&mut self) -> Result<Peek> {
        Ok(match self.ahead()? {
            Ahead::End => Peek::End,
            Ahead::Value(b'n') => Peek::Null,
            Ahead::Value(_) | Ahead::Key => Peek::Other,
        })
    }

    fn skip(&mut self) -> Result<&'de [u8]> {
        self.ahead()?;
        let raw: &RawValue = self.parse()?;
        self.ended();
        Ok(raw.get().as_bytes())
    }

    fn rest(&self) -> &'de [u8] {
        let rest = &self.input[self.at..];
        let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        &rest[space.count()..]
    }
}

fn token(text: Cow<'_, str>) -> Token<'_> {
    match text {
        Cow::Borrowed(text) => Token::Text(text),
        Cow::Owned(text) => Token::Owned(Box::new(text.into())),
    }
}

/// As `new Date(Number(text))`, but for fractions of a millisecond, which
/// other Rust nodes may send.
fn date(text: &str) -> Date {
    let date = Date(text.parse().unwrap_or(f64::NAN));
    if is_date(date) { date } else { Date(f64::NAN) }
}

/// Text, borrowed where it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}

/// Null, a flag or a number.
struct Scalar(Token<'static>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null, a flag or a number")
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(Token::Null))
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar(Token::Bool(flag)))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Scalar, E> {
                Ok(Scalar(Token::Int(n)))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Scalar, E> {
                Ok(Scalar(Token::UInt(n)))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Scalar, E> {
                Ok(Scalar(Token::Float(n)))
            }
        }
        deserializer.deserialize_any(V)
    }
}
