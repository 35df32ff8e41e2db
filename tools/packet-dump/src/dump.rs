//! Decoding packets.

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    EncodeError, FieldWriter, JsonSerializer, Object, Packet, PacketKind, Payload, Serializer,
    Value,
    tcp::{Frame, FrameDecoder},
};
use moleculer_serializer_avro::AvroSerializer;
use moleculer_serializer_cbor::CborSerializer;
use moleculer_serializer_json_ext::JsonExtSerializer;
use moleculer_serializer_msgpack::MsgPackSerializer;
use moleculer_serializer_protobuf::ProtoBufSerializer;
use moleculer_serializer_thrift::ThriftSerializer;

use crate::show::{hex, tagged};

/// In the order in which they are tried. The strict ones come first: they
/// read nothing but themselves. JSONExt and Notepack have to be named, since
/// JSON and MsgPack read their packets too.
pub(crate) const SERIALIZERS: &[&dyn Serializer] = &[
    &JsonSerializer,
    &MsgPackSerializer::new(),
    &CborSerializer::new(),
    &AvroSerializer,
    &ThriftSerializer,
    &ProtoBufSerializer,
    &JsonExtSerializer,
    &MsgPackSerializer::notepack(),
];

/// What the input held.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    pub(crate) packets: Vec<Value>,
    pub(crate) errors: Vec<String>,
}

/// Decodes one bare packet of `kind`, or a stream of TCP frames.
pub(crate) fn dump(
    bytes: Vec<u8>,
    kind: Option<PacketKind>,
    serializer: Option<&'static dyn Serializer>,
) -> Dump {
    let mut dump = Dump::default();
    match kind {
        Some(kind) => dump.packet(kind, &bytes.into(), serializer),
        None => dump.frames(&bytes, serializer),
    }
    dump
}

impl Dump {
    fn frames(&mut self, stream: &[u8], serializer: Option<&'static dyn Serializer>) {
        let mut rest = BytesMut::from(stream);
        loop {
            let at = stream.len() - rest.len();
            match FrameDecoder::new(usize::MAX).decode(&mut rest) {
                Ok(Some(Frame::Packet { kind, body })) => self.packet(kind, &body, serializer),
                Ok(Some(Frame::Unknown(id))) => {
                    self.errors.push(format!("the frame at byte {at} is of the unknown type {id}"));
                }
                Ok(None) if rest.is_empty() => return,
                Ok(None) => {
                    let left = rest.len();
                    return self.errors.push(format!(
                        "the stream ends within a frame, {left} bytes after its begin at byte {at}"
                    ));
                }
                Err(error) => {
                    let hint =
                        if at == 0 { "; for a bare packet say its kind with --kind" } else { "" };
                    return self.errors.push(format!("no frame at byte {at}: {error}{hint}"));
                }
            }
        }
    }

    fn packet(
        &mut self,
        kind: PacketKind,
        bytes: &Bytes,
        serializer: Option<&'static dyn Serializer>,
    ) {
        let mut shown = Object::new();
        shown.insert("kind", kind.as_str());
        match read(kind, bytes, serializer) {
            Ok((serializer, packet, others)) => {
                shown.insert("serializer", serializer.name());
                if !others.is_empty() {
                    let others = others.into_iter().map(Value::from);
                    shown.insert("alsoReadBy", Value::Array(others.collect()));
                }
                shown.insert("bytes", bytes.len() as u64);
                let mut members = Members { members: Object::new(), serializer };
                match packet.write_fields(&mut members) {
                    Ok(()) => {}
                    Err(error) => self.errors.push(error.to_string()),
                }
                shown.insert("packet", members.members);
            }
            Err(error) => {
                shown.insert("bytes", bytes.len() as u64);
                shown.insert("hex", hex(bytes));
                self.errors.push(error);
            }
        }
        self.packets.push(shown.into());
    }
}

type Read = (&'static dyn Serializer, Packet, Vec<&'static str>);

/// The packet with the serializer that read it, and the names of the others
/// that can.
fn read(
    kind: PacketKind,
    bytes: &Bytes,
    serializer: Option<&'static dyn Serializer>,
) -> Result<Read, String> {
    if let Some(serializer) = serializer {
        let packet = serializer.decode(kind, bytes);
        let packet =
            packet.map_err(|error| format!("{} cannot read it: {error}", serializer.name()))?;
        return Ok((serializer, packet, Vec::new()));
    }
    let decode = |&serializer: &&'static dyn Serializer| {
        Some((serializer, serializer.decode(kind, bytes).ok()?))
    };
    let mut read = SERIALIZERS.iter().filter_map(decode);
    match read.next() {
        Some((serializer, packet)) => {
            Ok((serializer, packet, read.map(|(other, _)| other.name()).collect()))
        }
        None => Err(format!(
            "no serializer reads this as {kind}; --serializer NAME tells what one of them says"
        )),
    }
}

/// Collects what the packet is made of.
struct Members {
    members: Object,
    serializer: &'static dyn Serializer,
}

impl FieldWriter for Members {
    fn text(&mut self, key: &'static str, text: &str) -> Result<(), EncodeError> {
        self.members.insert(key, text);
        Ok(())
    }

    fn value(&mut self, key: &'static str, value: &Value) -> Result<(), EncodeError> {
        self.members.insert(key, tagged(value));
        Ok(())
    }

    fn object(&mut self, key: &'static str, object: &Object) -> Result<(), EncodeError> {
        self.members.insert(key, tagged(&object.clone().into()));
        Ok(())
    }

    fn payload(&mut self, key: &'static str, payload: &Payload) -> Result<(), EncodeError> {
        let shown = match payload.to_value() {
            Ok(value) => tagged(&value),
            Err(error) => {
                let mut bytes = BytesMut::new();
                payload.encode(&self.serializer.format(), &mut bytes)?;
                let error = error.to_string();
                Object::from([
                    ("$t", Value::from("malformed")),
                    ("error", error.into()),
                    ("hex", hex(&bytes).into()),
                ])
                .into()
            }
        };
        self.members.insert(key, shown);
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../../crates/moleculer-protocol/tests/support/vectors.rs"]
mod vectors;

#[cfg(test)]
mod tests {
    use moleculer_protocol::tcp::put_frame;

    use super::{
        vectors::{load, read as read_file, text},
        *,
    };
    use crate::show::pretty;

    fn member<'a>(dump: &'a Dump, packet: usize, path: &str) -> &'a Value {
        dump.packets[packet].pointer(path).unwrap_or_else(|| panic!("no {path} in {dump:?}"))
    }

    fn serializer(name: &str) -> &'static dyn Serializer {
        *SERIALIZERS.iter().find(|serializer| serializer.name() == name).expect(name)
    }

    #[test]
    fn every_recorded_packet_is_shown() {
        for serializer in SERIALIZERS {
            for protocol in serializer.protocols() {
                let name = serializer.name();
                for vector in load(&format!("0.1{protocol}/{}.json", name.to_lowercase())) {
                    let Some(bytes) = vector.bytes else { continue };
                    let shown = dump(bytes.to_vec(), Some(vector.kind), Some(*serializer));
                    assert_eq!(shown.errors, [""; 0], "{name} {}", vector.name);
                    assert_eq!(member(&shown, 0, "packet.sender").as_str(), Some("node-1"));

                    let guessed = dump(bytes.to_vec(), Some(vector.kind), None);
                    let first = member(&guessed, 0, "serializer").as_str();
                    let others = guessed.packets[0].pointer("alsoReadBy").and_then(Value::as_array);
                    let mut others = others.into_iter().flatten().map(Value::as_str);
                    let found = first == Some(name) || others.any(|other| other == Some(name));
                    assert!(found, "{name} {}: {guessed:?}", vector.name);
                    if ["JSON", "MsgPack"].contains(&name) {
                        assert_eq!(first, Some(name), "{}", vector.name);
                    }
                }
            }
        }
    }

    #[test]
    fn each_frame_of_a_stream_is_shown() {
        let file = read_file("0.15/tcp.json");
        let frames = file.get("frames").and_then(Value::as_array).expect("frames");
        let frames: Vec<_> = frames.iter().map(|f| f.as_object().expect("a frame")).collect();
        let stream = frames.iter().map(|frame| vectors::hex(text(frame, "hex")));
        let shown = dump(stream.collect::<Vec<_>>().concat(), None, None);
        assert_eq!(shown.errors, [""; 0]);
        let kinds = shown.packets.iter().map(|packet| packet.pointer("kind")?.as_str());
        assert!(kinds.eq(frames.iter().map(|frame| Some(text(frame, "type")))));
    }

    #[test]
    fn further_kinds_are_told_apart() {
        let msgpack = b"\x84\xa3ver\xa15\xa6sender\xa1a\xa5event\xa1e\xa4data\x95\
            \xc4\x02hi\xc4\x01\x00\xd6\xff\x00\x00\x00\x01\xcb\x40\x14\0\0\0\0\0\0\x05";
        let shown = dump(msgpack.to_vec(), Some(PacketKind::Event), None);
        assert_eq!(shown.errors, [""; 0]);
        let data: String = pretty(member(&shown, 0, "packet.data")).split_whitespace().collect();
        let expected = r#"[{"$t":"buffer","hex":"6869","text":"hi"},{"$t":"buffer","hex":"00"},{"$t":"date","ms":1000.0,"iso":"1970-01-01T00:00:01.000Z"},5.0,5]"#;
        assert_eq!(data, expected);
    }

    #[test]
    fn what_cannot_be_decoded_is_told() {
        let json = Some(serializer("JSON"));
        let shown = dump(br#"{"ver":"5"}"#.to_vec(), Some(PacketKind::Ping), json);
        assert!(shown.errors[0].starts_with("JSON cannot read it: PING: "), "{shown:?}");
        let shown = dump(b"\xc1\xc1".to_vec(), Some(PacketKind::Ping), None);
        assert!(shown.errors[0].starts_with("no serializer reads this as PING; "), "{shown:?}");
        assert_eq!(member(&shown, 0, "hex").as_str(), Some("c1c1"));

        let bare = dump(br#"{"ver":"5","sender":"a"}"#.to_vec(), None, None);
        assert!(bare.errors[0].starts_with("no frame at byte 0: wrong"), "{bare:?}");
        assert!(bare.errors[0].ends_with("for a bare packet say its kind with --kind"));
    }

    #[test]
    fn a_stream_is_shown_as_far_as_it_can_be_read() {
        let body = br#"{"ver":"5","sender":"a","time":1}"#;
        let mut stream = BytesMut::new();
        put_frame(PacketKind::Ping, body, &mut stream).expect("a frame");
        let len = stream.len();
        for (tail, expected) in [
            (
                &b"\x01"[..],
                format!("the stream ends within a frame, 1 bytes after its begin at byte {len}"),
            ),
            (
                &b"\x01\0\0\0\x08\x09{}"[..],
                format!("the frame at byte {len} is of the unknown type 9"),
            ),
            (
                &b"\xff\0\0\0\x08\x04{}"[..],
                format!("no frame at byte {len}: wrong frame checksum: expected 12, found 255"),
            ),
        ] {
            let shown = dump([&stream[..], tail].concat(), None, None);
            assert_eq!((shown.packets.len(), shown.errors), (1, vec![expected]));
        }
    }

    /// Avro carries params as JSON text that its decoder does not look into.
    #[test]
    fn malformed_params_are_shown_within_their_packet() {
        let vectors = load("0.14/avro.json");
        let vector = vectors.iter().find(|vector| vector.name == "request-object");
        let bytes = vector.and_then(|vector| vector.bytes.clone()).expect("bytes").to_vec();
        let at = bytes.windows(5).position(|part| part == br#"{"a":"#).expect("params");
        let mut damaged = bytes;
        damaged[at] = b'<';
        let shown = dump(damaged, Some(PacketKind::Request), Some(serializer("Avro")));
        assert_eq!(member(&shown, 0, "packet.params.$t").as_str(), Some("malformed"));
        let hex = member(&shown, 0, "packet.params.hex").as_str().expect("hex");
        assert!(hex.starts_with("3c226122"), "{hex}");
    }
}
