//! The messages.
//!
//! Every field is optional: a reader of proto3 cannot tell a default from an
//! absent field, but Moleculer JS writes defaults, and so do we. Texts are
//! `bytes`, which is the same on the wire: they are checked when they are
//! read, and share the packet's buffer until then.

use bytes::Bytes;
use prost::Message;

use crate::slot::slots;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    event: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    data: Option<Bytes>,
    #[prost(int32, optional, tag = "6")]
    data_type: Option<i32>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    groups: Vec<Bytes>,
    #[prost(bool, optional, tag = "8")]
    broadcast: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    meta: Option<Bytes>,
    #[prost(int32, optional, tag = "10")]
    level: Option<i32>,
    #[prost(bool, optional, tag = "11")]
    tracing: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "12")]
    parent_id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "13")]
    request_id: Option<Bytes>,
    #[prost(bool, optional, tag = "14")]
    stream: Option<bool>,
    #[prost(int32, optional, tag = "15")]
    seq: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "16")]
    caller: Option<Bytes>,
    #[prost(bool, optional, tag = "17")]
    need_ack: Option<bool>,
}
slots!(Event {
    1: ver,
    2: sender,
    3: id,
    4: event,
    5: data,
    6: data_type,
    7: groups,
    8: broadcast,
    9: meta,
    10: level,
    11: tracing,
    12: parent_id,
    13: request_id,
    14: stream,
    15: seq,
    16: caller,
    17: need_ack
});

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    action: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    params: Option<Bytes>,
    #[prost(int32, optional, tag = "6")]
    params_type: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    meta: Option<Bytes>,
    #[prost(double, optional, tag = "8")]
    timeout: Option<f64>,
    #[prost(int32, optional, tag = "9")]
    level: Option<i32>,
    #[prost(bool, optional, tag = "10")]
    tracing: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "11")]
    parent_id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "12")]
    request_id: Option<Bytes>,
    #[prost(bool, optional, tag = "13")]
    stream: Option<bool>,
    #[prost(int32, optional, tag = "14")]
    seq: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "15")]
    caller: Option<Bytes>,
}
slots!(Request {
    1: ver,
    2: sender,
    3: id,
    4: action,
    5: params,
    6: params_type,
    7: meta,
    8: timeout,
    9: level,
    10: tracing,
    11: parent_id,
    12: request_id,
    13: stream,
    14: seq,
    15: caller
});

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Response {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    id: Option<Bytes>,
    #[prost(bool, optional, tag = "4")]
    success: Option<bool>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    data: Option<Bytes>,
    #[prost(int32, optional, tag = "6")]
    data_type: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    error: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    meta: Option<Bytes>,
    #[prost(bool, optional, tag = "9")]
    stream: Option<bool>,
    #[prost(int32, optional, tag = "10")]
    seq: Option<i32>,
}
slots!(Response {
    1: ver,
    2: sender,
    3: id,
    4: success,
    5: data,
    6: data_type,
    7: error,
    8: meta,
    9: stream,
    10: seq
});

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Info {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    services: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    config: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    ip_list: Vec<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    hostname: Option<Bytes>,
    #[prost(message, optional, tag = "7")]
    client: Option<Client>,
    #[prost(int32, optional, tag = "8")]
    seq: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    instance_id: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "10")]
    metadata: Option<Bytes>,
}
slots!(Info {
    1: ver,
    2: sender,
    3: services,
    4: config,
    5: ip_list,
    6: hostname,
    7: client,
    8: seq,
    9: instance_id,
    10: metadata
});

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Client {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) kind: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) version: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) lang_version: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Heartbeat {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(double, optional, tag = "3")]
    cpu: Option<f64>,
}
slots!(Heartbeat { 1: ver, 2: sender, 3: cpu });

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ping {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(int64, optional, tag = "3")]
    time: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    id: Option<Bytes>,
}
slots!(Ping { 1: ver, 2: sender, 3: time, 4: id });

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Pong {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(int64, optional, tag = "3")]
    time: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    arrived: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    id: Option<Bytes>,
}
slots!(Pong { 1: ver, 2: sender, 3: time, 4: arrived, 5: id });

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GossipHello {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    host: Option<Bytes>,
    #[prost(int32, optional, tag = "4")]
    port: Option<i32>,
}
slots!(GossipHello { 1: ver, 2: sender, 3: host, 4: port });

/// GOSSIP_REQ and GOSSIP_RES.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GossipRows {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    online: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    offline: Option<Bytes>,
}
slots!(GossipRows { 1: ver, 2: sender, 3: online, 4: offline });

/// DISCOVER and DISCONNECT.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ver: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    sender: Option<Bytes>,
}
slots!(Empty { 1: ver, 2: sender });
