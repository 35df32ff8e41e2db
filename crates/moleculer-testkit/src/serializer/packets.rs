//! Packets arrive as they were sent.

use bytes::BytesMut;
use moleculer_protocol::{HeartbeatPacket, NodeInfo, PacketBody, PacketKind, ProtocolVersion};

use super::{
    Case, Extra, Outcome, ensure, samples,
    subject::{Subject, for_all, refused, shown},
};

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V4, ProtocolVersion::V5];

pub(super) fn cases(subject: &Subject) -> Vec<Case> {
    let mut cases = vec![
        Case::new("packets::any_request_arrives_unchanged", any_request),
        Case::new("packets::encoding_appends", appends),
        Case::new("packets::same_input_same_output", pure),
        Case::new("packets::a_packet_passed_on_keeps_its_bytes", passed_on),
        Case::new("packets::discoverer_members_are_as_declared", discoverer_members),
    ];
    for version in VERSIONS {
        if !subject.serializer().protocols().contains(&version) {
            let name = format!("packets::protocol_{version}_is_refused_or_arrives_whole");
            cases.push(Case::new(name, move |subject| other_protocol(subject, version)));
            continue;
        }
        cases.extend(PacketKind::ALL.map(|kind| {
            Case::new(
                format!("packets::{kind}_of_protocol_{version}_arrives_unchanged"),
                move |s| {
                    let packets = samples::all(kind, version);
                    ensure!(!packets.is_empty(), "the suite has no {kind} packets");
                    packets.iter().try_for_each(|packet| s.compare(packet, &s.send(packet)?))
                },
            )
        }));
    }
    cases
}

/// A packet of a protocol that has no place in the format must not be sent in
/// part.
fn other_protocol(subject: &Subject, version: ProtocolVersion) -> Outcome {
    for packet in PacketKind::ALL.into_iter().flat_map(|kind| samples::all(kind, version)) {
        match subject.serializer().encode(&packet, &mut BytesMut::new()) {
            Ok(()) => subject.compare(&packet, &subject.send(&packet)?)?,
            Err(error) => drop(refused(packet.kind(), &error.to_string())?),
        }
    }
    Ok(())
}

fn any_request(subject: &Subject) -> Outcome {
    for_all(&samples::any_request(), |request| {
        let packet = samples::packet(subject.version(), samples::body_of(request));
        subject.compare(&packet, &subject.send(&packet)?)
    })
}

fn appends(subject: &Subject) -> Outcome {
    for packet in subject.samples() {
        let mut out = BytesMut::from(&b"before"[..]);
        let result = subject.serializer().encode(&packet, &mut out);
        result.map_err(|error| error.to_string())?;
        let expected = [b"before", &subject.encode(&packet)?[..]].concat();
        ensure!(out == expected, "{} became {}", packet.kind(), shown(&out));
    }
    Ok(())
}

fn pure(subject: &Subject) -> Outcome {
    let all: Vec<_> = subject.samples().collect();
    let encode = || all.iter().map(|packet| subject.encode(packet)).collect::<Outcome<Vec<_>>>();
    let first = encode()?;
    let decode = || -> Outcome {
        all.iter().zip(&first).try_for_each(|(packet, bytes)| {
            subject.compare(packet, &subject.decode(packet.kind(), bytes)?)
        })
    };
    decode()?;
    decode()?;
    ensure!(encode()? == first, "the same packets became other bytes when encoded again");
    Ok(())
}

fn passed_on(subject: &Subject) -> Outcome {
    let version = subject.version();
    for packet in PacketKind::ALL.into_iter().flat_map(|kind| samples::all(kind, version)) {
        let bytes = subject.encode(&packet)?;
        let again = subject.encode(&subject.decode(packet.kind(), &bytes)?)?;
        let (first, then) = (shown(&bytes), shown(&again));
        ensure!(again == bytes, "{}: first {first}, then {then}", packet.kind());
    }
    Ok(())
}

fn discoverer_members(subject: &Subject) -> Outcome {
    let beat = HeartbeatPacket {
        cpu: Some(57.0),
        seq: Some(2),
        instance_id: Some("06bce841-9674-41eb-b763-c071566e7db1".to_owned()),
    };
    let info = NodeInfo { port: Some(40_123), ..samples::info() };
    let bodies = [PacketBody::Heartbeat(beat), PacketBody::Info(Box::new(info))];
    let declared = subject.carries(Extra::DiscovererMembers);
    for body in bodies {
        let sent = samples::packet(subject.version(), body);
        let mut received = subject.send(&sent)?;
        match subject.compare(&sent, &received) {
            result if declared => result?,
            Ok(()) => return Err("they arrive: declare Extra::DiscovererMembers".to_owned()),
            Err(_) => {
                // Everything else arrives.
                match (&sent.body, &mut received.body) {
                    (PacketBody::Heartbeat(beat), PacketBody::Heartbeat(received)) => {
                        received.seq = beat.seq;
                        received.instance_id.clone_from(&beat.instance_id);
                    }
                    (PacketBody::Info(info), PacketBody::Info(received)) => {
                        received.port = info.port;
                    }
                    _ => {}
                }
                subject.compare(&sent, &received)?;
            }
        }
    }
    Ok(())
}
