//! Packets of every kind to try a serializer with.

use std::sync::Arc;

use moleculer_protocol::{
    ClientInfo, EventPacket, GossipHello, GossipRequest, GossipResponse, HeartbeatPacket, NewsRow,
    NodeInfo, Object, OnlineRow, Packet, PacketBody, PacketId, PacketKind, Payload, PingPacket,
    PongPacket, ProtocolVersion, RequestPacket, ResponsePacket, Value, WireError,
};
use proptest::prelude::*;

const UUID: &str = "06bce841-9674-41eb-b763-c071566e7db1";

/// Text that needs care: escapes, NUL, and more than one byte per letter.
const TEXT: &str = "\"quoted\" \\ \n\0\u{7f} äß€ \u{1f600} \u{2028}";

/// The packet of this kind with all the members it can have.
pub(crate) fn full(kind: PacketKind, version: ProtocolVersion) -> Packet {
    all(kind, version).swap_remove(0)
}

/// Packets of one kind, the one with the most members first.
///
/// Schemas of protocol 4 do not tell apart what means the same, a stream that
/// is not one and no stream for example; only protocol 5 gets such packets.
pub(crate) fn all(kind: PacketKind, version: ProtocolVersion) -> Vec<Packet> {
    let v5 = version == ProtocolVersion::V5;
    let bodies: Vec<PacketBody> = match kind {
        PacketKind::Request => requests(v5).into_iter().map(body_of).collect(),
        PacketKind::Response => {
            responses(v5).into_iter().map(|it| PacketBody::Response(Box::new(it))).collect()
        }
        PacketKind::Event => {
            events(v5).into_iter().map(|it| PacketBody::Event(Box::new(it))).collect()
        }
        PacketKind::Discover => vec![PacketBody::Discover],
        PacketKind::Disconnect => vec![PacketBody::Disconnect],
        PacketKind::Info => vec![
            PacketBody::Info(Box::new(info())),
            PacketBody::Info(Box::new(NodeInfo { seq: 1, ..NodeInfo::default() })),
        ],
        PacketKind::Heartbeat => heartbeats(v5).into_iter().map(PacketBody::Heartbeat).collect(),
        PacketKind::Ping => [Some(UUID.into()), None]
            .map(|id| PacketBody::Ping(PingPacket { time: 1_700_000_000_123, id }))
            .into(),
        PacketKind::Pong => [Some("ping 1".into()), None]
            .map(|id| {
                let (time, arrived) = (1_700_000_000_123, -1);
                PacketBody::Pong(PongPacket { time, id, arrived })
            })
            .into(),
        PacketKind::GossipHello => {
            let host = "node-1.example.org".to_owned();
            vec![PacketBody::GossipHello(GossipHello { host, port: 65_535 })]
        }
        PacketKind::GossipRequest => {
            vec![gossip_request(), PacketBody::GossipRequest(GossipRequest::default())]
        }
        PacketKind::GossipResponse => {
            vec![gossip_response(), PacketBody::GossipResponse(GossipResponse::default())]
        }
        // A new kind needs samples here before the suite can know it.
        _ => Vec::new(),
    };
    bodies.into_iter().map(|body| packet(version, body)).collect()
}

pub(crate) fn packet(version: ProtocolVersion, body: PacketBody) -> Packet {
    Packet { version: version.into(), sender: "node-1".into(), body }
}

pub(crate) fn body_of(request: RequestPacket) -> PacketBody {
    PacketBody::Request(Box::new(request))
}

/// A value of the kinds that every serializer carries.
pub(crate) fn plain() -> Value {
    let list = vec![
        Value::Null,
        true.into(),
        false.into(),
        0.into(),
        (-1).into(),
        ((1_i64 << 53) - 1).into(),
        (1 - (1_i64 << 53)).into(),
        0.1.into(),
        (-1.5e300).into(),
        "".into(),
        TEXT.into(),
        Value::Array(vec![]),
        Object::new().into(),
    ];
    Object::from([
        ("list", Value::Array(list)),
        ("", Object::from([("nested", Object::from([(TEXT, 1)]))]).into()),
        ("null", Value::Null),
    ])
    .into()
}

/// Values of the lengths where formats change to wider ones.
pub(crate) fn long() -> Value {
    let lens = [15, 16, 23, 24, 31, 32, 127, 128, 255, 256, 65_535, 65_536];
    let object = |len: usize| (0..len).map(|n| (n.to_string(), n)).collect::<Object>().into();
    let of = |len| {
        let texts = [Value::from("a".repeat(len)), "ä".repeat(len).into()];
        Value::from(vec![texts.to_vec().into(), Value::from(vec![1; len]), object(len)])
    };
    Value::Array(lens.map(of).into())
}

fn meta() -> Object {
    Object::from([
        ("user", Value::from(Object::from([("id", 5)]))),
        ("roles", vec!["admin", TEXT].into()),
        ("null", Value::Null),
        ("ratio", 0.25.into()),
    ])
}

fn headers(v5: bool) -> Option<Object> {
    v5.then(|| Object::from([("accept", "text/plain"), ("note", TEXT)]))
}

fn no_headers(v5: bool) -> Option<Object> {
    v5.then(Object::new)
}

fn requests(v5: bool) -> Vec<RequestPacket> {
    let plain_request = RequestPacket {
        headers: no_headers(v5),
        ..RequestPacket::new(PacketId::from(UUID), "posts.list")
    };
    let full = RequestPacket {
        id: "request 1".into(),
        action: "v2.posts.create".into(),
        params: plain().into(),
        meta: meta(),
        headers: headers(v5),
        timeout: Some(5000.0),
        level: 3,
        tracing: Some(true),
        parent_id: Some(UUID.into()),
        request_id: Some("root".into()),
        caller: Some("v1.users".into()),
        stream: Some(true),
        seq: Some(0),
    };
    let last_chunk = RequestPacket {
        params: Payload::null(),
        timeout: Some(0.0),
        tracing: Some(false),
        stream: Some(false),
        seq: Some(70_000),
        ..plain_request.clone()
    };
    let mut requests = vec![full, plain_request, last_chunk];
    if v5 {
        let no_stream = RequestPacket { stream: Some(false), ..requests[1].clone() };
        requests.push(no_stream);
    }
    requests
}

fn responses(v5: bool) -> Vec<ResponsePacket> {
    let plain_response = ResponsePacket {
        id: PacketId::from(UUID),
        meta: Object::new(),
        headers: no_headers(v5),
        success: true,
        data: Payload::nothing(),
        error: None,
        stream: None,
        seq: None,
    };
    let full = ResponsePacket {
        id: "request 1".into(),
        meta: meta(),
        headers: headers(v5),
        data: plain().into(),
        stream: Some(true),
        seq: Some(3),
        ..plain_response.clone()
    };
    let with_error =
        |error| ResponsePacket { success: false, error: Some(error), ..plain_response.clone() };
    let bare = WireError { name: "Error".to_owned(), ..WireError::default() };
    vec![full, with_error(error()), with_error(bare), plain_response]
}

/// An error with everything that errors carry.
pub(crate) fn error() -> WireError {
    WireError {
        name: "ValidationError".to_owned(),
        message: TEXT.to_owned(),
        node_id: Some("node-2".into()),
        code: Some("ENOENT".into()),
        r#type: Some("VALIDATION_ERROR".to_owned()),
        retryable: Some(false),
        stack: Some("at first\nat second".to_owned()),
        data: Some(Object::from([("field", "title")]).into()),
    }
}

fn events(v5: bool) -> Vec<EventPacket> {
    let plain_event = EventPacket {
        id: Some(UUID.into()),
        event: "user.created".into(),
        data: Payload::null(),
        groups: None,
        broadcast: false,
        meta: Object::new(),
        headers: no_headers(v5),
        level: 1,
        tracing: None,
        parent_id: None,
        request_id: None,
        caller: None,
    };
    let full = EventPacket {
        id: Some("event 1".into()),
        data: plain().into(),
        groups: Some(vec!["mail".into(), TEXT.into()]),
        broadcast: true,
        meta: meta(),
        headers: headers(v5),
        level: 2,
        tracing: Some(false),
        parent_id: Some("parent".into()),
        request_id: Some(UUID.into()),
        caller: Some("users".into()),
        ..plain_event.clone()
    };
    let mut events = vec![full, plain_event.clone()];
    if v5 {
        events.push(EventPacket { id: None, data: Payload::nothing(), ..plain_event });
    }
    events
}

fn heartbeats(v5: bool) -> Vec<HeartbeatPacket> {
    let beat = |cpu| HeartbeatPacket { cpu, ..HeartbeatPacket::default() };
    let mut beats = vec![beat(Some(12.5)), beat(Some(0.0)), beat(Some(100.0))];
    if v5 {
        beats.push(beat(None));
    }
    beats
}

/// A node without the members that only discoverers and gossip carry.
pub(crate) fn info() -> NodeInfo {
    let action = Object::from([("name", "posts.get"), ("rawName", "get")]);
    let service = Object::from([
        ("name", Value::from("posts")),
        ("version", 2.into()),
        ("fullName", "v2.posts".into()),
        ("settings", plain()),
        ("actions", Object::from([("v2.posts.get", action)]).into()),
    ]);
    NodeInfo {
        services: vec![service.into(), Object::from([("name", "$node")]).into()].into(),
        ip_list: vec!["192.0.2.1".to_owned(), "2001:db8::1".to_owned()],
        hostname: "host-1".to_owned(),
        client: ClientInfo {
            kind: "rust".to_owned(),
            version: "0.1.0".to_owned(),
            lang_version: "1.89.0".to_owned(),
        },
        config: Object::from([("key", 1)]),
        instance_id: UUID.to_owned(),
        metadata: meta(),
        seq: 7,
        port: None,
    }
}

fn gossip_request() -> PacketBody {
    let row = |seq, cpu| OnlineRow { seq, cpu_seq: seq + 1, cpu };
    PacketBody::GossipRequest(GossipRequest {
        online: vec![("node-1".into(), row(1, 12.5)), ("nöde".into(), row(1 << 40, 0.0))],
        offline: vec![("node-3".into(), 9)],
    })
}

fn gossip_response() -> PacketBody {
    let node = Some(Arc::new(NodeInfo { port: Some(4000), ..info() }));
    let rows = [(node.clone(), Some((3, 7.5))), (None, Some((4, 100.0))), (node, None)];
    let ids = ["node-1", "node-2", "node-4"].into_iter();
    let online = ids.zip(rows).map(|(id, (info, cpu))| (id.into(), NewsRow { info, cpu }));
    PacketBody::GossipResponse(GossipResponse {
        online: online.collect(),
        offline: vec![("node-3".into(), 10)],
    })
}

prop_compose! {
    /// Requests in the range that protocol 4's schemas can hold.
    pub(crate) fn any_request()(
        (id, action, caller) in (".{1,40}", ".{0,90}", prop::option::of(".{1,9}")),
        (parent, meta) in (
            prop::option::of(".{1,9}"),
            prop::collection::vec((".{0,9}", any::<i32>()), 0..4),
        ),
        timeout in prop::option::of(any::<u32>()),
        level in 0..=i32::MAX as u32,
        tracing: Option<bool>,
        (stream, seq) in prop_oneof![
            Just((None, None)),
            (Just(Some(true)), prop::option::of(0..=i32::MAX as u64)),
            (prop::option::of(Just(false)), (1..=i32::MAX as u64).prop_map(Some)),
        ],
        params in prop_oneof![
            Just(Payload::nothing()),
            Just(Payload::null()),
            ".{0,200}".prop_map(Payload::new),
        ],
    ) -> RequestPacket {
        RequestPacket {
            params,
            meta: meta.into_iter().collect(),
            timeout: timeout.map(f64::from),
            level,
            tracing,
            parent_id: parent.map(|id| PacketId::from(&*id)),
            request_id: Some(PacketId::from(&*id)),
            caller: caller.map(Into::into),
            stream,
            seq,
            ..RequestPacket::new(PacketId::from(&*id), action)
        }
    }
}
