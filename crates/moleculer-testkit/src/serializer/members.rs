//! Packets that are objects: members may be unknown, missing, wrong, too deep.

use bytes::Bytes;
use moleculer_protocol::{Object, Packet, PacketKind, Value, format::Compound};

use super::{
    Case, Extra, Outcome, ensure,
    hostile::LEVELS,
    subject::{Subject, payload},
    tokens::{self, Member},
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![Case::new("members::are_as_declared", as_declared)];
    let rule = |name, run| Case::new(name, run).needs(Extra::Members);
    cases.extend([
        rule("members::unknown_ones_are_ignored", unknown as fn(&Subject) -> Outcome),
        rule("members::come_in_any_order", any_order),
        rule("members::undefined_is_absent", undefined),
        rule("members::a_missing_one_is_named", missing),
        rule("members::one_of_the_wrong_type_is_named", wrong_type),
        rule("members::nested_too_deep_are_refused_or_ignored", nested),
    ]);
    cases
}

/// The members of a packet, each encoded.
fn members(subject: &Subject, packet: &Packet) -> Outcome<Vec<Member>> {
    let bytes = subject.encode(packet)?;
    let object = subject.format().decode::<Object>(&bytes).map_err(|error| error.to_string())?;
    let encode = |(key, value)| Ok((key, subject.encode_value(&value)?));
    object.into_iter().map(encode).collect()
}

fn object(subject: &Subject, members: &[Member]) -> Outcome<Bytes> {
    tokens::object(subject.format(), members)
}

fn as_declared(subject: &Subject) -> Outcome {
    let found = subject.samples().all(|packet| {
        members(subject, &packet).is_ok_and(|all| all.iter().any(|(key, _)| key == "sender"))
    });
    let declared = subject.carries(Extra::Members);
    ensure!(found || !declared, "packets are no objects of the value format");
    ensure!(declared || !found, "packets are objects of the value format: declare Extra::Members");
    Ok(())
}

fn unknown(subject: &Subject) -> Outcome {
    let mut odd = vec![("unknown".to_owned(), Value::Null), ("".to_owned(), 5.into())];
    odd.push(("$prototype".to_owned(), Object::from([("sender", "another")]).into()));
    for packet in subject.samples() {
        let members = members(subject, &packet)?;
        for (key, value) in &odd {
            let extra = (key.clone(), subject.encode_value(value)?);
            for at in [0, 1, members.len()] {
                let mut more = members.clone();
                more.insert(at, extra.clone());
                let read = subject.decode(packet.kind(), &object(subject, &more)?)?;
                subject.compare(&packet, &read)?;
            }
        }
    }
    Ok(())
}

fn any_order(subject: &Subject) -> Outcome {
    for packet in subject.samples() {
        let mut members = members(subject, &packet)?;
        members.reverse();
        let read = subject.decode(packet.kind(), &object(subject, &members)?)?;
        subject.compare(&packet, &read)?;
    }
    Ok(())
}

/// Where the format has `undefined`; elsewhere there is nothing to see.
fn undefined(subject: &Subject) -> Outcome {
    let Ok(undefined) = subject.encode_value(&vec![Value::Undefined].into()) else {
        return Ok(());
    };
    let list = subject.format().decode::<Value>(&undefined).map_err(|error| error.to_string())?;
    if list != vec![Value::Undefined].into() {
        return Ok(());
    }
    let undefined = subject.encode_value(&Value::Undefined)?;
    for packet in subject.samples() {
        let members = members(subject, &packet)?;
        for (at, (key, _)) in members.iter().enumerate() {
            let (mut without, mut with) = (members.clone(), members.clone());
            without.remove(at);
            with[at].1 = undefined.clone();
            let [without, with] = [without, with].map(|members| {
                subject
                    .serializer()
                    .decode(packet.kind(), &object(subject, &members)?)
                    .map_err(|error| error.to_string())
            });
            match (without, with) {
                (Ok(without), Ok(with)) => subject.compare(&without, &with)?,
                (Err(_), Err(error)) => {
                    ensure!(error.contains(&**key), "{error:?} does not name {key}");
                }
                (without, with) => {
                    let kind = packet.kind();
                    return Err(format!("{kind}: {key}: absent {without:?}, undefined {with:?}"));
                }
            }
        }
    }
    Ok(())
}

/// What each kind cannot do without.
const fn needed(kind: PacketKind) -> &'static [&'static str] {
    match kind {
        PacketKind::Request => &["id", "action", "sender"],
        PacketKind::Response => &["id", "sender"],
        PacketKind::Event => &["event", "sender"],
        PacketKind::Ping => &["time", "sender"],
        PacketKind::Pong => &["time", "arrived", "sender"],
        PacketKind::GossipHello => &["host", "port", "sender"],
        _ => &["sender"],
    }
}

fn missing(subject: &Subject) -> Outcome {
    for packet in subject.samples() {
        let kind = packet.kind();
        let members = members(subject, &packet)?;
        for (at, (key, _)) in members.iter().enumerate() {
            let mut fewer = members.clone();
            fewer.remove(at);
            let result = subject.check(kind, &object(subject, &fewer)?)?;
            match (result, needed(kind).contains(&&**key)) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    ensure!(error.contains(&**key), "{error:?} does not name {key}");
                }
                (Ok(_), true) => return Err(format!("{kind} without {key} was read")),
                (Err(error), false) => return Err(format!("{kind} without {key}: {error}")),
            }
        }
    }
    Ok(())
}

fn wrong_type(subject: &Subject) -> Outcome {
    let object_of = |value: Value| Value::from(Object::from([("a", value)]));
    let list_of = |value: Value| Value::Array(vec![value]);
    let wrong = [
        Value::Null,
        true.into(),
        5.into(),
        (-1).into(),
        1.5.into(),
        1e300.into(),
        u64::MAX.into(),
        "x".into(),
        "".into(),
        Value::Array(vec![]),
        list_of(Value::Array(vec![])),
        list_of(Value::Null),
        Object::new().into(),
        object_of(1.into()),
        object_of(Value::Array(vec![])),
        object_of(list_of((-1).into())),
        object_of(Value::Array(vec![Object::new().into(), (-1).into(), Object::new().into()])),
    ];
    for packet in subject.samples() {
        let members = members(subject, &packet)?;
        for (at, (key, _)) in members.iter().enumerate() {
            for value in &wrong {
                let mut changed = members.clone();
                changed[at].1 = subject.encode_value(value)?;
                let result = subject.check(packet.kind(), &object(subject, &changed)?)?;
                if let Err(error) = result {
                    ensure!(error.contains(&**key), "{error:?} on {key} = {value:?}");
                }
            }
        }
    }
    Ok(())
}

/// Refused, ignored, or left undecoded until somebody wants it.
fn nested(subject: &Subject) -> Outcome {
    for compound in [Compound::Array, Compound::Object] {
        let deep = tokens::nested(subject.format(), compound, LEVELS)?;
        for packet in subject.samples() {
            let kind = packet.kind();
            let members = members(subject, &packet)?;
            let mut more = members.clone();
            more.push(("unknown".to_owned(), deep.clone()));
            if let Err(error) = subject.check(kind, &object(subject, &more)?)? {
                ensure!(error.contains("unknown"), "{error:?} does not name the member");
            }
            for (at, (key, _)) in members.iter().enumerate() {
                let mut changed = members.clone();
                changed[at].1 = deep.clone();
                match subject.check(kind, &object(subject, &changed)?)? {
                    Err(error) => ensure!(error.contains(&**key), "{error:?} does not name {key}"),
                    Ok(packet) if matches!(&**key, "params" | "data") => {
                        let value = payload(&packet).to_value();
                        ensure!(value.is_err(), "{kind}: {key} is read at any depth");
                    }
                    Ok(_) => ensure!(key == "needAck", "{kind}: {key} is read at any depth"),
                }
            }
        }
    }
    Ok(())
}
