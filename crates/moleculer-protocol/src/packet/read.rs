//! Reading packets from self-describing serializers.

use std::{borrow::Cow, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{
    EventPacket, Packet, PacketBody, PacketKind, PacketVersion, RequestPacket, ResponsePacket,
};
use crate::{NodeId, Object, PacketId, Payload, Value, WireError, id::FromStr};

/// A payload as a serializer can capture it without decoding: for JSON the
/// text of the member, for MsgPack its span of bytes.
pub trait RawPayload<'de>: Deserialize<'de> {
    /// What tells where the payload's bytes live, for example the packet's buffer.
    type Source: Copy;

    /// Makes it a payload that shares the packet's buffer.
    fn into_payload(self, source: Self::Source) -> Payload;
}

/// Reads a packet of the given kind; `R` captures params and data undecoded.
///
/// Unknown members are ignored and loose types are taken as JavaScript takes
/// them.
///
/// # Errors
///
/// What the deserializer reports, or a member that is missing or mistyped;
/// the message names the member.
pub fn read_packet<'de, R, D>(
    kind: PacketKind,
    deserializer: D,
    source: R::Source,
) -> Result<Packet, D::Error>
where
    R: RawPayload<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(PacketVisitor::<R> { kind, source, raw: PhantomData })
}

/// Stands in until the id is read; unlike an empty text it allocates nothing.
const NO_ID: PacketId = PacketId::from_uuid_bytes([0; 16]);

struct PacketVisitor<'de, R: RawPayload<'de>> {
    kind: PacketKind,
    source: R::Source,
    raw: PhantomData<fn(&'de ()) -> R>,
}

impl<'de, R: RawPayload<'de>> Visitor<'de> for PacketVisitor<'de, R> {
    type Value = Packet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object as {} packet", self.kind)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Packet, A::Error> {
        let mut envelope = Envelope::default();
        let members = &mut Members { map: &mut map, envelope: &mut envelope };
        let body = match self.kind {
            PacketKind::Request => {
                PacketBody::Request(Box::new(request::<R, A>(members, self.source)?))
            }
            PacketKind::Response => {
                PacketBody::Response(Box::new(response::<R, A>(members, self.source)?))
            }
            PacketKind::Event => PacketBody::Event(Box::new(event::<R, A>(members, self.source)?)),
            kind => {
                let mut object = Object::new();
                while let Some(key) = members.next()? {
                    if kind.plain_members().contains(&&*key) {
                        let value: Value = members.value(&key)?;
                        object.insert(key.into_owned(), value);
                    } else {
                        members.skip()?;
                    }
                }
                PacketBody::from_members(kind, object).map_err(Error::custom)?
            }
        };
        envelope.seal(body)
    }
}

/// The members that every packet has.
#[derive(Default)]
struct Envelope {
    version: Option<PacketVersion>,
    sender: Option<NodeId>,
}

impl Envelope {
    fn seal<E: Error>(self, body: PacketBody) -> Result<Packet, E> {
        Ok(Packet {
            version: self.version.unwrap_or_else(|| PacketVersion::Other("".into())),
            sender: self.sender.ok_or_else(|| E::missing_field("sender"))?,
            body,
        })
    }
}

/// The members of a packet one by one, those of the envelope set aside.
struct Members<'a, A> {
    map: &'a mut A,
    envelope: &'a mut Envelope,
}

impl<'de, A: MapAccess<'de>> Members<'_, A> {
    fn next(&mut self) -> Result<Option<Cow<'de, str>>, A::Error> {
        loop {
            let Some(Key(key)) = self.map.next_key()? else {
                return Ok(None);
            };
            match &*key {
                "ver" => self.envelope.version = Some(self.value::<Version>("ver")?.0),
                "sender" => self.envelope.sender = Some(self.value("sender")?),
                _ => return Ok(Some(key)),
            }
        }
    }

    fn value<T: Deserialize<'de>>(&mut self, key: &str) -> Result<T, A::Error> {
        self.map.next_value().map_err(|error| Error::custom(format_args!("{key}: {error}")))
    }

    fn skip(&mut self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(drop)
    }
}

fn request<'de, R: RawPayload<'de>, A: MapAccess<'de>>(
    members: &mut Members<'_, A>,
    source: R::Source,
) -> Result<RequestPacket, A::Error> {
    let (mut id, mut action) = (None, None);
    let mut packet = RequestPacket::new(NO_ID, Arc::<str>::default());
    while let Some(key) = members.next()? {
        let key = &*key;
        match key {
            "id" => id = Some(members.value(key)?),
            "action" => action = Some(members.value(key)?),
            "params" => packet.params = members.value::<R>(key)?.into_payload(source),
            "meta" => packet.meta = object(members.value(key)?, key)?,
            "headers" => packet.headers = Some(object(members.value(key)?, key)?),
            "timeout" => packet.timeout = number(&members.value(key)?, key)?,
            "level" => packet.level = level(&members.value(key)?, key)?,
            "tracing" => packet.tracing = flag(&members.value(key)?),
            "parentID" => packet.parent_id = members.value(key)?,
            "requestID" => packet.request_id = members.value(key)?,
            "caller" => packet.caller = members.value::<Option<Text>>(key)?.map(|text| text.0),
            "stream" => packet.stream = Some(members.value::<Value>(key)?.is_truthy()),
            "seq" => packet.seq = integer(&members.value(key)?, key)?,
            _ => members.skip()?,
        }
    }
    packet.id = id.ok_or_else(|| A::Error::missing_field("id"))?;
    packet.action =
        action.map(|text: Text| text.0).ok_or_else(|| A::Error::missing_field("action"))?;
    Ok(packet)
}

fn response<'de, R: RawPayload<'de>, A: MapAccess<'de>>(
    members: &mut Members<'_, A>,
    source: R::Source,
) -> Result<ResponsePacket, A::Error> {
    let mut id = None;
    let mut packet = ResponsePacket {
        id: NO_ID,
        meta: Object::new(),
        headers: None,
        success: false,
        data: Payload::nothing(),
        error: None,
        stream: None,
        seq: None,
    };
    while let Some(key) = members.next()? {
        let key = &*key;
        match key {
            "id" => id = Some(members.value(key)?),
            "meta" => packet.meta = object(members.value(key)?, key)?,
            "headers" => packet.headers = Some(object(members.value(key)?, key)?),
            "success" => packet.success = members.value::<Value>(key)?.is_truthy(),
            "data" => packet.data = members.value::<R>(key)?.into_payload(source),
            "error" => packet.error = error(members.value(key)?)?,
            "stream" => packet.stream = flag(&members.value(key)?),
            "seq" => packet.seq = integer(&members.value(key)?, key)?,
            _ => members.skip()?,
        }
    }
    packet.id = id.ok_or_else(|| A::Error::missing_field("id"))?;
    Ok(packet)
}

fn event<'de, R: RawPayload<'de>, A: MapAccess<'de>>(
    members: &mut Members<'_, A>,
    source: R::Source,
) -> Result<EventPacket, A::Error> {
    let mut name = None;
    let mut packet = EventPacket {
        id: None,
        event: "".into(),
        data: Payload::nothing(),
        groups: None,
        broadcast: false,
        meta: Object::new(),
        headers: None,
        level: 1,
        tracing: None,
        parent_id: None,
        request_id: None,
        caller: None,
    };
    while let Some(key) = members.next()? {
        let key = &*key;
        match key {
            "id" => packet.id = members.value(key)?,
            "event" => name = Some(members.value(key)?),
            "data" => packet.data = members.value::<R>(key)?.into_payload(source),
            "groups" => packet.groups = members.value::<Groups>(key)?.0,
            "broadcast" => packet.broadcast = members.value::<Value>(key)?.is_truthy(),
            "meta" => packet.meta = object(members.value(key)?, key)?,
            "headers" => packet.headers = Some(object(members.value(key)?, key)?),
            "level" => packet.level = level(&members.value(key)?, key)?,
            "tracing" => packet.tracing = flag(&members.value(key)?),
            "parentID" => packet.parent_id = members.value(key)?,
            "requestID" => packet.request_id = members.value(key)?,
            "caller" => packet.caller = members.value::<Option<Text>>(key)?.map(|text| text.0),
            _ => members.skip()?,
        }
    }
    packet.event = name.map(|text: Text| text.0).ok_or_else(|| A::Error::missing_field("event"))?;
    Ok(packet)
}

/// `meta` and `headers`: any falsy value stands for `{}`.
fn object<E: Error>(value: Value, key: &str) -> Result<Object, E> {
    match value {
        Value::Object(object) => Ok(object),
        value if !value.is_truthy() => Ok(Object::new()),
        other => Err(E::custom(format_args!("{key}: expected an object, found {other:?}"))),
    }
}

fn number<E: Error>(value: &Value, key: &str) -> Result<Option<f64>, E> {
    match value.as_f64() {
        None if !value.is_nullish() => {
            Err(E::custom(format_args!("{key}: expected a number, found {value:?}")))
        }
        number => Ok(number),
    }
}

fn integer<E: Error>(value: &Value, key: &str) -> Result<Option<u64>, E> {
    match value.as_u64() {
        None if !value.is_nullish() => {
            Err(E::custom(format_args!("{key}: expected an integer from 0, found {value:?}")))
        }
        integer => Ok(integer),
    }
}

fn level<E: Error>(value: &Value, key: &str) -> Result<u32, E> {
    let level = integer(value, key)?.unwrap_or(1);
    u32::try_from(level).map_err(|_| E::custom(format_args!("{key}: {level} is too large")))
}

fn flag(value: &Value) -> Option<bool> {
    (!value.is_nullish()).then(|| value.is_truthy())
}

fn error<E: Error>(value: Value) -> Result<Option<WireError>, E> {
    if !value.is_truthy() {
        return Ok(None);
    }
    WireError::from_value(value).map(Some).map_err(|error| E::custom(error.within("error")))
}

/// Null, or a list of names.
struct Groups(Option<Vec<Arc<str>>>);

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let groups = Option::<Vec<Text>>::deserialize(deserializer)?;
        Ok(Self(groups.map(|groups| groups.into_iter().map(|text| text.0).collect())))
    }
}

/// `ver`: text, or anything else shown as JSON.
struct Version(PacketVersion);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = PacketVersion;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a protocol version")
            }
            fn visit_str<E>(self, text: &str) -> Result<PacketVersion, E> {
                Ok(PacketVersion::parse(text))
            }
            fn visit_u64<E>(self, n: u64) -> Result<PacketVersion, E> {
                // As text with a marker: a numeric 5 is not the version "5".
                Ok(PacketVersion::Other(format!("{n} (number)").into()))
            }
            fn visit_unit<E>(self) -> Result<PacketVersion, E> {
                Ok(PacketVersion::Other("null".into()))
            }
        }
        deserializer.deserialize_any(V).map(Self)
    }
}

/// Shared text, copied once from the packet.
struct Text(Arc<str>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromStr::new("text")).map(Self)
    }
}

/// A member's name, borrowed from the packet where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}
