//! Packets of every serializer.

use bytes::Bytes;
use moleculer_protocol::{
    JsonSerializer, Packet, PacketBody, PacketKind, PacketVersion, Payload, Serializer,
};
use moleculer_serializer_avro::AvroSerializer;
use moleculer_serializer_cbor::CborSerializer;
use moleculer_serializer_json_ext::JsonExtSerializer;
use moleculer_serializer_msgpack::MsgPackSerializer;
use moleculer_serializer_protobuf::ProtoBufSerializer;
use moleculer_serializer_thrift::ThriftSerializer;

use crate::{
    Target,
    memory::bounded,
    vectors::{difference, encode, load, packet_to_value},
};

/// The golden vectors are in `<protocol>/<name in lower case>.json`.
pub(crate) const SERIALIZERS: &[&dyn Serializer] = &[
    &JsonSerializer,
    &JsonExtSerializer,
    &AvroSerializer,
    &CborSerializer::new(),
    &MsgPackSerializer::new(),
    &MsgPackSerializer::notepack(),
    &ProtoBufSerializer,
    &ThriftSerializer,
];

pub(crate) fn targets() -> Vec<Target> {
    let target = |&serializer: &&'static dyn Serializer| {
        let name = format!("packets-{}", serializer.name().to_lowercase());
        Target::new(name, move |input| check(serializer, input), move || seeds(serializer))
    };
    SERIALIZERS.iter().map(target).collect()
}

fn check(serializer: &dyn Serializer, input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let kind = PacketKind::ALL[usize::from(*kind) % PacketKind::ALL.len()];
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(packet) = bounded(bytes.len(), || serializer.decode(kind, &bytes)) else { return };
    assert_eq!(packet.kind(), kind);
    let payload = bounded(bytes.len(), || payload(&packet).map(Payload::to_value).transpose());
    // Receivers refuse foreign versions; some serializers cannot write them.
    if !matches!(packet.version, PacketVersion::Known(v) if serializer.protocols().contains(&v)) {
        return;
    }
    // Thrift reads wider numbers than the schema has, and writes none of them.
    let Ok(first) = encode(serializer, &packet) else { return };
    let again = serializer.decode(kind, &first).expect("what was encoded can be decoded");
    let second = encode(serializer, &again).expect("what was decoded can be encoded");
    assert_eq!(first, second, "decoding and encoding {kind} once more changed it");
    if payload.is_ok() {
        let [packet, again] = [&packet, &again].map(packet_to_value);
        assert_eq!(difference(&packet, &again), None, "encoding {kind} changed it");
    }
}

/// Left encoded by the decoder, so that it may be malformed.
fn payload(packet: &Packet) -> Option<&Payload> {
    match &packet.body {
        PacketBody::Request(request) => Some(&request.params),
        PacketBody::Response(response) => Some(&response.data),
        PacketBody::Event(event) => Some(&event.data),
        _ => None,
    }
}

fn seeds(serializer: &dyn Serializer) -> Vec<Vec<u8>> {
    let vectors = serializer.protocols().iter().flat_map(|protocol| {
        load(&format!("0.1{protocol}/{}.json", serializer.name().to_lowercase()))
    });
    vectors
        .filter_map(|vector| {
            let kind = PacketKind::ALL.iter().position(|kind| *kind == vector.kind);
            let kind = kind.expect("a kind") as u8;
            vector.bytes.map(|bytes| [&[kind], &bytes[..]].concat())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_serializer_is_listed() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
        for entry in fs::read_dir(crates).expect("crates") {
            let name = entry.expect("readable").file_name().into_string().expect("text");
            if let Some(name) = name.strip_prefix("moleculer-serializer-") {
                let name = name.replace('-', "");
                let known = SERIALIZERS.iter().any(|s| s.name().to_lowercase() == name);
                assert!(known, "add the serializer of moleculer-serializer-{name} to SERIALIZERS");
            }
        }
    }
}
