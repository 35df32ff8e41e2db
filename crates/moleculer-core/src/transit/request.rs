//! Requests of other nodes: from the packet to the response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use moleculer_protocol::{
    NodeId, PacketBody, PacketId, PacketKind, Payload, RequestPacket, ResponsePacket, Topic,
};

use super::{
    Transit,
    outbound::{RETRIED, RETRY},
    stream::mark_objects,
};
use crate::{
    Body, BodyStream, Context, Error, ErrorKind, Result, ServiceBroker, Visibility,
    broker::Phase,
    context::{ContextInit, Extra},
    registry::{ActionEndpoint, Lookup},
    service::panic_error,
};

impl Transit {
    /// Runs the action of a request and answers it.
    ///
    /// The handler starts here, in the reader's task; only if it has to wait,
    /// or its action is known to be slow, it goes on in a task of its own.
    pub(super) fn on_request(
        self: &Arc<Self>,
        broker: &ServiceBroker,
        sender: NodeId,
        request: RequestPacket,
        stream: Option<BodyStream>,
    ) {
        let id = request.id.clone();
        let slot = Slot::take(self);
        let endpoint = match self.local_endpoint(broker, &request.action, slot.number) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let answer =
                    Answer { transit: self.clone(), to: sender, id, ctx: None, _slot: slot };
                return answer.finish(broker, Err(error));
            }
        };
        let timeout = request.timeout.and_then(duration);
        // Without a timeout on either side there is nothing to add.
        let plain = timeout.is_none_or(|timeout| timeout.is_zero()) && !endpoint.has_timeout;
        let chain = if plain { &endpoint.plain } else { &endpoint.full };
        let ctx = Context::for_action(
            endpoint.clone(),
            request_context(sender.clone(), request, timeout, stream),
        );
        let answer =
            Answer { transit: self.clone(), to: sender, id, ctx: Some(ctx.clone()), _slot: slot };
        // A middleware may panic before there is a future.
        let start = catch_unwind(AssertUnwindSafe(|| chain(ctx)));
        let mut running = match start {
            Ok(running) => running,
            Err(panic) => return answer.finish(broker, Err(panic_error(&*panic))),
        };
        if let Poll::Ready(result) = endpoint.pace.poll(&mut running) {
            return answer.finish(broker, result);
        }
        broker.inner().tasks.spawn(answer.run(running));
    }

    fn local_endpoint(
        &self,
        broker: &ServiceBroker,
        action: &str,
        running: usize,
    ) -> Result<Arc<ActionEndpoint>> {
        let refused = |kind| Err(Error::about_action(kind, action, Some(&self.node_id)));
        if broker.inner().phase() >= Phase::Stopping {
            return refused(ErrorKind::ServiceNotAvailable);
        }
        if running > self.max_running && !self.transporter.capabilities().can_pause {
            return refused(ErrorKind::QueueIsFull);
        }
        match broker.registry().actions.local(action) {
            Lookup::Found(endpoint) if endpoint.def.visibility != Visibility::Protected => {
                Ok(endpoint)
            }
            Lookup::Unavailable => refused(ErrorKind::ServiceNotAvailable),
            _ => refused(ErrorKind::ServiceNotFound),
        }
    }

    /// Encodes a response. A result that cannot be sent becomes an error.
    fn encode_response(
        &self,
        topic: &Topic,
        id: &PacketId,
        ctx: Option<&Context>,
        result: Result<Body>,
    ) -> Result<(Bytes, Option<Download>)> {
        let encode = |result: Result<Body>| {
            let (packet, stream) = self.response(id, ctx, result);
            let opening = stream.map(|stream| Download { opening: packet.clone(), stream });
            Ok((self.encode(topic, PacketBody::Response(Box::new(packet)))?, opening))
        };
        encode(result).or_else(|error: Error| {
            tracing::error!(%id, %error, "a result cannot be sent");
            encode(Err(error))
        })
    }

    fn response(
        &self,
        id: &PacketId,
        ctx: Option<&Context>,
        result: Result<Body>,
    ) -> (ResponsePacket, Option<BodyStream>) {
        let headers = || ctx.map(Context::response_headers).unwrap_or_default();
        let mut packet = ResponsePacket {
            id: id.clone(),
            meta: ctx.map(Context::meta).unwrap_or_default(),
            headers: self.has_headers().then(headers),
            success: result.is_ok(),
            data: Payload::null(),
            error: None,
            stream: None,
            seq: None,
        };
        match result {
            Ok(Body::Payload(payload)) => packet.data = payload,
            Ok(Body::Empty) => packet.data = Payload::nothing(),
            Err(error) => {
                if error.retried()
                    && let Some(headers) = &mut packet.headers
                {
                    headers.insert(RETRIED, true);
                }
                packet.error = Some(self.plain_error(&error));
            }
            Ok(Body::Stream(stream)) => {
                if matches!(stream, BodyStream::Objects(_)) {
                    mark_objects(&mut packet.meta, &mut packet.headers);
                }
                packet.stream = Some(true);
                packet.seq = Some(0);
                return (packet, Some(stream));
            }
        }
        (packet, None)
    }
}

/// The answer that a request is owed.
struct Answer {
    transit: Arc<Transit>,
    to: NodeId,
    id: PacketId,
    ctx: Option<Context>,
    _slot: Slot,
}

/// A response that is a stream, once its first packet is made.
struct Download {
    opening: ResponsePacket,
    stream: BodyStream,
}

/// What is left to do when a response has been given to the transporter.
#[derive(Default)]
struct Rest {
    /// The response itself: there was no room for it.
    unsent: Option<(Topic, Bytes)>,
    download: Option<Download>,
}

impl Answer {
    async fn run(self, running: BoxFuture<'static, Result<Body>>) {
        let result = AssertUnwindSafe(running).catch_unwind().await;
        let result = result.unwrap_or_else(|panic| Err(panic_error(&*panic)));
        let rest = self.send(result);
        self.complete(rest).await;
    }

    /// Answers without waiting; what cannot leave now gets a task.
    fn finish(self, broker: &ServiceBroker, result: Result<Body>) {
        let rest = self.send(result);
        if rest.unsent.is_some() || rest.download.is_some() {
            broker.inner().tasks.spawn(async move { self.complete(rest).await });
        }
    }

    fn send(&self, result: Result<Body>) -> Rest {
        let topic = Topic::node(PacketKind::Response, self.to.clone());
        let sent = self
            .transit
            .encode_response(&topic, &self.id, self.ctx.as_ref(), result)
            .and_then(|(bytes, download)| {
                let unsent = self.transit.try_publish(&topic, bytes)?;
                Ok(Rest { unsent: unsent.map(|bytes| (topic, bytes)), download })
            });
        sent.unwrap_or_else(|error| {
            self.log(&error);
            Rest::default()
        })
    }

    async fn complete(&self, rest: Rest) {
        if let Some((topic, bytes)) = rest.unsent
            && let Err(error) = self.transit.transporter.publish_dyn(&topic, bytes).await
        {
            return self.log(&error);
        }
        if let Some(Download { opening, stream }) = rest.download {
            self.transit.download(self.to.clone(), opening, stream).await;
        }
    }

    fn log(&self, error: &Error) {
        if let Some(untold) = self.transit.unsent_responses.count() {
            tracing::warn!(id = %self.id, node_id = %self.to, %error, untold, "a response was not sent");
        }
        self.transit.announce_error("transit", "failedSendResponsePacket", error);
    }
}

/// Counts a running request; those who wait are told when there is room again.
struct Slot {
    transit: Arc<Transit>,
    /// How many run, this one included.
    number: usize,
}

impl Slot {
    fn take(transit: &Arc<Transit>) -> Self {
        let number = transit.running.fetch_add(1, Ordering::AcqRel) + 1;
        Self { transit: transit.clone(), number }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let before = self.transit.running.fetch_sub(1, Ordering::AcqRel);
        if before == self.transit.max_running {
            self.transit.room.notify_waiters();
        }
        if before == 1
            && let Some(answered) = &self.transit.answered
        {
            answered.notify_waiters();
        }
    }
}

fn request_context(
    sender: NodeId,
    request: RequestPacket,
    timeout: Option<Duration>,
    stream: Option<BodyStream>,
) -> ContextInit {
    let mut headers = request.headers.unwrap_or_default();
    ContextInit {
        params: request.params,
        meta: request.meta,
        parent: None,
        level: Some(request.level),
        extra: Some(Box::new(Extra {
            id: request.id.into(),
            request_id: request.request_id,
            parent_id: request.parent_id,
            caller: request.caller,
            peer: sender.into(),
            within_retry: headers.remove(RETRY).is_some(),
            headers,
            tracing: request.tracing,
            timeout,
            stream: stream.map(|stream| Mutex::new(Some(stream))),
            ..Extra::default()
        })),
    }
}

/// Milliseconds from a packet; what is no duration counts as none.
fn duration(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1e3).ok()
}
