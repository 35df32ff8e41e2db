//! Logs the packets that a node sends and receives: [`TransitLogger`].

use std::{path::PathBuf, sync::Arc};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use moleculer_protocol::{JsonSerializer, Packet, Serializer, Target, Topic, Value};
use serde::Deserialize;

use super::{Level, folder::Files, line, log};
use crate::{MessageFn, Middleware, PublishFn, Result, ServiceBroker};

/// The options, by the reference's names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Options {
    log_level: Level,
    log_packet_data: bool,
    folder: Option<PathBuf>,
    extension: String,
    packet_filter: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log_level: Level::Info,
            log_packet_data: false,
            folder: None,
            extension: ".json".to_owned(),
            packet_filter: vec!["HEARTBEAT".to_owned()],
        }
    }
}

/// Logs each packet, but those of some kinds.
#[derive(Debug)]
pub(crate) struct TransitLogger(Arc<Log>);

#[derive(Debug)]
struct Log {
    options: Options,
    files: Files,
}

impl TransitLogger {
    pub(super) fn new(options: Options) -> Self {
        let files = Files::new(options.folder.clone(), options.extension.clone());
        Self(Arc::new(Log { options, files }))
    }
}

impl Middleware for TransitLogger {
    fn name(&self) -> &'static str {
        "TransitLogger"
    }

    fn transit_publish(&self, next: PublishFn) -> PublishFn {
        let log = self.0.clone();
        Arc::new(move |topic, packet| {
            log.sent(topic, &packet);
            next(topic, packet)
        })
    }

    fn transit_message_handler(&self, next: MessageFn) -> MessageFn {
        let log = self.0.clone();
        Arc::new(move |packet, delivery| {
            log.received(&packet);
            next(packet, delivery);
        })
    }

    fn created(&self, broker: &ServiceBroker) {
        self.0.files.of_node(broker.node_id());
    }

    fn stopped<'a>(&'a self, _: &'a ServiceBroker) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.0.files.written().await;
            Ok(())
        })
    }
}

impl Log {
    fn sent(&self, topic: &Topic, packet: &Packet) {
        let kind = packet.kind().as_str();
        let target = match &topic.target {
            Target::Node(node) => Some(node.as_str()),
            _ => None,
        };
        if self.wants(kind) {
            let to = target.unwrap_or("<all nodes>");
            log!(self.options.log_level, "=> Send {kind} packet to '{to}'");
            self.data("=>", &format!("send-{kind}-to-{}", target.unwrap_or("all")), packet);
        }
    }

    fn received(&self, packet: &Packet) {
        let (kind, sender) = (packet.kind().as_str(), &packet.sender);
        if self.wants(kind) {
            log!(self.options.log_level, "<= Receive {kind} packet from '{sender}'");
            self.data("<=", &format!("receive-{kind}-from-{sender}"), packet);
        }
    }

    fn wants(&self, kind: &str) -> bool {
        !self.options.packet_filter.iter().any(|filtered| filtered == kind)
    }

    fn data(&self, arrow: &str, what: &str, packet: &Packet) {
        if !self.options.log_packet_data && !self.files.are_wanted() {
            return;
        }
        let value = value_of(packet);
        if self.options.log_packet_data {
            log!(self.options.log_level, data = line(value.clone()), "{arrow} {what}");
        }
        self.files.write(what, || value);
    }
}

/// A packet as JSON has it, whatever the broker's serializer is.
fn value_of(packet: &Packet) -> Value {
    let mut json = BytesMut::new();
    let read = match JsonSerializer.encode(packet, &mut json) {
        Ok(()) => serde_json::from_slice(&json).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    read.unwrap_or_else(Value::from)
}
