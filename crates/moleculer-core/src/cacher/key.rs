//! Cache keys, byte by byte those of the reference: [`KeyRules`].

use std::{fmt::Write, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use moleculer_protocol::{
    Date, Object, Payload, ProtocolVersion, Value,
    format::{Compound, EncodeError, Open, TokenWriter, to_tokens},
};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// How the key of a call is made.
///
/// The action's name, a colon, and either all params or the members that the
/// action names; from a certain length on, a hash in place of their end. Nodes
/// of Moleculer JS make the same keys from the same params, so that both share
/// one cache: those of 0.15 with protocol 5, those of 0.14 with protocol 4.
/// Members count in their order, as over there, so params that are a
/// `HashMap` rarely hit; a `BTreeMap` does.
///
/// Typed, dynamic and encoded params of the same content make the same key.
/// Integers count with all their digits, where JavaScript knows 53 bits;
/// binary data looks as it does in JSON.
///
/// ```
/// use moleculer_core::{Object, Payload, ProtocolVersion, cacher::{KeyParts, KeyRules}};
///
/// let rules = KeyRules::new(ProtocolVersion::V5, None);
/// let params = Payload::new(Object::from([("id", 5), ("limit", 10)]));
/// let (meta, headers) = (Object::new(), Object::new());
/// let parts = KeyParts { action: "posts.list", params: &params, meta: &meta, headers: &headers };
/// assert_eq!(rules.key(&parts, None)?, "posts.list:id|5|limit|10");
/// assert_eq!(rules.key(&parts, Some(&["id".into()]))?, "posts.list:5");
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    dialect: ProtocolVersion,
    max: Option<usize>,
}

/// What the key of a call is made from.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a list of arguments")]
pub struct KeyParts<'a> {
    /// Full name of the action.
    pub action: &'a str,
    /// The params.
    pub params: &'a Payload,
    /// The metadata, for keys that begin with `#`.
    pub meta: &'a Object,
    /// The headers, for keys that begin with `@`; protocol 5.
    pub headers: &'a Object,
}

/// What a hash takes of a key.
const HASH_LENGTH: usize = 44;

impl KeyRules {
    /// The rules of a protocol version; `max` is the longest key behind the
    /// action's name in UTF-16 units, of which less than 44 is no limit.
    pub fn new(dialect: ProtocolVersion, max: Option<usize>) -> Self {
        Self { dialect, max: max.filter(|max| *max >= HASH_LENGTH) }
    }

    /// The key of a call: of all params, or of the members that `keys` names.
    ///
    /// # Errors
    ///
    /// When the params are malformed.
    pub fn key(&self, parts: &KeyParts<'_>, keys: Option<&[Arc<str>]>) -> Result<String> {
        let mut out = String::with_capacity(parts.action.len() + 48);
        out.push_str(parts.action);
        if keys.is_some_and(<[_]>::is_empty) {
            return Ok(out);
        }
        out.push(':');
        let start = out.len();
        let mut writer = KeyWriter::new(out, self.dialect, keys.is_some());
        match keys {
            // No params are `{}`, as on the wire.
            None if parts.params.is_nothing() => {}
            None => parts.params.write(&mut writer).map_err(|error| malformed(&error))?,
            Some(keys) => self.members(&mut writer, parts, keys)?,
        }
        let mut out = writer.out;
        self.shorten(&mut out, start);
        Ok(out)
    }

    fn members(
        &self,
        writer: &mut KeyWriter,
        parts: &KeyParts<'_>,
        keys: &[Arc<str>],
    ) -> Result<()> {
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                writer.out.push('|');
            }
            let start = writer.out.len();
            let member = self.member(parts, key)?;
            to_tokens(&*member, writer).map_err(|error| malformed(&error))?;
            let nested = !matches!(
                &*member,
                Value::Undefined
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::UInt(_)
                    | Value::Float(_)
                    | Value::String(_)
            );
            if nested && keys.len() > 1 {
                self.shorten(&mut writer.out, start);
            }
        }
        Ok(())
    }

    fn member<'a>(&self, parts: &KeyParts<'a>, key: &str) -> Result<Member<'a>> {
        let found = match key.split_at_checked(1) {
            Some(("#", path)) => member_of(parts.meta, path).map(Member::Borrowed),
            Some(("@", path)) if self.dialect == ProtocolVersion::V5 => {
                member_of(parts.headers, path).map(Member::Borrowed)
            }
            _ => parts.params.get(key)?.map(Member::Owned),
        };
        Ok(found.unwrap_or(Member::Owned(Value::Undefined)))
    }

    /// Replaces the end of what stands from `start` on by its hash, if it is
    /// too long. The length is that of JavaScript.
    fn shorten(&self, out: &mut String, start: usize) {
        let Some(max) = self.max.filter(|max| out.len() - start > *max) else {
            return;
        };
        let text = &out[start..];
        if text.encode_utf16().count() <= max {
            return;
        }
        let hash = STANDARD.encode(Sha256::digest(text));
        let (kept, split) = utf16_prefix(text, max - HASH_LENGTH);
        out.truncate(start + kept);
        if split {
            // Half a pair, which in UTF-8 is this.
            out.push(char::REPLACEMENT_CHARACTER);
        }
        out.push_str(&hash);
    }
}

/// A value of the params, the metadata or the headers.
enum Member<'a> {
    Borrowed(&'a Value),
    Owned(Value),
}

impl std::ops::Deref for Member<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Borrowed(value) => value,
            Self::Owned(value) => value,
        }
    }
}

fn member_of<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => object.get(path),
        Some((first, rest)) => object.get(first)?.pointer(rest),
    }
}

fn malformed(error: &EncodeError) -> Error {
    Error::internal(format!("no cache key can be made of the params: {error}"))
}

/// Bytes of the first `units` UTF-16 units, and whether a character that takes
/// two is cut apart there.
fn utf16_prefix(text: &str, units: usize) -> (usize, bool) {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        let next = taken + character.len_utf16();
        if next > units {
            return (at, taken < units);
        }
        taken = next;
    }
    (text.len(), false)
}

/// Writes a value as a part of a key.
struct KeyWriter {
    out: String,
    dialect: ProtocolVersion,
    /// In 0.14 a member that is named as a key, and is no list or object,
    /// keeps the difference between null and undefined.
    named: bool,
    place: Place,
}

/// Where the next value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is the whole, or a key stands before it.
    Here,
    FirstElement,
    Element,
    FirstMember,
    Member,
}

const PLACES: [Place; 5] =
    [Place::Here, Place::FirstElement, Place::Element, Place::FirstMember, Place::Member];

impl KeyWriter {
    const fn new(out: String, dialect: ProtocolVersion, named: bool) -> Self {
        Self { out, dialect, named, place: Place::Here }
    }

    /// Separates a value from what stands before it.
    fn next(&mut self) {
        match self.place {
            Place::FirstElement => self.place = Place::Element,
            Place::Element => self.out.push('|'),
            _ => {}
        }
    }

    fn put(&mut self, text: &str) -> Result<(), EncodeError> {
        self.next();
        self.out.push_str(text);
        Ok(())
    }

    fn show(&mut self, value: impl std::fmt::Display) -> Result<(), EncodeError> {
        self.next();
        write!(self.out, "{value}").map_err(|error| EncodeError::new(error.to_string()))
    }
}

impl TokenWriter for KeyWriter {
    fn null(&mut self) -> Result<(), EncodeError> {
        self.put("null")
    }

    fn undefined(&mut self) -> Result<(), EncodeError> {
        match self.dialect {
            ProtocolVersion::V4 if !self.named || self.place != Place::Here => self.put("null"),
            _ => self.put("undefined"),
        }
    }

    fn has_undefined(&self) -> bool {
        true
    }

    fn bool(&mut self, flag: bool) -> Result<(), EncodeError> {
        self.put(if flag { "true" } else { "false" })
    }

    fn int(&mut self, n: i64) -> Result<(), EncodeError> {
        self.show(n)
    }

    fn uint(&mut self, n: u64) -> Result<(), EncodeError> {
        self.show(n)
    }

    fn float(&mut self, n: f64) -> Result<(), EncodeError> {
        self.next();
        self.out.push_str(ryu_js::Buffer::new().format(n));
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        if self.dialect == ProtocolVersion::V4 {
            return self.put(text);
        }
        self.put("\"")?;
        self.out.push_str(text);
        self.out.push('"');
        Ok(())
    }

    /// As JSON carries it, which is what nodes see of it that get it so.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let outer = self.begin(Compound::Object, None)?;
        self.key("type")?;
        self.text("Buffer")?;
        self.key("data")?;
        let open = self.begin(Compound::Array, None)?;
        for byte in bytes {
            self.uint(u64::from(*byte))?;
        }
        self.close(Compound::Array, open);
        self.close(Compound::Object, outer);
        Ok(())
    }

    fn date(&mut self, date: Date) -> Result<(), EncodeError> {
        self.float(date.0)
    }

    fn begin(&mut self, compound: Compound, _: Option<usize>) -> Result<usize, EncodeError> {
        self.next();
        let outer = self.place as usize;
        match compound {
            Compound::Array => {
                self.out.push('[');
                self.place = Place::FirstElement;
            }
            _ => self.place = Place::FirstMember,
        }
        Ok(outer)
    }

    fn key(&mut self, key: &str) -> Result<(), EncodeError> {
        match self.place {
            Place::FirstMember => self.place = Place::Member,
            _ => self.out.push('|'),
        }
        self.out.push_str(key);
        self.out.push('|');
        Ok(())
    }

    fn end(&mut self, open: Open, _: usize) -> Result<(), EncodeError> {
        self.close(open.compound, open.place);
        Ok(())
    }

    fn raw(&mut self, _: &[u8]) -> Result<(), EncodeError> {
        Err(EncodeError::new("a cache key holds no encoded bytes"))
    }
}

impl KeyWriter {
    fn close(&mut self, compound: Compound, outer: usize) {
        if compound == Compound::Array {
            self.out.push(']');
        }
        self.place = PLACES.get(outer).copied().unwrap_or(Place::Here);
    }
}
