//! What real Moleculer nodes wrote, read and written again.

#[path = "support/vectors.rs"]
mod vectors;

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    JsonSerializer, Object, PacketKind, Serializer, Value,
    tcp::{Announcement, Frame, FrameDecoder, FrameError, frame_header, put_frame},
};

use self::vectors::{
    assert_packet, difference, encode, hex, load, packet_to_value, read, text,
    without_lone_surrogates,
};

const VERSIONS: [&str; 2] = ["0.14", "0.15"];

/// Where our JSON differs from the reference's: name, its text, ours.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    // A packet holds no difference between meta of null and empty meta; the
    // reference treats them alike and never writes null itself.
    ("request-meta-null", r#""meta":null"#, r#""meta":{}"#),
    // Likewise headers. The reference writes null if a request failed before
    // it had a context; receivers do not look at headers of responses.
    ("response-error-not-found", r#""headers":null"#, r#""headers":{}"#),
];

#[test]
fn json_is_read_as_the_reference_reads_it() {
    for version in VERSIONS {
        for vector in load(&format!("{version}/json.json")) {
            let bytes = vector.bytes.as_ref().expect("bytes");
            let packet = JsonSerializer.decode(vector.kind, bytes).expect(&vector.name);
            assert_eq!(packet.kind(), vector.kind);
            vector.assert_decoded(&packet);
        }
    }
}

#[test]
fn json_is_written_byte_for_byte() {
    for version in VERSIONS {
        for vector in load(&format!("{version}/json.json")) {
            let name = &vector.name;
            let bytes = vector.bytes.as_ref().expect("bytes");
            let mut expected = String::from_utf8(bytes.to_vec()).expect(name);
            for (_, theirs, ours) in EXCEPTIONS.iter().filter(|(of, ..)| of == name) {
                expected = expected.replace(theirs, ours);
            }
            let relayed = JsonSerializer.decode(vector.kind, bytes).expect(name);
            let written = encode(&JsonSerializer, &relayed).expect(name);
            assert_eq!(written, expected, "{version} {name}");
            // No Rust string holds a lone surrogate.
            let written = encode(&JsonSerializer, &vector.packet()).expect(name);
            assert_eq!(written, without_lone_surrogates(&expected), "{version} {name}");
        }
    }
}

/// A request reaches its handler although there is no Rust string for what
/// stands in it, or beside it.
#[test]
fn lone_surrogates_cost_no_packet() {
    for version in VERSIONS {
        let vectors = load(&format!("{version}/json.json"));
        let vector = vectors.iter().find(|vector| vector.name == "request-lone-surrogates");
        let text = vector.and_then(|vector| vector.bytes.clone()).expect("the vector");
        let text = String::from_utf8(text.to_vec()).expect("text");
        let in_meta = text.replace(r#""a":"Hi""#, r#""a":"\ud800""#);
        assert_ne!(text, in_meta);
        for (text, a) in [(text, "Hi"), (in_meta, "\u{fffd}")] {
            let packet =
                JsonSerializer.decode(PacketKind::Request, &text.into()).expect("a request");
            let members = packet_to_value(&packet);
            let member = |path| members.pointer(path).and_then(Value::as_str);
            assert_eq!(member("params.high"), Some("a\u{fffd}b"));
            assert_eq!(member("params.swapped"), Some("\u{fffd}\u{fffd}"));
            assert_eq!(member("params.high_then_pair"), Some("\u{fffd}\u{1f600}"));
            assert_eq!(member("params.escaped"), Some(r"\ud800"));
            assert_eq!(members.pointer("params.key\u{fffd}"), Some(&1.into()));
            assert_eq!(member("meta.a"), Some(a));
        }
    }
}

#[test]
fn stored_values_of_discoverers_are_packets() {
    let mut count = 0;
    for version in VERSIONS {
        let file = read(&format!("{version}/discovery.json"));
        let captures = entries(&file, "captures");
        for entry in captures.flat_map(|capture| entries(capture, "entries")) {
            let key = text(entry, "key");
            // The others are MsgPack, or empty.
            let Some(value) = entry.defined("value").and_then(Value::as_str) else {
                continue;
            };
            let kind = match key.to_uppercase() {
                key if key.contains("BEAT") => PacketKind::Heartbeat,
                _ => PacketKind::Info,
            };
            let bytes = Bytes::copy_from_slice(value.as_bytes());
            let packet = JsonSerializer.decode(kind, &bytes).expect(key);
            let expected =
                Value::from(serde_json::from_str::<serde_json::Value>(value).expect(key));
            assert_packet(key, &packet, &expected);
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} values");
}

#[test]
fn frames_are_those_of_the_reference() {
    for version in VERSIONS {
        let file = read(&format!("{version}/tcp.json"));
        for entry in entries(&file, "frames") {
            let name = text(entry, "name");
            let kind = kind(entry);
            let bytes = hex(text(entry, "hex"));
            let mut buffer = BytesMut::from(&*bytes);
            let frame = FrameDecoder::default().decode(&mut buffer).expect(name);
            let Some(Frame::Packet { kind: found, body }) = frame else {
                panic!("{name}: {frame:?}");
            };
            assert_eq!(found, kind, "{name}");
            assert!(buffer.is_empty(), "{name}: {buffer:?} is left");

            JsonSerializer.decode(kind, &body).expect(name);
            let mut written = BytesMut::new();
            put_frame(kind, &body, &mut written).expect(name);
            assert_eq!(written, bytes, "{version} {name}");
        }
    }
}

/// What becomes of the parser cases in which the reference fails.
fn our_end_of(case: &str) -> Result<Vec<Frame>, FrameError> {
    let pong = |body: &'static [u8]| Frame::Packet { kind: PacketKind::Pong, body: body.into() };
    match case {
        "bad CRC after a good frame" => Err(FrameError::Checksum { expected: 9, found: 246 }),
        "buffer larger than maxPacketSize (limit 12)" => {
            Err(FrameError::TooLarge { len: 13, max: 12 })
        }
        "length 0 rejected" => Err(FrameError::TooShort(0)),
        // The reference dies of an unknown type; we skip it.
        "unknown type id 9" => Ok(vec![Frame::Unknown(9)]),
        // It counts all buffered bytes against the limit; we count frames.
        "two 13-byte frames glued exceed limit 20 although each fits" => {
            let kind = PacketKind::Ping;
            let body = br#"{"a":1}"#.as_slice().into();
            Ok(vec![Frame::Packet { kind, body }, pong(br#"{"b":2}"#)])
        }
        other => panic!("{other} ends without an error"),
    }
}

#[test]
fn frames_arrive_in_any_chunks() {
    for version in VERSIONS {
        let file = read(&format!("{version}/tcp.json"));
        for case in entries(&file, "parserCases") {
            let name = text(case, "name");
            let limit = case.get("maxPacketSize").and_then(Value::as_u64);
            let decoder = FrameDecoder::new(limit.expect(name) as usize);
            let (found, end) = decode_chunks(decoder, case);

            let emitted = entries(case, "emitted").map(|packet| Frame::Packet {
                kind: kind(packet),
                body: hex(text(packet, "bodyHex")),
            });
            let (mut expected, mut expected_end) = (emitted.collect::<Vec<_>>(), Ok(()));
            if !case.get("error").expect(name).is_nullish() {
                match our_end_of(name) {
                    Ok(frames) => expected.extend(frames),
                    Err(error) => expected_end = Err(error),
                }
            }
            assert_eq!((found, end), (expected, expected_end), "{version} {name}");
        }
    }
}

fn decode_chunks(decoder: FrameDecoder, case: &Object) -> (Vec<Frame>, Result<(), FrameError>) {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    let chunks = case.get("chunksHex").and_then(Value::as_array);
    for chunk in chunks.expect("chunksHex") {
        buffer.extend_from_slice(&hex(chunk.as_str().expect("a chunk")));
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(()))
}

#[test]
fn announcements_are_those_of_the_reference() {
    for version in VERSIONS {
        let file = read(&format!("{version}/tcp.json"));
        for entry in entries(&file, "udpDatagrams") {
            let datagram = hex(text(entry, "hex"));
            let announcement = Announcement::parse(&datagram).expect("an announcement");
            assert_eq!(announcement.namespace, text(entry, "namespace"));
            assert_eq!(announcement.node_id, text(entry, "nodeID"));
            let port = entry.get("port").and_then(Value::as_u64);
            assert_eq!(Some(u64::from(announcement.port)), port);
            assert_eq!(announcement.encode().expect("valid names"), datagram);
        }
    }
}

/// Each packet of the recorded conversation, but for those that were cut.
#[test]
fn a_conversation_is_read_and_written_byte_for_byte() {
    for version in VERSIONS {
        let file = read(&format!("{version}/tcp.json"));
        let is_tcp = |entry: &&Object| entry.get("kind").and_then(Value::as_str) == Some("tcp");
        let mut count = 0;
        for entry in entries(&file, "conversation").filter(is_tcp) {
            let (kind, json) = (kind(entry), text(entry, "json"));
            let cut_from = entry.get("jsonLength").and_then(Value::as_u64);
            let len = cut_from.map_or(json.len(), |len| len as usize);
            let header = frame_header(kind, len).expect(json);
            assert_eq!(&header[..], hex(text(entry, "headerHex")), "{json}");
            if cut_from.is_none() {
                let bytes = Bytes::copy_from_slice(json.as_bytes());
                let packet = JsonSerializer.decode(kind, &bytes).expect(json);
                assert_eq!(encode(&JsonSerializer, &packet).expect(json), json);
                count += 1;
            }
        }
        assert!(count > 20, "only {count} packets");
    }
}

/// The tests above rest on this: the comparison sees differences.
#[test]
fn differences_are_found() {
    let value = |text: &str| -> Value {
        serde_json::from_str::<serde_json::Value>(text).expect(text).into()
    };
    let found = |a, b| difference(&value(a), &value(b));
    assert_eq!(found(r#"{"a":[1,{"b":5}]}"#, r#"{"a":[1.0,{"b":5}]}"#), None);
    for (a, b, at) in [
        (r#"{"a":[1,{"b":5}]}"#, r#"{"a":[1,{"b":6}]}"#, "a.1.b"),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, "b"),
        (r#"{"a":1,"b":null}"#, r#"{"a":1}"#, "b"),
        ("[1]", "[1,2]", ""),
        ("[1]", r#"["1"]"#, "0"),
        ("{}", "null", ""),
    ] {
        let difference = found(a, b).expect(a);
        assert!(difference.starts_with(&format!("at {at:?}:")), "{difference}");
    }
    let bytes = Bytes::from_static(br#"{"time":5,"ver":"5","sender":"a"}"#);
    let ping = JsonSerializer.decode(PacketKind::Ping, &bytes).expect("a ping");
    assert_eq!(packet_to_value(&ping), value(r#"{"time":5,"ver":"5","sender":"a"}"#));
}

fn entries<'a>(object: &'a Object, key: &str) -> impl Iterator<Item = &'a Object> {
    let items = object.get(key).and_then(Value::as_array).expect(key);
    items.iter().map(|item| item.as_object().expect("an object"))
}

fn kind(entry: &Object) -> PacketKind {
    PacketKind::parse(text(entry, "type")).expect("a packet type")
}
