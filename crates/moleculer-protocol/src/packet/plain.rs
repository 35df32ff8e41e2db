//! The packets without a payload, as plain members.
//!
//! They are rare enough to pass through [`Object`]s, which every serializer,
//! schema-based ones included, can read and write.

use std::sync::Arc;

use super::{
    GossipHello, GossipRequest, GossipResponse, HeartbeatPacket, NewsRow, NodeInfo, OnlineRow,
    PacketBody, PacketKind, PingPacket, PongPacket,
};
use crate::{NodeId, Object, PacketId, Value, format::DecodeError};

impl PacketBody {
    /// The members of a packet that carries no payload; none for the others.
    pub(super) fn plain_members(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Heartbeat(beat) => beat.members(),
            Self::Ping(ping) => members([("time", Some(ping.time.into())), ("id", id(&ping.id))]),
            Self::Pong(pong) => members([
                ("time", Some(pong.time.into())),
                ("id", id(&pong.id)),
                ("arrived", Some(pong.arrived.into())),
            ]),
            Self::GossipHello(hello) => members([
                ("host", Some(hello.host.as_str().into())),
                ("port", Some(hello.port.into())),
            ]),
            Self::GossipRequest(request) => request.members(),
            Self::GossipResponse(response) => response.members(),
            _ => Vec::new(),
        }
    }

    /// Reads a packet that carries no payload.
    ///
    /// # Errors
    ///
    /// When a member is missing or has the wrong type; the message names it.
    pub(super) fn from_members(kind: PacketKind, object: Object) -> Result<Self, DecodeError> {
        Ok(match kind {
            PacketKind::Discover => Self::Discover,
            PacketKind::Disconnect => Self::Disconnect,
            PacketKind::Info => Self::Info(Box::new(NodeInfo::from_object(object))),
            PacketKind::Heartbeat => Self::Heartbeat(HeartbeatPacket::from_object(&object)),
            PacketKind::Ping => {
                Self::Ping(PingPacket { time: integer(&object, "time")?, id: read_id(&object) })
            }
            PacketKind::Pong => Self::Pong(PongPacket {
                time: integer(&object, "time")?,
                id: read_id(&object),
                arrived: integer(&object, "arrived")?,
            }),
            PacketKind::GossipHello => Self::GossipHello(GossipHello::from_object(&object)?),
            PacketKind::GossipRequest => Self::GossipRequest(GossipRequest::from_object(object)?),
            PacketKind::GossipResponse => {
                Self::GossipResponse(GossipResponse::from_object(object)?)
            }
            PacketKind::Event | PacketKind::Request | PacketKind::Response => {
                return Err(DecodeError::new("carries a payload"));
            }
        })
    }
}

impl PacketKind {
    /// The members that a packet without a payload has, as far as we read
    /// them; none for the others.
    pub(super) const fn plain_members(self) -> &'static [&'static str] {
        match self {
            Self::Info => &[
                "services",
                "ipList",
                "hostname",
                "client",
                "config",
                "instanceID",
                "metadata",
                "seq",
                "port",
            ],
            Self::Heartbeat => &["cpu", "seq", "instanceID"],
            Self::Ping => &["time", "id"],
            Self::Pong => &["time", "id", "arrived"],
            Self::GossipHello => &["host", "port"],
            Self::GossipRequest | Self::GossipResponse => &["online", "offline"],
            _ => &[],
        }
    }
}

fn members<const N: usize>(all: [(&'static str, Option<Value>); N]) -> Vec<(&'static str, Value)> {
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn id(id: &Option<PacketId>) -> Option<Value> {
    id.as_ref().map(|id| id.to_string().into())
}

fn read_id(object: &Object) -> Option<PacketId> {
    object.get("id").and_then(Value::as_str).map(PacketId::from)
}

fn integer(object: &Object, key: &str) -> Result<i64, DecodeError> {
    object
        .get(key)
        .and_then(|value| value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)))
        .ok_or_else(|| DecodeError::new(format!("{key}: expected a number")))
}

impl HeartbeatPacket {
    /// JavaScript always writes `cpu`, null before the first measurement.
    fn members(&self) -> Vec<(&'static str, Value)> {
        members([
            ("cpu", Some(self.cpu.map_or(Value::Null, number))),
            ("seq", self.seq.map(Value::from)),
            ("instanceID", self.instance_id.as_deref().map(Value::from)),
        ])
    }

    fn from_object(object: &Object) -> Self {
        Self {
            cpu: object.get("cpu").and_then(Value::as_f64),
            seq: object.get("seq").and_then(Value::as_u64),
            instance_id: object.get("instanceID").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// A number as JavaScript has it: an integer wherever it is integral.
fn number(n: f64) -> Value {
    let value = Value::Float(n);
    value.as_i64().map_or(value, Value::Int)
}

impl GossipHello {
    fn from_object(object: &Object) -> Result<Self, DecodeError> {
        let host = object
            .get("host")
            .and_then(Value::as_str)
            .ok_or_else(|| DecodeError::new("host: expected text"))?;
        let port = u16::try_from(integer(object, "port")?)
            .map_err(|_| DecodeError::new("port: expected a number from 0 to 65535"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl GossipRequest {
    fn members(&self) -> Vec<(&'static str, Value)> {
        let row = |row: &OnlineRow| {
            Value::Array(vec![row.seq.into(), row.cpu_seq.into(), number(row.cpu)])
        };
        members([
            ("online", rows(&self.online, row)),
            ("offline", rows(&self.offline, |&seq| seq.into())),
        ])
    }

    fn from_object(mut object: Object) -> Result<Self, DecodeError> {
        Ok(Self {
            online: read_rows(&mut object, "online", |row| {
                let row = row.as_array()?;
                let [seq, rest @ ..] = row else { return None };
                Some(OnlineRow {
                    seq: seq.as_u64()?,
                    cpu_seq: rest.first().and_then(Value::as_u64).unwrap_or(0),
                    cpu: rest.get(1).and_then(Value::as_f64).unwrap_or(0.0),
                })
            })?,
            offline: read_rows(&mut object, "offline", |seq| seq.as_u64())?,
        })
    }
}

impl GossipResponse {
    fn members(&self) -> Vec<(&'static str, Value)> {
        members([
            ("online", rows(&self.online, NewsRow::to_value)),
            ("offline", rows(&self.offline, |&seq| seq.into())),
        ])
    }

    fn from_object(mut object: Object) -> Result<Self, DecodeError> {
        Ok(Self {
            online: read_rows(&mut object, "online", NewsRow::from_value)?,
            offline: read_rows(&mut object, "offline", |seq| seq.as_u64())?,
        })
    }
}

impl NewsRow {
    fn to_value(&self) -> Value {
        let mut row = Vec::with_capacity(3);
        if let Some(info) = &self.info {
            row.push(info.to_object().into());
        }
        if let Some((seq, cpu)) = self.cpu {
            row.extend([seq.into(), number(cpu)]);
        }
        Value::Array(row)
    }

    /// `[info, cpuSeq, cpu]`, `[cpuSeq, cpu]` or `[info]`; other rows tell nothing.
    fn from_value(row: Value) -> Option<Self> {
        let Value::Array(row) = row else { return None };
        let mut row = row.into_iter();
        let (info, first) = match row.next() {
            Some(Value::Object(info)) => (Some(Arc::new(NodeInfo::from_object(info))), row.next()),
            number => (None, number),
        };
        let cpu = first.and_then(|seq| Some((seq.as_u64()?, row.next()?.as_f64()?)));
        Some(Self { info, cpu })
    }
}

/// An object by node id; none at all when there is no row.
fn rows<T>(rows: &[(NodeId, T)], to_value: impl Fn(&T) -> Value) -> Option<Value> {
    if rows.is_empty() {
        return None;
    }
    let members = rows.iter().map(|(id, row)| (id.as_str(), to_value(row)));
    Some(members.collect::<Object>().into())
}

fn read_rows<T>(
    object: &mut Object,
    key: &str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Vec<(NodeId, T)>, DecodeError> {
    let rows = match object.remove(key) {
        None => return Ok(Vec::new()),
        Some(value) if value.is_nullish() => return Ok(Vec::new()),
        Some(Value::Object(rows)) => rows,
        Some(other) => {
            return Err(DecodeError::new(format!("{key}: expected an object, found {other:?}")));
        }
    };
    rows.into_iter()
        .map(|(id, row)| match read(row) {
            Some(row) => Ok((NodeId::from(id), row)),
            None => Err(DecodeError::new(format!("{key}.{id}: malformed row"))),
        })
        .collect()
}
