//! A format written against the public interface, which carries every kind
//! and announces no length: values and types pass through it unchanged.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use moleculer_protocol::{
    BigInt, Date, DecodeError, EncodeError, Extended, Format, Object, Packet, PacketBody, PacketId,
    PacketKind, Payload, ProtocolVersion, RequestPacket, Value, ValueFormat,
    format::{Compound, Open, Peek, ReadTokens, Token, TokenReader, TokenWriter, WriteTokens},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

#[derive(Debug)]
struct Tagged;

const FORMAT: Format = Format::Other(&Tagged);

impl ValueFormat for Tagged {
    fn name(&self) -> &'static str {
        "Tagged"
    }
    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer(out))
    }
    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader(input))
    }
}

/// A letter tells the kind; text and bytes have their length in one byte.
struct Writer<'a>(&'a mut BytesMut);

impl Writer<'_> {
    fn put(&mut self, tag: u8, content: &[u8]) -> Result<(), EncodeError> {
        self.0.put_u8(tag);
        self.0.put_slice(content);
        Ok(())
    }
    fn put_text(&mut self, tag: u8, text: &[u8]) -> Result<(), EncodeError> {
        let len = u8::try_from(text.len()).map_err(|_| EncodeError::new("too long"))?;
        self.put(tag, &[len])?;
        self.0.put_slice(text);
        Ok(())
    }
}

impl TokenWriter for Writer<'_> {
    fn null(&mut self) -> Result<(), EncodeError> {
        self.put(b'n', b"")
    }
    fn bool(&mut self, flag: bool) -> Result<(), EncodeError> {
        self.put(b'?', &[flag.into()])
    }
    fn int(&mut self, n: i64) -> Result<(), EncodeError> {
        self.put(b'i', &n.to_be_bytes())
    }
    fn uint(&mut self, n: u64) -> Result<(), EncodeError> {
        self.put(b'u', &n.to_be_bytes())
    }
    fn float(&mut self, n: f64) -> Result<(), EncodeError> {
        self.put(b'f', &n.to_be_bytes())
    }
    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        self.put_text(b't', text.as_bytes())
    }
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.put_text(b'b', bytes)
    }
    fn begin(&mut self, compound: Compound, _: Option<usize>) -> Result<usize, EncodeError> {
        self.put(
            match compound {
                Compound::Array => b'[',
                Compound::Object => b'{',
                Compound::Map => b'<',
                Compound::Set => b'(',
            },
            b"",
        )?;
        Ok(self.0.len())
    }
    fn end(&mut self, open: Open, len: usize) -> Result<(), EncodeError> {
        assert!(open.place <= self.0.len());
        assert!(open.len.is_none_or(|announced| announced == len));
        self.put(b'.', b"")
    }
    fn raw(&mut self, encoded: &[u8]) -> Result<(), EncodeError> {
        self.0.put_slice(encoded);
        Ok(())
    }
    fn has(&self, _: Compound) -> bool {
        true
    }
    fn has_undefined(&self) -> bool {
        true
    }
    fn undefined(&mut self) -> Result<(), EncodeError> {
        self.put(b'-', b"")
    }
    fn date(&mut self, date: Date) -> Result<(), EncodeError> {
        self.put(b'd', &date.0.to_be_bytes())
    }
    fn big_int(&mut self, n: &BigInt) -> Result<(), EncodeError> {
        self.put_text(b'B', n.as_str().as_bytes())
    }
    fn typed_array(&mut self, tag: u8, bytes: &[u8]) -> Result<(), EncodeError> {
        self.put(b'T', &[tag])?;
        self.put_text(b'b', bytes)
    }
    fn reg_exp(&mut self, source: &str, flags: &str) -> Result<(), EncodeError> {
        self.put(b'R', b"")?;
        self.text(source)?;
        self.text(flags)
    }
}

struct Reader<'de>(&'de [u8]);

type Result<T, E = DecodeError> = std::result::Result<T, E>;

impl<'de> Reader<'de> {
    fn take(&mut self, len: usize) -> Result<&'de [u8]> {
        let taken = self.0.split_off(..len);
        taken.ok_or_else(|| DecodeError::new("the input ends early"))
    }
    fn number(&mut self) -> Result<[u8; 8]> {
        Ok(self.take(8)?.try_into().expect("eight bytes"))
    }
    fn counted(&mut self) -> Result<&'de [u8]> {
        let len = self.take(1)?[0];
        self.take(len.into())
    }
    fn text(&mut self) -> Result<&'de str> {
        std::str::from_utf8(self.counted()?).map_err(|error| DecodeError::new(error.to_string()))
    }
    fn tagged_text(&mut self) -> Result<String> {
        self.take(1)?;
        self.text().map(str::to_owned)
    }
}

impl<'de> TokenReader<'de> for Reader<'de> {
    fn token(&mut self) -> Result<Token<'de>> {
        let owned = |value: Value| Token::Owned(Box::new(value));
        Ok(match self.take(1)?[0] {
            b'n' => Token::Null,
            b'-' => Token::Undefined,
            b'?' => Token::Bool(self.take(1)? == [1]),
            b'i' => Token::Int(i64::from_be_bytes(self.number()?)),
            b'u' => Token::UInt(u64::from_be_bytes(self.number()?)),
            b'f' => Token::Float(f64::from_be_bytes(self.number()?)),
            b'd' => Token::Date(Date(f64::from_be_bytes(self.number()?))),
            // Text with an escape is none that stands in the input.
            b't' => match self.text()? {
                text if text.starts_with('e') => owned(text.into()),
                text => Token::Text(text),
            },
            b'b' => Token::Bytes(self.counted()?),
            b'[' => Token::Begin(Compound::Array, None),
            b'{' => Token::Begin(Compound::Object, None),
            b'<' => Token::Begin(Compound::Map, None),
            b'(' => Token::Begin(Compound::Set, None),
            b'.' => Token::End,
            b'B' => owned(extended(Extended::BigInt(big(self.text()?)))),
            b'T' => {
                let tag = self.take(1)?[0];
                self.take(1)?;
                let bytes = Bytes::copy_from_slice(self.counted()?);
                owned(extended(Extended::TypedArray { tag, bytes }))
            }
            b'R' => {
                let (source, flags) = (self.tagged_text()?, self.tagged_text()?);
                owned(extended(Extended::RegExp { source, flags }))
            }
            other => return Err(DecodeError::new(format!("unknown tag {other}"))),
        })
    }
    fn peek(&mut self) -> Result<Peek> {
        Ok(match self.0.first() {
            Some(b'n') => Peek::Null,
            Some(b'-') => Peek::Undefined,
            Some(b'.') => Peek::End,
            _ => Peek::Other,
        })
    }
    fn skip(&mut self) -> Result<&'de [u8]> {
        let start = self.0;
        let mut depth = 0;
        loop {
            match self.token()? {
                Token::Begin(..) => depth += 1,
                Token::End => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(&start[..start.len() - self.0.len()]);
            }
        }
    }
    fn rest(&self) -> &'de [u8] {
        self.0
    }
    fn has_undefined(&self) -> bool {
        true
    }
}

fn big(digits: &str) -> BigInt {
    BigInt::parse(digits).expect("digits")
}

fn extended(extended: Extended) -> Value {
    extended.into()
}

fn bytes_of<T: Serialize>(value: &T) -> BytesMut {
    let mut out = BytesMut::new();
    FORMAT.encode(value, &mut out).expect("a value");
    out
}

fn read<T: DeserializeOwned>(value: &impl Serialize) -> Result<T> {
    FORMAT.decode(&bytes_of(value))
}

fn every_kind() -> Value {
    let bytes = Bytes::from_static(b"ab");
    let further = vec![
        Value::Undefined,
        Value::UInt(u64::MAX),
        Value::Float(-0.5),
        "escaped".into(),
        bytes.clone().into(),
        Value::Date(Date(f64::NAN)),
        extended(Extended::BigInt(big("-123456789012345678901234567890"))),
        extended(Extended::TypedArray { tag: 64, bytes }),
        extended(Extended::RegExp { source: "a|b".into(), flags: "gi".into() }),
        Object::from([("gone", Value::Undefined), ("escaped", 1.into())]).into(),
        Object::new().into(),
    ];
    let entries = further.iter().map(|value| (value.clone(), value.clone()));
    let map = extended(Extended::Map(entries.collect()));
    let set = extended(Extended::Set(further.clone()));
    let compounds = [further.into(), map, set];
    let nested = compounds.iter().map(|value| vec![value.clone()].into());
    Value::Array(compounds.clone().into_iter().chain(nested).collect())
}

#[test]
fn every_kind_passes_on_its_own_and_inside_of_types() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Envelope {
        inner: Value,
        list: Vec<Option<Value>>,
    }
    let value = every_kind();
    assert_eq!(read::<Value>(&value).unwrap(), value);
    let envelope = Envelope { inner: value.clone(), list: vec![None, Some(value)] };
    assert_eq!(read::<Envelope>(&envelope).unwrap(), envelope);
}

/// Through serde's own buffers as well, which lose the names of kinds.
#[test]
fn other_types_see_what_json_shows() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "type")]
    enum Tagged {
        At { at: String, more: serde_json::Value },
    }
    let value = Object::from([
        ("type", "At".into()),
        ("at", Value::Date(Date(0.0))),
        (
            "more",
            vec![
                Value::Undefined,
                Value::Date(Date(f64::NAN)),
                extended(Extended::BigInt(big("5"))),
                extended(Extended::Set(vec![1.into()])),
                extended(Extended::Map(vec![(1.into(), true.into())])),
            ]
            .into(),
        ),
    ]);
    let at = "1970-01-01T00:00:00.000Z".to_owned();
    let more = json!([null, null, "5", [1], {"1": true}]);
    assert_eq!(read::<Tagged>(&value).unwrap(), Tagged::At { at, more });
}

#[test]
fn types_read_as_leniently_as_from_json() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Empty {}
    #[derive(Debug, PartialEq, Deserialize)]
    struct Defaulted {
        #[serde(default)]
        n: u8,
        big: i64,
        note: Option<String>,
    }
    for nothing in [Value::Undefined, Value::Null, Object::new().into()] {
        read::<()>(&nothing).unwrap();
        assert_eq!(read::<Empty>(&nothing).unwrap(), Empty {});
    }
    assert!(read::<()>(&Object::from([("a", 1)])).is_err());
    let members = Object::from([
        ("n", Value::Undefined),
        ("big", extended(Extended::BigInt(big("-5")))),
        ("note", Value::Undefined),
    ]);
    let expected = Defaulted { n: 0, big: -5, note: None };
    assert_eq!(read::<Defaulted>(&members).unwrap(), expected);
    assert_eq!(read::<u8>(&5.0).unwrap(), 5);
    assert!(read::<u8>(&5.5).is_err());
    let by_number: BTreeMap<u8, u8> = read(&BTreeMap::from([(1, 2)])).unwrap();
    assert_eq!(by_number, BTreeMap::from([(1, 2)]));
    // What a JavaScript object makes of a key that is nothing.
    let by_nothing: Value = FORMAT.decode(b"{nn.").unwrap();
    assert_eq!(by_nothing, Object::from([("null", Value::Null)]).into());
    let bytes = Value::from(Bytes::from_static(b"ab"));
    assert_eq!(read::<Vec<u8>>(&bytes).unwrap(), b"ab");
    assert_eq!(read::<[u8; 2]>(&bytes).unwrap(), *b"ab");
    let set = extended(Extended::Set(vec![1.into(), 2.into()]));
    assert_eq!(read::<BTreeSet<u8>>(&set).unwrap(), [1, 2].into());
}

#[test]
fn enums_take_serdes_form() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        #[serde(rename = "escaped")]
        Escaped,
        Circle(f64),
        Pair(u8, String),
        Rect {
            w: u8,
            h: Option<u8>,
        },
    }
    let shapes = vec![
        Shape::Unit,
        Shape::Escaped,
        Shape::Circle(1.5),
        Shape::Pair(1, "x".into()),
        Shape::Rect { w: 1, h: None },
    ];
    assert_eq!(read::<Vec<Shape>>(&shapes).unwrap(), shapes);
    let seen: Value = read(&shapes).unwrap();
    assert_eq!(seen, Value::from(serde_json::to_value(&shapes).unwrap()));
    assert!(read::<Shape>(&Object::from([("Unit", 1), ("Circle", 2)])).is_err());
    assert!(read::<Shape>(&Object::new()).is_err());
}

#[test]
fn what_a_type_leaves_unread_is_an_error() {
    assert!(read::<(u8, u8)>(&[1, 2]).is_ok());
    let error = read::<Vec<(u8, u8)>>(&[[1, 2, 3]]).unwrap_err();
    assert_eq!(error.to_string(), "more elements than expected");
    for (bytes, message) in [
        (&b"nn"[..], "1 bytes after the end"),
        (b".", "a list or object ends where a value should stand"),
        (b"{t\x01a.", "a list or object ends where a value should stand"),
        (b"{[.n.", "a map key is not text"),
        (b"[", "the input ends early"),
    ] {
        let error = FORMAT.decode::<Value>(bytes).unwrap_err();
        assert_eq!(error.to_string(), message, "{bytes:?}");
    }
    let deep = |levels| [vec![b'['; levels], vec![b'.'; levels]].concat();
    assert!(FORMAT.decode::<Value>(&deep(128)).is_ok());
    let error = FORMAT.decode::<Value>(&deep(129)).unwrap_err();
    assert_eq!(error.to_string(), "nested deeper than 128 levels");
}

#[test]
fn a_packet_keeps_its_payload_encoded() {
    let mut request = RequestPacket::new(PacketId::from("1"), "a.b");
    request.params = Payload::from(every_kind());
    request.meta = Object::from([("at", Value::Date(Date(1.0)))]);
    let packet = Packet {
        version: ProtocolVersion::V5.into(),
        sender: "node-1".into(),
        body: PacketBody::Request(Box::new(request)),
    };
    let mut out = BytesMut::new();
    packet.to_tokens(&mut Writer(&mut out), FORMAT).unwrap();
    let bytes = out.freeze();
    let read = |bytes: &Bytes| Packet::from_tokens(PacketKind::Request, bytes, FORMAT, Reader);
    assert_eq!(read(&bytes).unwrap(), packet);

    // Passed on without a look inside.
    let mut again = BytesMut::new();
    let relayed = read(&bytes).unwrap();
    relayed.to_tokens(&mut Writer(&mut again), FORMAT).unwrap();
    assert_eq!(again, bytes);

    let longer = Bytes::from([&bytes[..], b"n"].concat());
    let error = read(&longer).unwrap_err();
    assert_eq!(error.to_string(), "REQ: 1 bytes after the end");
}

#[test]
fn errors_of_encoding_name_packet_and_member() {
    let mut request = RequestPacket::new(PacketId::from("1"), "a.b");
    request.meta = Object::from([("long", "x".repeat(300))]);
    let packet = Packet {
        version: ProtocolVersion::V5.into(),
        sender: "node-1".into(),
        body: PacketBody::Request(Box::new(request)),
    };
    let mut out = BytesMut::new();
    let error = packet.to_tokens(&mut Writer(&mut out), FORMAT).unwrap_err();
    assert_eq!(error.to_string(), "REQ: meta: too long");
}

/// Members that a packet does not have may hold anything.
#[test]
fn unknown_members_of_plain_packets_are_skipped() {
    let deep = [vec![b'['; 1000], vec![b'.'; 1000]].concat();
    let mut bytes = b"{t\x06sendert\x01n\
        t\x04timei\0\0\0\0\0\0\0\x05t\x03ser"
        .to_vec();
    bytes = [&bytes[..], b"n", b"t\x01x", &deep, b"."].concat();
    let bytes = Bytes::from(bytes);
    for kind in [PacketKind::Ping, PacketKind::Discover, PacketKind::Info] {
        let packet = Packet::from_tokens(kind, &bytes, FORMAT, Reader).unwrap();
        assert_eq!((packet.kind(), packet.sender.as_str()), (kind, "n"));
    }
}

/// JSON text passes as tokens, without a value in between.
#[test]
fn json_text_passes_as_tokens() {
    let through = |text: &'static str| {
        let mut out = BytesMut::new();
        let payload = Payload::encoded(Bytes::from_static(text.as_bytes()), Format::Json);
        payload.write(&mut Writer(&mut out)).map(|()| FORMAT.decode::<Value>(&out).unwrap())
    };
    for text in [
        r#"{"b":[1,-2,2.5,1e30,18446744073709551615,true,null,"a\n\u00e9"],"a":{"":{}},"c":[]}"#,
        r#""\ud800 \ud83d\ude00""#,
        "[[],[[1]]]",
        "null",
    ] {
        let payload = Payload::encoded(Bytes::from_static(text.as_bytes()), Format::Json);
        assert_eq!(through(text).unwrap(), payload.to_value().unwrap(), "{text}");
    }
    for text in ["{\"a\":1,", "[1", "", "\"", "1 2", "{1:2}"] {
        assert!(through(text).is_err(), "{text}");
    }
    let deep: &'static str = "[".repeat(10_000).leak();
    assert!(through(deep).is_err());
}
