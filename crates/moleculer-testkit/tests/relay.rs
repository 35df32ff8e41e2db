//! A node that relays dynamic values changes nothing, whatever serializers it
//! stands between and whatever kinds of values they carry.

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    JsonSerializer, Object, Packet, PacketBody, PacketId, Payload, ProtocolVersion, RequestPacket,
    Serializer, Value,
};
use moleculer_serializer_avro::AvroSerializer;
use moleculer_serializer_cbor::CborSerializer;
use moleculer_serializer_json_ext::JsonExtSerializer;
use moleculer_serializer_msgpack::MsgPackSerializer;
use moleculer_serializer_protobuf::ProtoBufSerializer;
use moleculer_serializer_thrift::ThriftSerializer;
use moleculer_testkit::serializer::{Extra, any_value, difference};
use proptest::prelude::*;

/// A serializer, and the kinds that its conformance test declares.
type Node = (Box<dyn Serializer>, Vec<Extra>);

fn nodes() -> Vec<Node> {
    use Extra::{
        BigInt, Bytes, Date, InvalidDate, NegativeZero, NonFinite, RegExp, Set, TypedArray,
        Undefined, WholeBytes, WideInt,
    };
    let msgpack = vec![WideInt, WholeBytes, Bytes, Date, NegativeZero, NonFinite];
    let cbor = [
        &[WholeBytes, Bytes, Undefined, NegativeZero, NonFinite, Date, InvalidDate][..],
        &[BigInt, TypedArray, Set, RegExp],
    ];
    let json_ext = vec![WideInt, WholeBytes, Bytes, Date, BigInt, Set, RegExp];
    vec![
        (Box::new(JsonSerializer), vec![WideInt]),
        (Box::new(JsonExtSerializer), json_ext),
        (Box::new(MsgPackSerializer::new()), msgpack.clone()),
        (Box::new(MsgPackSerializer::notepack()), msgpack),
        (Box::new(CborSerializer::new()), cbor.concat()),
        (Box::new(AvroSerializer), vec![WideInt, WholeBytes]),
        (Box::new(ProtoBufSerializer), vec![WideInt, WholeBytes]),
        (Box::new(ThriftSerializer), vec![WideInt, WholeBytes]),
    ]
}

/// What all nodes of a route carry.
fn common(route: &[usize]) -> Vec<Extra> {
    let nodes = nodes();
    let carried = |extra: &Extra| route.iter().all(|&at| nodes[at].1.contains(extra));
    Extra::VALUES.into_iter().filter(carried).collect()
}

fn packet(params: Payload, meta: Value) -> Packet {
    let mut request = RequestPacket::new(PacketId::from("1"), "posts.get");
    request.params = params;
    request.meta = Object::from([("value", meta)]);
    let version = ProtocolVersion::V4.into();
    Packet { version, sender: "n".into(), body: PacketBody::Request(Box::new(request)) }
}

/// Over the wire, and out of the packet as a node's handler sees it.
fn hop(serializer: &dyn Serializer, sent: (Payload, Value)) -> (Payload, Value) {
    let packet = packet(sent.0, sent.1);
    let mut out = BytesMut::new();
    serializer.encode(&packet, &mut out).expect("a packet");
    match serializer.decode(packet.kind(), &out.freeze()).expect("a packet").body {
        PacketBody::Request(request) => {
            (request.params, request.meta.get("value").cloned().unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

fn route() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..nodes().len(), 2..5)
}

fn route_and_value() -> impl Strategy<Value = (Vec<usize>, Value)> {
    route().prop_flat_map(|route| {
        let values = any_value(&common(&route));
        (Just(route), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each node takes the value out and sends it on.
    #[test]
    fn values_taken_and_sent_on_arrive_unchanged((route, value) in route_and_value()) {
        // What is binary as a whole is the next test's.
        prop_assume!(!matches!(value, Value::Bytes(_)));
        let mut passed = (Payload::from(value.clone()), value.clone());
        for at in &route {
            let (params, meta) = hop(&*nodes()[*at].0, passed);
            passed = (params.take::<Value>().expect("a value").into(), meta);
        }
        let params = passed.0.to_value().expect("a value");
        prop_assert_eq!(difference(&value, &params), None, "params over {:?}", route);
        prop_assert_eq!(difference(&value, &passed.1), None, "meta over {:?}", route);
    }

    /// Each node sends on what it received, encoded in another format.
    #[test]
    fn payloads_sent_on_untouched_arrive_unchanged((route, value) in route_and_value()) {
        prop_assume!(!matches!(value, Value::Bytes(_)));
        let mut passed = (Payload::from(value.clone()), Value::Null);
        for at in &route {
            passed = hop(&*nodes()[*at].0, passed);
        }
        let params = passed.0.to_value().expect("a value");
        prop_assert_eq!(difference(&value, &params), None, "over {:?}", route);
    }

    #[test]
    fn binary_params_arrive_as_bytes(
        route in route().prop_filter("all carry them", |route| {
            common(route).contains(&Extra::WholeBytes)
        }),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = Bytes::from(bytes);
        let mut passed = (Payload::new(bytes.clone()), Value::Null);
        for at in &route {
            passed = hop(&*nodes()[*at].0, passed);
        }
        prop_assert_eq!(passed.0.take::<Bytes>().expect("bytes"), bytes, "over {:?}", route);
    }
}
