//! Tokens to JSON text, the kinds that JSON lacks as text with a prefix.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, EncodeError, Extended, Value,
    format::{Compound, Open, TokenWriter},
    json,
};

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Appends tokens to a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
    open: Vec<Level>,
}

/// A list, object, map or set under construction.
#[derive(Debug)]
struct Level {
    compound: Compound,
    /// Elements so far; in a map, keys and values apart.
    parts: usize,
    /// In a map: where the last entry begins, its comma included.
    entry: usize,
}

/// What the next token is.
#[derive(PartialEq)]
enum Place {
    Value,
    /// The key of a map, which has to become text.
    Key,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut BytesMut) -> Self {
        Self { out, open: Vec::new() }
    }

    /// Writes what separates the next part from those before it.
    fn next(&mut self) -> Place {
        let Some(level) = self.open.last_mut() else { return Place::Value };
        // An object's key and comma come through `key`.
        let is_value = level.compound == Compound::Object
            || (level.compound == Compound::Map && level.parts % 2 == 1);
        if !is_value {
            level.entry = self.out.len();
            if level.parts > 0 {
                self.out.put_u8(b',');
            }
        }
        level.parts += 1;
        if level.compound == Compound::Map && !is_value { Place::Key } else { Place::Value }
    }

    /// # Errors
    ///
    /// Where the key of a map is due: JavaScript makes names of the type of
    /// most values, so that entries would overwrite each other.
    fn next_value(&mut self) -> Result {
        match self.next() {
            Place::Value => Ok(()),
            Place::Key => Err(EncodeError::new(
                "JSONExt carries maps with keys of text, numbers and flags only",
            )),
        }
    }

    /// Writes a value that is the same in JSON and needs no quotes.
    fn plain<T: serde::Serialize>(&mut self, value: &T) -> Result {
        if self.next() == Place::Value {
            return json::to_writer(value, self.out);
        }
        self.out.put_u8(b'"');
        json::to_writer(value, self.out)?;
        self.out.put_slice(b"\":");
        Ok(())
    }

    /// Puts what stands from `start` on behind a prefix, as one text.
    fn wrap(&mut self, start: usize, prefix: &str) -> Result {
        let inner = std::str::from_utf8(&self.out[start..])
            .map_err(|error| EncodeError::new(format!("an encoded part is not JSON: {error}")))?;
        let text = [prefix, inner].concat();
        self.out.truncate(start);
        json::to_writer(&text, self.out)
    }
}

impl TokenWriter for Writer<'_> {
    fn null(&mut self) -> Result {
        self.plain(&())
    }
    fn bool(&mut self, flag: bool) -> Result {
        self.plain(&flag)
    }
    fn int(&mut self, n: i64) -> Result {
        self.plain(&n)
    }
    fn uint(&mut self, n: u64) -> Result {
        self.plain(&n)
    }
    fn float(&mut self, n: f64) -> Result {
        self.plain(&n)
    }

    /// Text that looks like a prefix gets one of its own; keys never do.
    fn text(&mut self, text: &str) -> Result {
        if self.next() == Place::Key {
            json::to_writer(text, self.out)?;
            self.out.put_u8(b':');
            return Ok(());
        }
        if text.starts_with("[[") {
            return json::to_writer(&["[[ES]]", text].concat(), self.out);
        }
        json::to_writer(text, self.out)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result {
        self.next_value()?;
        self.out.put_slice(b"\"[[BF]]");
        self.out.put_slice(STANDARD.encode(bytes).as_bytes());
        self.out.put_u8(b'"');
        Ok(())
    }

    fn begin(&mut self, compound: Compound, _: Option<usize>) -> Result<usize> {
        self.next_value()?;
        let start = self.out.len();
        self.open.push(Level { compound, parts: 0, entry: start });
        self.out.put_u8(match compound {
            Compound::Array | Compound::Set => b'[',
            Compound::Object | Compound::Map => b'{',
        });
        Ok(start)
    }

    fn key(&mut self, key: &str) -> Result {
        if self.open.last().is_some_and(|level| level.parts > 0) {
            self.out.put_u8(b',');
        }
        json::to_writer(key, self.out)?;
        self.out.put_u8(b':');
        Ok(())
    }

    fn end(&mut self, open: Open, _: usize) -> Result {
        self.open.pop();
        self.out.put_u8(match open.compound {
            Compound::Array | Compound::Set => b']',
            Compound::Object | Compound::Map => b'}',
        });
        match open.compound {
            Compound::Array | Compound::Object => Ok(()),
            Compound::Map => self.wrap(open.place, "[[MP]]"),
            Compound::Set => self.wrap(open.place, "[[ST]]"),
        }
    }

    fn raw(&mut self, encoded: &[u8]) -> Result {
        self.next_value()?;
        self.out.put_slice(encoded);
        Ok(())
    }

    fn has(&self, _: Compound) -> bool {
        true
    }

    /// Null in a list; a map loses the entry, as JavaScript's object does.
    fn undefined(&mut self) -> Result {
        match self.open.last_mut() {
            Some(level) if level.compound == Compound::Map && level.parts % 2 == 1 => {
                self.out.truncate(level.entry);
                level.parts -= 1;
                Ok(())
            }
            _ => self.null(),
        }
    }

    fn date(&mut self, date: Date) -> Result {
        if !is_date(date) {
            return self.null();
        }
        self.next_value()?;
        self.out.put_slice(b"\"[[DT]]");
        json::to_writer(&date.0, self.out)?;
        self.out.put_u8(b'"');
        Ok(())
    }

    fn big_int(&mut self, n: &BigInt) -> Result {
        let (before, after): (&[u8], &[u8]) = match self.next() {
            Place::Value => (b"\"[[BI]]", b"\""),
            Place::Key => (b"\"", b"\":"),
        };
        self.out.put_slice(before);
        self.out.put_slice(n.as_str().as_bytes());
        self.out.put_slice(after);
        Ok(())
    }

    /// As in JSON: an object by index.
    fn typed_array(&mut self, tag: u8, bytes: &[u8]) -> Result {
        self.next_value()?;
        let bytes = Bytes::copy_from_slice(bytes);
        json::to_writer(&Value::from(Extended::TypedArray { tag, bytes }), self.out)
    }

    fn reg_exp(&mut self, source: &str, flags: &str) -> Result {
        self.next_value()?;
        json::to_writer(&["[[RE]]", flags, "|", source].concat(), self.out)
    }
}

/// Whether JavaScript has such a date; to others it shows null.
pub(crate) fn is_date(date: Date) -> bool {
    date.0.abs() <= 8.64e15
}
