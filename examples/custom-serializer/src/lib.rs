//! Packets as [tagged netstrings](https://tnetstrings.info): length, content
//! and a letter for the type, as in `28:3:ver,1:5,6:sender,6:node-1,}`.

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, Packet, PacketKind, Serializer, ValueFormat,
    format::{Compound, Open, Peek, ReadTokens, Token, TokenReader, TokenWriter, WriteTokens},
};

/// The serializer, and the format of params, results, event data and meta.
#[derive(Clone, Copy, Debug)]
pub struct TNetstrings;

impl Serializer for TNetstrings {
    fn name(&self) -> &'static str {
        "TNetstrings"
    }
    fn format(&self) -> Format {
        Format::Other(&Self)
    }
    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        packet.to_tokens(&mut Writer(out), self.format())
    }
    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        Packet::from_tokens(kind, bytes, self.format(), Reader::new)
    }
}

impl ValueFormat for TNetstrings {
    fn name(&self) -> &'static str {
        "TNetstrings"
    }
    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer(out))
    }
    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader::new(input))
    }
}

struct Writer<'a>(&'a mut BytesMut);

impl Writer<'_> {
    fn put(&mut self, content: &[u8], tag: u8) -> Result<(), EncodeError> {
        let length = format!("{}:", content.len());
        self.0.extend_from_slice(&[length.as_bytes(), content, &[tag]].concat());
        Ok(())
    }
}

impl TokenWriter for Writer<'_> {
    fn null(&mut self) -> Result<(), EncodeError> {
        self.put(b"", b'~')
    }
    fn bool(&mut self, flag: bool) -> Result<(), EncodeError> {
        self.put(flag.to_string().as_bytes(), b'!')
    }
    fn int(&mut self, n: i64) -> Result<(), EncodeError> {
        self.put(n.to_string().as_bytes(), b'#')
    }
    fn uint(&mut self, n: u64) -> Result<(), EncodeError> {
        self.put(n.to_string().as_bytes(), b'#')
    }
    fn float(&mut self, n: f64) -> Result<(), EncodeError> {
        self.put(format!("{n:?}").as_bytes(), b'^')
    }
    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        self.put(text.as_bytes(), b',')
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.put(bytes, b'*') // our addition: the format has text only
    }
    fn begin(&mut self, _: Compound, _: Option<usize>) -> Result<usize, EncodeError> {
        Ok(self.0.len()) // which `end` gets back
    }
    fn end(&mut self, open: Open, _: usize) -> Result<(), EncodeError> {
        let content = self.0.split_off(open.place);
        self.put(&content, if open.compound == Compound::Array { b']' } else { b'}' })
    }
    fn raw(&mut self, encoded: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(encoded);
        Ok(())
    }
}

struct Reader<'de> {
    rest: &'de [u8],
    /// What follows each of the lists and objects around.
    outer: Vec<&'de [u8]>,
}

impl<'de> Reader<'de> {
    const fn new(rest: &'de [u8]) -> Self {
        Self { rest, outer: Vec::new() }
    }
    /// Takes a value: its content and its tag.
    fn value(&mut self) -> Option<(&'de [u8], u8)> {
        let colon = self.rest.iter().take(10).position(|&byte| byte == b':')?;
        let (content, rest) =
            self.rest[colon + 1..].split_at_checked(parse(&self.rest[..colon])?)?;
        let (&tag, rest) = rest.split_first()?;
        self.rest = rest;
        Some((content, tag))
    }
    fn next(&mut self) -> Option<Token<'de>> {
        if self.rest.is_empty() && !self.outer.is_empty() {
            self.rest = self.outer.pop()?;
            return Some(Token::End);
        }
        let (content, tag) = self.value()?;
        Some(match tag {
            b'~' => Token::Null,
            b'!' => Token::Bool(parse(content)?),
            b'#' => parse(content).map(Token::Int).or_else(|| parse(content).map(Token::UInt))?,
            b'^' => Token::Float(parse(content)?),
            b',' => Token::Text(str::from_utf8(content).ok()?),
            b'*' => Token::Bytes(content),
            b']' | b'}' => {
                self.outer.push(std::mem::replace(&mut self.rest, content));
                Token::Begin(if tag == b']' { Compound::Array } else { Compound::Object }, None)
            }
            _ => return None,
        })
    }
}

fn parse<T: std::str::FromStr>(content: &[u8]) -> Option<T> {
    str::from_utf8(content).ok()?.parse().ok()
}

impl<'de> TokenReader<'de> for Reader<'de> {
    fn token(&mut self) -> Result<Token<'de>, DecodeError> {
        self.next().ok_or_else(|| DecodeError::new("malformed or cut short"))
    }
    fn peek(&mut self) -> Result<Peek, DecodeError> {
        let null = self.rest.starts_with(b"0:~");
        let other = if null { Peek::Null } else { Peek::Other };
        Ok(if self.rest.is_empty() { Peek::End } else { other })
    }
    /// The length tells where a value ends, whatever is in it.
    fn skip(&mut self) -> Result<&'de [u8], DecodeError> {
        let start = self.rest;
        self.value().ok_or_else(|| DecodeError::new("malformed or cut short"))?;
        Ok(&start[..start.len() - self.rest.len()])
    }
    fn rest(&self) -> &'de [u8] {
        self.rest
    }
}
