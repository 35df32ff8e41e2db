//! Serializers that break one rule each, and the case that says so.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use moleculer_protocol::{
    DecodeError, EncodeError, Format, JsonSerializer, Object, Packet, PacketBody, PacketKind,
    Payload, ProtocolVersion, Serializer, Value, json,
};

use super::{
    Extra::{self, DiscovererMembers, Members},
    cases,
    subject::Subject,
};

type Encode = fn(&Packet, &mut BytesMut) -> Result<(), EncodeError>;
type Decode = fn(PacketKind, &Bytes) -> Result<Packet, DecodeError>;

/// JSON with a defect.
#[derive(Debug)]
struct Broken {
    encode: Encode,
    decode: Decode,
    protocols: &'static [ProtocolVersion],
}

const SOUND: Broken = Broken {
    encode: |packet, out| JsonSerializer.encode(packet, out),
    decode: |kind, bytes| JsonSerializer.decode(kind, bytes),
    protocols: &[ProtocolVersion::V4, ProtocolVersion::V5],
};

impl Serializer for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }
    fn format(&self) -> Format {
        Format::Json
    }
    fn protocols(&self) -> &'static [ProtocolVersion] {
        self.protocols
    }
    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError> {
        (self.encode)(packet, out)
    }
    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
        (self.decode)(kind, bytes)
    }
}

fn run(serializer: Broken, carries: &[Extra], case: &str) -> Result<(), String> {
    let subject = Subject::new(serializer, carries);
    let case = cases(&subject).into_iter().find(|it| it.name == case);
    (case.expect("a case of this name").run)(&subject)
}

#[track_caller]
fn check(serializer: Broken, case: &str, message: &str) {
    check_extras(serializer, &[Members, DiscovererMembers], case, message);
}

#[track_caller]
fn check_extras(serializer: Broken, carries: &[Extra], case: &str, message: &str) {
    let error = run(serializer, carries, case).expect_err(case);
    assert!(error.contains(message), "{case} says {error}");
    assert_eq!(run(SOUND, &[Members, DiscovererMembers], case), Ok(()), "{case}");
}

fn decoding(decode: Decode) -> Broken {
    Broken { decode, ..SOUND }
}

fn encoding(encode: Encode) -> Broken {
    Broken { encode, ..SOUND }
}

fn sound(kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError> {
    JsonSerializer.decode(kind, bytes)
}

#[test]
fn a_lost_member_is_found() {
    let broken = decoding(|kind, bytes| {
        let mut packet = sound(kind, bytes)?;
        if let PacketBody::Request(request) = &mut packet.body {
            request.level = 1;
        }
        Ok(packet)
    });
    let case = "packets::REQ_of_protocol_5_arrives_unchanged";
    check(broken, case, "REQ: level: expected 3, found 1");
}

#[test]
fn a_protocol_must_not_be_carried_in_part() {
    let broken = Broken {
        protocols: &[ProtocolVersion::V4],
        encode: |packet, out| {
            let mut packet = packet.clone();
            if let PacketBody::Event(event) = &mut packet.body {
                event.headers = None;
            }
            JsonSerializer.encode(&packet, out)
        },
        ..SOUND
    };
    let case = "packets::protocol_5_is_refused_or_arrives_whole";
    let error = run(broken, &[Members, DiscovererMembers], case).expect_err("broken");
    assert!(error.starts_with("EVENT: headers: expected"), "{error}");
}

#[test]
fn encoding_must_append() {
    let broken = encoding(|packet, out| {
        out.clear();
        JsonSerializer.encode(packet, out)
    });
    check(broken, "packets::encoding_appends", "EVENT became");
}

#[test]
fn state_is_found() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let broken = encoding(|packet, out| {
        JsonSerializer.encode(packet, out)?;
        if CALLS.fetch_add(1, Ordering::Relaxed) % 12 == 11 {
            out.put_u8(b' ');
        }
        if CALLS.load(Ordering::Relaxed) > 12 {
            out.put_u8(b' ');
        }
        Ok(())
    });
    check(broken, "packets::same_input_same_output", "other bytes when encoded again");
}

#[test]
fn a_payload_decoded_too_early_is_found() {
    let broken = decoding(|kind, bytes| {
        let mut packet = sound(kind, bytes)?;
        if let PacketBody::Event(event) = &mut packet.body {
            event.data = event.data.to_value()?.into();
        }
        Ok(packet)
    });
    let case = "payloads::stay_encoded_in_the_packets_buffer";
    check(broken, case, "EVENT with a small payload takes");
}

#[test]
fn a_copied_payload_is_found() {
    let broken = decoding(|kind, bytes| sound(kind, &Bytes::copy_from_slice(bytes)));
    let case = "payloads::stay_encoded_in_the_packets_buffer";
    check(broken, case, "it is copied or read too early");
}

#[test]
fn null_for_absent_is_found() {
    let broken = decoding(|kind, bytes| {
        let mut packet = sound(kind, bytes)?;
        if let PacketBody::Response(response) = &mut packet.body
            && response.data.is_nothing()
        {
            response.data = Payload::null();
        }
        Ok(packet)
    });
    let case = "payloads::absent_null_and_empty_are_apart";
    check(broken, case, "RES: expected undefined, found null");
}

#[test]
fn declarations_must_be_exact() {
    let declared = [Members, DiscovererMembers, Extra::Date];
    check_extras(SOUND, &declared[..1], "packets::discoverer_members_are_as_declared", "declare");
    let message = "they arrive: declare Extra::DiscovererMembers";
    check_extras(SOUND, &[], "packets::discoverer_members_are_as_declared", message);
    check_extras(SOUND, &[], "members::are_as_declared", "declare Extra::Members");
    let error = run(SOUND, &declared, "values::Date_is_as_declared").expect_err("JSON has none");
    assert!(error.contains("expected Date(0.0), found \"1970-01-01T00:00:00.000Z\""), "{error}");
    let declared = [Members, Extra::OpenEnd];
    let message = "do not declare Extra::OpenEnd";
    check_extras(SOUND, &declared, "hostile::truncated_packets_are_refused", message);
}

#[test]
fn what_is_not_carried_must_come_to_rest() {
    // A text for each date, and a longer one at each node.
    let broken = decoding(|kind, bytes| {
        let mut packet = sound(kind, bytes)?;
        if let PacketBody::Request(request) = &mut packet.body
            && let Value::Array(mut items) = request.params.to_value()?
            && let Some(Value::String(text)) = items.get_mut(1)
        {
            text.push('!');
            request.params = Value::Array(items).into();
        }
        Ok(packet)
    });
    check(broken, "values::Date_is_as_declared", "the next node changes again");
}

#[test]
fn unknown_members_must_be_ignored() {
    let broken = decoding(|kind, bytes| {
        let packet = sound(kind, bytes)?;
        let members = json::from_slice::<Object>(bytes)?;
        match members.contains_key("unknown") {
            true => Err(DecodeError::new(format!("{kind}: unknown"))),
            false => Ok(packet),
        }
    });
    check(broken, "members::unknown_ones_are_ignored", "EVENT cannot be decoded");
}

#[test]
fn errors_must_name_packet_and_member() {
    let nameless =
        decoding(|kind, bytes| sound(kind, bytes).map_err(|_| DecodeError::new("it is broken")));
    let message = "the error does not name EVENT: it is broken";
    check(nameless, "hostile::truncated_packets_are_refused", message);
    let vague = decoding(|kind, bytes| {
        sound(kind, bytes).map_err(|_| DecodeError::new(format!("{kind}: something")))
    });
    let case = "members::a_missing_one_is_named";
    check(vague, case, "\"EVENT: something\" does not name event");
}

#[test]
fn bytes_after_the_end_are_found() {
    let broken = decoding(|kind, bytes| {
        let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(0, |at| at + 1);
        sound(kind, &bytes.slice(..end))
    });
    let case = "hostile::bytes_after_the_end_are_refused";
    check(broken, case, "EVENT followed by 0x00 was read");
}

#[test]
fn a_panic_is_found() {
    let broken = decoding(|kind, bytes| match bytes.clone().try_get_u8() {
        Ok(_) => sound(kind, bytes),
        Err(_) => panic!("nothing there"),
    });
    let case = "hostile::truncated_packets_are_refused";
    check(broken, case, "EVENT: decoding panicked: nothing there");
}

#[test]
fn a_length_that_is_believed_is_found() {
    let broken = decoding(|kind, bytes| {
        let nines = bytes.windows(9).any(|part| part == b"999999999");
        drop(Vec::<u8>::with_capacity(if nines { 99_999_999 } else { 0 }));
        sound(kind, bytes)
    });
    let case = "hostile::lengths_that_lie_do_no_harm";
    check(broken, case, "decoding took 99999999 bytes");
}

#[test]
fn much_memory_for_few_bytes_is_found() {
    let broken = decoding(|kind, bytes| {
        drop(Vec::<u8>::with_capacity(bytes.len() * 70));
        sound(kind, bytes)
    });
    check(broken, "memory::events_for_many_groups_are_bounded", "EVENT of many groups took");
}
