//! Bytes that no well-behaved node sends.

use bytes::Bytes;
use moleculer_protocol::{Packet, PacketKind, Payload, Value, format::Compound};
use proptest::prelude::*;

use super::{
    Case, Extra, Outcome, ensure, samples,
    subject::{Subject, bounded, for_all, payload, shown},
    tokens,
};

/// More than a stack holds: 2 MiB leave 200 bytes for each.
pub(super) const LEVELS: usize = 10_000;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("hostile::truncated_packets_are_refused", truncated),
        Case::new("hostile::bytes_after_the_end_are_refused", trailing),
        Case::new("hostile::a_changed_byte_does_no_harm", changed),
        Case::new("hostile::several_changes_do_no_harm", several_changes),
        Case::new("hostile::lengths_that_lie_do_no_harm", lying_lengths),
        Case::new("hostile::random_bytes_do_no_harm", random),
        Case::new("hostile::no_packet_is_refused", no_packet),
        Case::new("hostile::params_nested_too_deep_are_refused", nested),
    ]
}

/// The bytes of packets of all kinds.
fn encoded(subject: &Subject) -> Outcome<Vec<(PacketKind, Bytes)>> {
    let encode = |packet: Packet| Ok((packet.kind(), subject.encode(&packet)?));
    subject.samples().map(encode).collect()
}

fn truncated(subject: &Subject) -> Outcome {
    let version = subject.version();
    let mut read = Vec::new();
    for packet in PacketKind::ALL.into_iter().flat_map(|kind| samples::all(kind, version)) {
        let bytes = subject.encode(&packet)?;
        for len in 0..bytes.len() {
            if subject.check(packet.kind(), &bytes.slice(..len))?.is_ok() {
                read.push(format!("{} cut to {len} bytes of {}", packet.kind(), shown(&bytes)));
            }
        }
    }
    match (read.first(), subject.carries(Extra::OpenEnd)) {
        (Some(read), false) => Err(format!("{read} was read")),
        (None, true) => Err("all are refused: do not declare Extra::OpenEnd".to_owned()),
        _ => Ok(()),
    }
}

/// White space is all that may follow.
fn trailing(subject: &Subject) -> Outcome {
    for packet in subject.samples() {
        let kind = packet.kind();
        let bytes = subject.encode(&packet)?;
        for byte in 0..=u8::MAX {
            let longer = Bytes::from([&bytes[..], &[byte]].concat());
            if let Ok(read) = subject.check(kind, &longer)? {
                let same = byte.is_ascii_whitespace() && subject.compare(&packet, &read).is_ok();
                ensure!(same, "{kind} followed by {byte:#04x} was read");
            }
        }
        let twice = subject.check(kind, &[&bytes[..], &bytes].concat().into())?;
        ensure!(twice.is_err() || subject.carries(Extra::OpenEnd), "two {kind} were read as one");
    }
    Ok(())
}

fn changed(subject: &Subject) -> Outcome {
    for (kind, bytes) in encoded(subject)? {
        for at in 0..bytes.len() {
            for mask in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = bytes.to_vec();
                changed[at] ^= mask;
                drop(subject.check(kind, &changed.into())?);
            }
        }
    }
    Ok(())
}

fn several_changes(subject: &Subject) -> Outcome {
    let all = encoded(subject)?;
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    for_all(&(prop::sample::select(all), changes), |((kind, bytes), changes)| {
        let mut bytes = bytes.to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        subject.check(kind, &bytes.into()).map(drop)
    })
}

/// What looks like a large length in one format or another: fixed widths in
/// either byte order, varints, and digits. Written over each byte, and put
/// before it.
fn lying_lengths(subject: &Subject) -> Outcome {
    const LENGTHS: [&[u8]; 8] = [
        &[0xff; 4],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0x00, 0x10, 0x00, 0x00],
        &[0xff; 9],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x80, 0x80, 0x80, 0x80, 0x04],
        b"999999999",
    ];
    for (kind, bytes) in encoded(subject)? {
        for at in 0..bytes.len() {
            for length in LENGTHS {
                let (before, after) = bytes.split_at(at);
                let over = after.get(length.len()..).unwrap_or_default();
                for after in [over, after] {
                    let lying = [before, length, after].concat();
                    drop(subject.check(kind, &lying.into())?);
                }
            }
        }
    }
    Ok(())
}

fn random(subject: &Subject) -> Outcome {
    let kinds = prop::sample::select(PacketKind::ALL.to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 0..100);
    for_all(&(kinds, bytes), |(kind, bytes)| {
        let format = subject.format();
        let decode = || format.decode::<Value>(&bytes);
        drop(bounded("decoding a value", bytes.len(), decode)?);
        subject.check(kind, &bytes.into()).map(drop)
    })
}

/// Nothing at all, and values that are no packets.
fn no_packet(subject: &Subject) -> Outcome {
    let values = [Value::Null, 5.into(), "x".into(), true.into(), Value::Array(vec![])];
    let mut all = values.iter().map(|v| subject.encode_value(v)).collect::<Outcome<Vec<_>>>()?;
    all.extend([Bytes::new(), Bytes::from_static(&[0; 64]), Bytes::from_static(&[0xff; 64])]);
    for kind in PacketKind::ALL {
        for bytes in &all {
            let result = subject.check(kind, bytes)?;
            let empty = bytes.is_empty() && subject.carries(Extra::OpenEnd);
            ensure!(result.is_err() || empty, "{kind}: {} was read", shown(bytes));
        }
    }
    Ok(())
}

/// The packet is read, since its params are not; they are refused by whoever
/// wants them as a value.
fn nested(subject: &Subject) -> Outcome {
    for compound in [Compound::Array, Compound::Object] {
        let deep = tokens::nested(subject.format(), compound, LEVELS)?;
        let half = deep.slice(..deep.len() / 2);
        for params in [deep, half] {
            let packet = subject.request(Payload::encoded(params, subject.format()));
            let bytes = subject.encode(&packet)?;
            let Ok(read) = subject.check(PacketKind::Request, &bytes)? else { continue };
            let payload = payload(&read);
            ensure!(payload.to_value().is_err(), "{LEVELS} levels were read");
        }
    }
    Ok(())
}
