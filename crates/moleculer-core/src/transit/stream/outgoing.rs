//! Streams to other nodes: chunks in, packets out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use moleculer_protocol::{
    NodeId, Object, PacketBody, PacketKind, Payload, ProtocolVersion, RequestPacket,
    ResponsePacket, Target, Topic,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{FAILED, OBJECTS, Part};
use crate::{BodyStream, Error, Result, broker::Tasks, transit::Transit};

/// The stream of a request on its way. Dropping it tells the callee that the
/// stream broke off.
pub(in crate::transit) struct Upload(DropGuard);

impl Upload {
    /// The stream goes on: the call succeeded before it was read to its end.
    pub(in crate::transit) fn release(self) {
        self.0.disarm();
    }
}

/// Says that the chunks of a stream are objects.
pub(in crate::transit) fn mark_objects(meta: &mut Object, headers: &mut Option<Object>) {
    headers.as_mut().unwrap_or(meta).insert(OBJECTS, true);
}

impl Transit {
    /// Sends the stream of a request, whose first packet was `opening`.
    pub(in crate::transit) fn upload(
        self: Arc<Self>,
        tasks: &Tasks,
        node: NodeId,
        opening: RequestPacket,
        stream: BodyStream,
    ) -> Upload {
        let given_up = CancellationToken::new();
        let guard = given_up.clone().drop_guard();
        tasks.spawn(async move {
            let packets = RequestPackets(RequestPacket {
                params: Payload::null(),
                meta: in_protocol_4(&opening.meta, self.protocol),
                ..opening
            });
            let topic = Topic::node(PacketKind::Request, node);
            self.send_stream(&topic, stream, &packets, &given_up).await;
        });
        Upload(guard)
    }

    /// Sends the stream of a response, whose first packet was `opening`.
    pub(in crate::transit) async fn download(
        &self,
        node: NodeId,
        opening: ResponsePacket,
        stream: BodyStream,
    ) {
        let topic = Topic::node(PacketKind::Response, node);
        self.send_stream(&topic, stream, &ResponsePackets(opening), &CancellationToken::new())
            .await;
    }

    async fn send_stream(
        &self,
        topic: &Topic,
        stream: BodyStream,
        packets: &impl Packets,
        given_up: &CancellationToken,
    ) {
        let mut seq = 1;
        let sending = self.send_chunks(topic, stream, packets, &mut seq);
        let error = match given_up.run_until_cancelled(sending).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error),
            None => Some(Error::internal("the caller gave up").with_type("STREAM_BROKEN")),
        };
        let end = packets.packet(self, seq, Part::End(error));
        if let Err(error) = self.send(topic, end).await {
            tracing::warn!(?topic, %error, "the end of a stream was not sent");
        }
    }

    /// Sends all but the end. Chunk by chunk: none is pulled before the one
    /// before it is on its way.
    async fn send_chunks(
        &self,
        topic: &Topic,
        stream: BodyStream,
        packets: &impl Packets,
        seq: &mut u64,
    ) -> Result<()> {
        let limit = self.chunk_limit();
        let mut chunks = match stream {
            BodyStream::Objects(stream) => stream.boxed(),
            BodyStream::Bytes(stream) => stream
                .flat_map(move |chunk| futures_util::stream::iter(split(chunk, limit)))
                .boxed(),
        };
        while let Some(chunk) = chunks.next().await {
            self.check_reachable(topic)?;
            self.send(topic, packets.packet(self, *seq, Part::Chunk(chunk?))).await?;
            *seq += 1;
        }
        Ok(())
    }

    /// Most bytes in one packet. In JSON a byte takes up to four characters.
    fn chunk_limit(&self) -> usize {
        let medium = self.transporter.capabilities().max_packet;
        match (self.max_chunk_size, medium.map(|most| most / 5)) {
            (0, medium) => medium.unwrap_or(0),
            (chunk, medium) => chunk.min(medium.unwrap_or(chunk)),
        }
    }

    /// # Errors
    ///
    /// When nobody is left to send to.
    fn check_reachable(&self, topic: &Topic) -> Result<()> {
        let broker = self.broker.upgrade().ok_or_else(crate::broker::stopped)?;
        match &topic.target {
            Target::Node(id)
                if broker.registry().node(id).is_some_and(|node| !node.available()) =>
            {
                Err(Error::internal("the receiver is gone").with_type("STREAM_BROKEN"))
            }
            _ => Ok(()),
        }
    }
}

/// The packets of one stream after the first.
trait Packets: Sync {
    fn packet(&self, transit: &Transit, seq: u64, part: Part) -> PacketBody;
}

struct RequestPackets(RequestPacket);

impl Packets for RequestPackets {
    fn packet(&self, transit: &Transit, seq: u64, part: Part) -> PacketBody {
        let mut packet = self.0.clone();
        packet.seq = Some(seq);
        packet.stream = Some(matches!(part, Part::Chunk(_)));
        match part {
            Part::Chunk(chunk) => packet.params = chunk,
            Part::End(None) => {}
            Part::End(Some(error)) => {
                let error = transit.plain_error(&error).to_object();
                packet.headers.as_mut().unwrap_or(&mut packet.meta).insert(FAILED, error);
            }
        }
        PacketBody::Request(Box::new(packet))
    }
}

struct ResponsePackets(ResponsePacket);

impl Packets for ResponsePackets {
    fn packet(&self, transit: &Transit, seq: u64, part: Part) -> PacketBody {
        let mut packet = self.0.clone();
        packet.seq = Some(seq);
        packet.stream = Some(matches!(part, Part::Chunk(_)));
        match part {
            Part::Chunk(chunk) => packet.data = chunk,
            Part::End(error) => {
                packet.success = error.is_none();
                packet.error = error.map(|error| transit.plain_error(&error));
            }
        }
        PacketBody::Response(Box::new(packet))
    }
}

/// Later packets of a request carry no metadata but the mark of protocol 4.
fn in_protocol_4(meta: &Object, protocol: ProtocolVersion) -> Object {
    match meta.get(OBJECTS) {
        Some(flag) if protocol == ProtocolVersion::V4 => Object::from([(OBJECTS, flag.clone())]),
        _ => Object::new(),
    }
}

/// Cuts a chunk so that no packet becomes too large; 0 is no limit.
fn split(chunk: Result<Bytes>, limit: usize) -> Vec<Result<Payload>> {
    let mut chunk = match chunk {
        Ok(chunk) => chunk,
        Err(error) => return vec![Err(error)],
    };
    let mut parts = Vec::new();
    while limit > 0 && chunk.len() > limit {
        parts.push(Ok(Payload::new(chunk.split_to(limit))));
    }
    if !chunk.is_empty() {
        parts.push(Ok(Payload::new(chunk)));
    }
    parts
}
