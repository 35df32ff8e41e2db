//! Identifiers: of packets and requests, and of nodes.

use std::{borrow::Borrow, fmt, marker::PhantomData, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};

/// The id of a request, an event, a ping, or a span.
///
/// Ids are opaque text on the wire. The usual one is a lower-case UUID, which
/// is kept as 16 bytes: copying, hashing and comparing it costs no allocation.
/// Any other text is kept as it came.
///
/// # Examples
///
/// ```
/// use moleculer_protocol::PacketId;
///
/// let id = PacketId::from("e102630b-c702-4ff9-a0a1-52428395d57a");
/// assert_eq!(id.to_string(), "e102630b-c702-4ff9-a0a1-52428395d57a");
/// assert_ne!(id, PacketId::from("E102630B-C702-4FF9-A0A1-52428395D57A"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Uuid([u8; 16]),
    Text(Arc<str>),
}

/// Length of a UUID in its usual text form.
const UUID_LEN: usize = 36;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl PacketId {
    /// An id from the 16 bytes of a UUID.
    pub const fn from_uuid_bytes(bytes: [u8; 16]) -> Self {
        Self(Repr::Uuid(bytes))
    }

    /// Calls `f` with the text of this id, without allocating.
    pub fn with_str<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        match &self.0 {
            Repr::Text(text) => f(text),
            Repr::Uuid(bytes) => {
                let text = uuid_text(bytes);
                // The bytes are hexadecimal digits and dashes only.
                f(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

/// Where each byte of a UUID stands in its text.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const DASHES: [usize; 4] = [8, 13, 18, 23];
/// The value of each character that is a hexadecimal digit, `NO_DIGIT` for others.
const DIGITS: [u8; 256] = digits();
const NO_DIGIT: u8 = 0xff;

fn uuid_text(bytes: &[u8; 16]) -> [u8; UUID_LEN] {
    let mut text = [b'-'; UUID_LEN];
    for (byte, at) in bytes.iter().zip(PLACES) {
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
    }
    text
}

/// Looks at every character before it says no: nearly all ids are UUIDs, and
/// a loop without ways out is several times as fast.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; UUID_LEN] = text.try_into().ok()?;
    let (mut bytes, mut seen) = ([0; 16], 0);
    for (byte, at) in bytes.iter_mut().zip(PLACES) {
        let (high, low) = (DIGITS[usize::from(text[at])], DIGITS[usize::from(text[at + 1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    let dashes = DASHES.iter().all(|at| text[*at] == b'-');
    (dashes && seen != NO_DIGIT).then_some(bytes)
}

/// Only lower case: an id must come back exactly as it was sent.
const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < HEX.len() {
        digits[HEX[value] as usize] = value as u8;
        value += 1;
    }
    digits
}

impl From<&str> for PacketId {
    fn from(text: &str) -> Self {
        match parse_uuid(text.as_bytes()) {
            Some(bytes) => Self(Repr::Uuid(bytes)),
            None => Self(Repr::Text(text.into())),
        }
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.write_str(text))
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| write!(f, "PacketId({text})"))
    }
}

impl Serialize for PacketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_str(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for PacketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStr::new("an id"))
    }
}

/// The id of a node, unique in its namespace.
///
/// A cheap clone; compares and derefs as text.
///
/// ```
/// use moleculer_protocol::NodeId;
///
/// let id = NodeId::from("node-1");
/// assert_eq!(&*id, "node-1");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for NodeId {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for NodeId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for NodeId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for NodeId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStr::new("a node id"))
    }
}

/// Builds a value from a borrowed or owned string without a copy in between.
pub(crate) struct FromStr<T> {
    expected: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> FromStr<T> {
    pub(crate) const fn new(expected: &'static str) -> Self {
        Self { expected, value: PhantomData }
    }
}

impl<T: for<'a> From<&'a str>> Visitor<'_> for FromStr<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, uuid: bool) {
        let id = PacketId::from(text);
        assert_eq!(id.to_string(), text);
        assert_eq!(matches!(id.0, Repr::Uuid(_)), uuid, "{text}");
    }

    #[test]
    fn text_survives_whatever_it_is() {
        check("e102630b-c702-4ff9-a0a1-52428395d57a", true);
        check("e102630b-c702-4ff9-a0a1-52428395d57", false);
        check("E102630b-c702-4ff9-a0a1-52428395d57a", false);
        check("e102630b+c702-4ff9-a0a1-52428395d57a", false);
        check("", false);
        check("1", false);
        check("é02630b-c702-4ff9-a0a1-52428395d57a", false);
        let uuid = "e102630b-c702-4ff9-a0a1-52428395d57a";
        for at in 0..UUID_LEN {
            for wrong in ["g", "/", ":", "`", "A", " "] {
                let mut text = uuid.to_owned();
                text.replace_range(at..=at, wrong);
                check(&text, false);
            }
        }
    }
}
