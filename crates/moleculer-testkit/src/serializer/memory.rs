//! Decoding takes no more than 64 times the input plus 64 KiB, also where
//! much fits into few bytes.

use moleculer_protocol::{
    GossipRequest, GossipResponse, NewsRow, NodeInfo, Object, OnlineRow, Packet, PacketBody,
    PacketKind, Value,
};

use super::{
    Case, Outcome, samples,
    subject::{Subject, bounded},
};
use crate::compare;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("memory::lists_of_small_values_are_bounded", lists),
        Case::new("memory::objects_of_many_members_are_bounded", objects),
        Case::new("memory::events_for_many_groups_are_bounded", groups),
        Case::new("memory::gossip_of_many_nodes_is_bounded", gossip),
    ]
}

/// Sends a packet, and reads its payload, within the bound.
fn check(subject: &Subject, what: &str, packet: &Packet) -> Outcome {
    let bytes = subject.encode(packet)?;
    let kind = packet.kind();
    let decode = || subject.serializer().decode(kind, &bytes);
    let read = bounded(&format!("{kind} of {what}"), bytes.len(), decode)?;
    let read = read.map_err(|error| format!("{kind} of {what}: {error}"))?;
    subject.compare(packet, &read)
}

/// As params, which are read later, and in an INFO, which is built at once.
fn check_value(subject: &Subject, what: &str, value: &Value) -> Outcome {
    let bytes = subject.encode_value(value)?;
    let format = subject.format();
    let decode = || format.decode::<Value>(&bytes);
    let read = bounded(what, bytes.len(), decode)?.map_err(|error| format!("{what}: {error}"))?;
    if let Some(difference) = compare::difference(value, &read) {
        return Err(format!("{what}: {difference}"));
    }
    let services = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let info = NodeInfo { services: services.into(), ..NodeInfo::default() };
    let info = PacketBody::Info(Box::new(info));
    check(subject, what, &samples::packet(subject.version(), info))
}

/// Just above a power of two, where a growing list wastes most.
fn lists(subject: &Subject) -> Outcome {
    let list = |len| Value::Array(vec![Value::Null; len]);
    let object =
        |members: &[(&str, Value)]| -> Value { members.iter().cloned().collect::<Object>().into() };
    let deep = |wrap: fn(Value) -> Value| (0..100).fold(Value::Null, |inner, _| wrap(inner));
    let in_list: fn(Value) -> Value = |inner| Value::Array(vec![inner]);
    let in_object: fn(Value) -> Value = |inner| Object::from([("", inner)]).into();
    let many: Vec<_> =
        ["", "a", "b", "c", "d", "e", "f", "g", "h"].map(|k| (k, Value::Null)).into();
    let small = [
        Value::Null,
        0.into(),
        "".into(),
        "a".into(),
        list(0),
        list(1),
        list(2),
        list(4),
        list(5),
        object(&[]),
        object(&[("", Value::Null)]),
        object(&[("", Value::Null), ("a", Value::Null)]),
        object(&[("", object(&[]))]),
        object(&[("", list(1))]),
        in_list(in_list(in_list(in_list(0.into())))),
    ];
    let large = [deep(in_list), deep(in_object), object(&many)];
    let parts = small.map(|part| (part, 8200)).into_iter();
    for (part, len) in parts.chain(large.map(|part| (part, 1030))) {
        let what = format!("{len} times {}", compare::short(&part));
        check_value(subject, &what, &Value::Array(vec![part; len]))?;
    }
    Ok(())
}

fn objects(subject: &Subject) -> Outcome {
    for members in [1, 8, 9, 14, 15, 28, 29, 127, 1000, 7200, 70_000] {
        let object: Object = (0..members).map(|n| (format!("{n:x}"), Value::Null)).collect();
        check_value(subject, &format!("an object of {members} members"), &object.into())?;
    }
    Ok(())
}

fn groups(subject: &Subject) -> Outcome {
    let mut packet = samples::full(PacketKind::Event, subject.version());
    if let PacketBody::Event(event) = &mut packet.body {
        event.groups = Some(vec!["".into(); 8200]);
    }
    check(subject, "many groups", &packet)
}

fn gossip(subject: &Subject) -> Outcome {
    let ids = |count: u32| (0..count).map(|n| format!("{n:x}").into());
    for count in [9, 29, 8200] {
        let row = OnlineRow { seq: 1, cpu_seq: 0, cpu: 0.0 };
        let request = GossipRequest {
            online: ids(count).map(|id| (id, row)).collect(),
            offline: ids(count).map(|id| (id, 1)).collect(),
        };
        let row = NewsRow { info: None, cpu: Some((0, 0.0)) };
        let response = GossipResponse {
            online: ids(count).map(|id| (id, row.clone())).collect(),
            offline: ids(count).map(|id| (id, 1)).collect(),
        };
        for body in [PacketBody::GossipRequest(request), PacketBody::GossipResponse(response)] {
            let packet = samples::packet(subject.version(), body);
            check(subject, &format!("{count} nodes"), &packet)?;
        }
    }
    Ok(())
}
