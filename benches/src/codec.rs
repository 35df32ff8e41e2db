//! Encoding and decoding of packets.

use std::{future::ready, hint::black_box};

use bytes::{Bytes, BytesMut};
use moleculer::{
    Value,
    protocol::{
        JsonSerializer, NodeInfo, Packet, PacketBody, PacketKind, Payload, ProtocolVersion,
        RequestPacket, ResponsePacket, Serializer,
    },
    serializer::{
        avro::AvroSerializer, cbor::CborSerializer, json_ext::JsonExtSerializer,
        msgpack::MsgPackSerializer, protobuf::ProtoBufSerializer, thrift::ThriftSerializer,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    measure::{Flavor, Result, emit, sequential},
    payload::Page,
    peer::{JS_014, JS_015, Peer},
};

const BARE: &str = "bare codec";
const OURS: &str = "ours";
const KILOBYTE: usize = 1024;
const LARGE: usize = 50 * 1024;

const SERIALIZERS: [&dyn Serializer; 8] = [
    &JsonSerializer,
    &JsonExtSerializer,
    &MsgPackSerializer::new(),
    &MsgPackSerializer::notepack(),
    &CborSerializer::new(),
    &AvroSerializer,
    &ProtoBufSerializer,
    &ThriftSerializer,
];

pub(crate) fn peers() -> Result<Vec<Peer>> {
    let js = |name, folder, version| {
        let packets = js_packets(version)?;
        let args: Vec<&str> =
            [folder].into_iter().chain(packets.iter().map(String::as_str)).collect();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Peer::js(
            name,
            Some(BARE),
            &[&["codec.mjs"], &args[..]].concat(),
        ))
    };
    Ok(vec![
        Peer::rust(BARE, None, &["codec", "bare"]),
        Peer::rust(OURS, Some(BARE), &["codec", "ours"]),
        js(JS_014, "0.14", ProtocolVersion::V4)?,
        js(JS_015, "0.15", ProtocolVersion::V5)?,
    ])
}

/// Measures one Rust peer in this process.
pub(crate) fn drive(peer: &str) -> Result<()> {
    match peer {
        "bare" => bare(),
        "ours" => SERIALIZERS.iter().try_for_each(|serializer| ours(*serializer)),
        _ => Err(format!("no codec peer is called `{peer}`").into()),
    }
}

/// What is encoded and decoded. A typed value inside is encoded from its type
/// and decoded into it, as callers and handlers do.
#[derive(Clone, Copy, Debug)]
enum Content {
    Request(usize),
    Info,
    Binary,
}

impl Content {
    const ALL: [Self; 4] =
        [Self::Request(KILOBYTE), Self::Info, Self::Request(LARGE), Self::Binary];

    fn name(self) -> &'static str {
        match self {
            Self::Request(KILOBYTE) => "request 1 KB",
            Self::Request(_) => "request 50 KB",
            Self::Info => "INFO of 50 services",
            Self::Binary => "50 KB binary",
        }
    }

    fn packet(self, version: ProtocolVersion) -> Result<Packet> {
        let id = "41238213-da6b-4313-9909-e6edd0e40a96";
        let body = match self {
            Self::Request(len) => {
                let mut request = RequestPacket::new(id.into(), "v2.greeter.hello");
                request.params = Payload::new(Page::of_len(len)?);
                request.timeout = Some(10_000.0);
                request.request_id = Some(id.into());
                PacketBody::Request(request.into())
            }
            Self::Info => PacketBody::Info(
                NodeInfo { services: services(50).into(), seq: 1, ..NodeInfo::default() }.into(),
            ),
            Self::Binary => PacketBody::Response(Box::new(ResponsePacket {
                id: id.into(),
                meta: Default::default(),
                headers: None,
                success: true,
                data: Payload::new(Bytes::from(vec![0xa5; LARGE])),
                error: None,
                stream: None,
                seq: None,
            })),
        };
        Ok(Packet { version: version.into(), sender: "node-1".into(), body })
    }
}

/// What a node of `count` services tells of them: five actions and an event each.
fn services(count: usize) -> Vec<Value> {
    let service = |i| {
        let action = |a: usize| {
            let name = format!("v2.service-{i}.action-{a}");
            let params = json!({"id": "string", "limit": {"type": "number", "optional": true}});
            let rest = format!("GET /{a}/:id");
            (
                name.clone(),
                json!({"name": name, "rawName": format!("action-{a}"), "params": params, "rest": rest, "cache": {"keys": ["id"]}}),
            )
        };
        let actions: serde_json::Map<_, _> = (0..5).map(action).collect();
        Value::from(json!({
            "name": format!("service-{i}"),
            "version": 2,
            "fullName": format!("v2.service-{i}"),
            "settings": {"limit": 10},
            "metadata": {},
            "actions": actions,
            "events": {"user.created": {"name": "user.created", "group": format!("service-{i}")}},
        }))
    };
    (0..count).map(service).collect()
}

fn ours(serializer: &dyn Serializer) -> Result<()> {
    let version = *serializer.protocols().last().ok_or("a serializer without a protocol")?;
    for content in Content::ALL {
        let packet = content.packet(version)?;
        let mut bytes = BytesMut::new();
        serializer.encode(&packet, &mut bytes)?;
        let (kind, bytes) = (packet.kind(), bytes.freeze());
        decode_all(serializer, kind, &bytes)?;
        let encode = || {
            let mut out = BytesMut::with_capacity(256);
            serializer.encode(&packet, &mut out).map(|()| out)
        };
        measure(serializer.name(), content, encode, || decode_all(serializer, kind, &bytes))?;
    }
    Ok(())
}

/// Decodes the packet and what a handler or caller would take out of it.
fn decode_all(serializer: &dyn Serializer, kind: PacketKind, bytes: &Bytes) -> Result<()> {
    match serializer.decode(kind, bytes)?.body {
        PacketBody::Request(request) => drop(black_box(request.params.take::<Page>()?)),
        PacketBody::Response(response) => drop(black_box(response.data.take::<Bytes>()?)),
        other => drop(black_box(other)),
    }
    Ok(())
}

fn measure<E, D>(
    serializer: &str,
    content: Content,
    mut encode: impl FnMut() -> E,
    mut decode: impl FnMut() -> D,
) -> Result<()> {
    let workload = format!("codec/{serializer}: {}", content.name());
    let runtime = Flavor::CurrentThread.build()?;
    let cost = runtime.block_on(sequential(|| ready(encode())));
    emit(&workload, "encode, ns", cost.ns)?;
    let cost = runtime.block_on(sequential(|| ready(decode())));
    emit(&workload, "decode, ns", cost.ns)
}

/// The codec crate alone, into and from structs that are the packets.
fn bare() -> Result<()> {
    for content in [Content::Request(KILOBYTE), Content::Request(LARGE)] {
        let Content::Request(len) = content else { continue };
        let packet = Request::new(Page::of_len(len)?);
        let (json, msgpack) = (serde_json::to_vec(&packet)?, rmp_serde::to_vec_named(&packet)?);
        bare_json::<Request<Page>>(content, &packet, &json)?;
        bare_msgpack::<Request<Page>>(content, &packet, &msgpack)?;
    }
    // What a node offers is kept as it came, so a generic value is the like of it.
    let mut info = BytesMut::new();
    JsonSerializer.encode(&Content::Info.packet(ProtocolVersion::V5)?, &mut info)?;
    let value: serde_json::Value = serde_json::from_slice(&info)?;
    bare_json::<serde_json::Value>(Content::Info, &value, &info)?;
    let msgpack = rmp_serde::to_vec_named(&value)?;
    bare_msgpack::<serde_json::Value>(Content::Info, &value, &msgpack)?;

    let packet = Request::new(Bytes::from(vec![0xa5; LARGE]));
    let msgpack = rmp_serde::to_vec_named(&packet)?;
    bare_msgpack::<Request<Bytes>>(Content::Binary, &packet, &msgpack)
}

fn bare_json<T: Serialize + DeserializeOwned>(
    content: Content,
    value: &T,
    json: &[u8],
) -> Result<()> {
    let decode = || serde_json::from_slice::<T>(json);
    measure("JSON", content, || serde_json::to_vec(value), decode)
}

fn bare_msgpack<T: Serialize + DeserializeOwned>(
    content: Content,
    value: &T,
    bytes: &[u8],
) -> Result<()> {
    let decode = || rmp_serde::from_slice::<T>(bytes);
    measure("MsgPack", content, || rmp_serde::to_vec_named(value), decode)
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<P> {
    id: String,
    action: String,
    params: P,
    meta: Meta,
    timeout: f64,
    level: u32,
    tracing: Option<bool>,
    parent_id: Option<String>,
    request_id: String,
    caller: Option<String>,
    stream: bool,
    ver: String,
    sender: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Meta {}

impl<P> Request<P> {
    fn new(params: P) -> Self {
        let id = "41238213-da6b-4313-9909-e6edd0e40a96";
        Self {
            id: id.to_owned(),
            action: "v2.greeter.hello".to_owned(),
            params,
            meta: Meta {},
            timeout: 10_000.0,
            level: 1,
            tracing: None,
            parent_id: None,
            request_id: id.to_owned(),
            caller: None,
            stream: false,
            ver: "5".to_owned(),
            sender: "node-1".to_owned(),
        }
    }
}

/// `{name, type, packet, binary}` for each packet; the binary one gets its
/// data, of the length given, over there.
fn js_packets(version: ProtocolVersion) -> Result<Vec<String>> {
    let one = |content: Content| {
        let mut packet = content.packet(version)?;
        let mut binary = 0;
        if let PacketBody::Response(response) = &mut packet.body {
            (response.data, binary) = (Payload::null(), LARGE);
        }
        let mut json = BytesMut::new();
        JsonSerializer.encode(&packet, &mut json)?;
        let json: serde_json::Value = serde_json::from_slice(&json)?;
        let (name, kind) = (content.name(), packet.kind().as_str());
        let packet =
            serde_json::json!({"name": name, "type": kind, "packet": json, "binary": binary});
        Ok(packet.to_string())
    };
    Content::ALL.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serializer_carries_every_content() {
        for serializer in SERIALIZERS {
            for version in serializer.protocols() {
                for content in Content::ALL {
                    let packet = content.packet(*version).unwrap();
                    let mut bytes = BytesMut::new();
                    serializer.encode(&packet, &mut bytes).unwrap();
                    decode_all(serializer, packet.kind(), &bytes.freeze()).unwrap();
                }
            }
        }
    }
}
