//! The service through which a driver sees and controls everything on a node.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moleculer::{ByteStream, ErrorKind, Object, ObjectStream, Payload, prelude::*};
use serde::Deserialize;

use super::streams::{self, Count, Download, Numbered};

#[derive(Default)]
pub(crate) struct Probe {
    received: Mutex<Vec<Value>>,
}

#[service(name = "probe")]
impl Probe {
    /// The params, unchanged in kind.
    #[action]
    async fn echo(&self, ctx: Context) -> Result<Payload> {
        Ok(ctx.payload())
    }

    /// What the callee knows of the call.
    #[action]
    async fn whoami(&self, ctx: Context) -> Result<Value> {
        let broker = ctx.broker()?;
        let id = |id: Option<moleculer::PacketId>| Value::from(id.map(|id| id.to_string()));
        let mut answer = Object::from([
            ("nodeID", Value::from(broker.node_id().as_str())),
            ("sender", ctx.node_id().as_str().into()),
            ("requestID", id(Some(ctx.request_id()))),
            ("parentID", id(ctx.parent_id())),
            ("level", ctx.level().into()),
            ("caller", ctx.caller().as_deref().into()),
            ("meta", ctx.meta().into()),
            ("eventsSeen", self.received().len().into()),
        ]);
        if broker.options().protocol == moleculer::ProtocolVersion::V5 {
            answer.insert("headers", ctx.headers());
        }
        Ok(answer.into())
    }

    /// Fails with the error that the params describe.
    #[action]
    async fn fail(&self, Params(fail): Params<Fail>) -> Result<()> {
        Err(fail.into_error())
    }

    #[action]
    async fn panic(&self) -> Result<()> {
        panic!("The handler panicked.")
    }

    /// Calls another action in the name of this call.
    #[action]
    async fn relay(&self, ctx: Context, Params(relay): Params<Relay>) -> Result<Value> {
        let options = relay.options;
        tokio::time::sleep(Duration::from_secs_f64(options.wait / 1e3)).await;
        let mut call = ctx.call::<Value>(&relay.action, relay.params).meta(options.meta);
        if let Some(node) = options.node_id {
            call = call.node(node);
        }
        if let Some(timeout) = options.timeout {
            call = call.timeout(Duration::from_secs_f64(timeout / 1e3));
        }
        for (key, value) in options.headers {
            call = call.header(key, value);
        }
        let answer = match call.await {
            Ok(Value::Undefined) => Object::from([("ok", true)]),
            Ok(result) => Object::from([("ok", true.into()), ("result", result)]),
            Err(error) => {
                let error = Value::from_serialize(&error)?;
                Object::from([("ok", false.into()), ("error", error)])
            }
        };
        Ok(answer.into())
    }

    /// As `relay`, but the params are wholly those of the call or the event.
    #[action]
    async fn forward(
        &self,
        ctx: Context,
        Params(params): Params<Value>,
        Meta(meta): Meta<ForwardMeta>,
    ) -> Result<Value> {
        match meta.forward {
            Forward::Event { event } => {
                ctx.broadcast(&event, params).await?;
                Ok(true.into())
            }
            Forward::Action { action, node_id } => {
                let call = ctx.call::<Value>(&action, params).node(node_id);
                ctx.headers()
                    .into_iter()
                    .fold(call, |call, (key, value)| call.header(key, value))
                    .await
            }
        }
    }

    /// Sends an event in the name of this call.
    #[action]
    async fn send(&self, ctx: Context, Params(send): Params<Send>) -> Result<bool> {
        let event = match send.kind.as_str() {
            "emit" => ctx.emit(&send.event, send.payload),
            "broadcast" => ctx.broadcast(&send.event, send.payload),
            "broadcastLocal" => ctx.broadcast_local(&send.event, send.payload),
            other => {
                let message =
                    format!("The kind '{other}' is none of emit, broadcast, broadcastLocal.");
                return Err(Error::client(400, "UNKNOWN_KIND", message));
            }
        };
        event.groups(send.groups).await?;
        Ok(true)
    }

    #[action]
    async fn upload(
        &self,
        ctx: Context,
        Params(params): Params<Value>,
        body: ByteStream,
    ) -> Result<Object> {
        streams::upload(params, ctx.meta(), body).await
    }

    #[action]
    async fn download(&self, Params(params): Params<Download>) -> Result<ByteStream> {
        Ok(streams::download(&params))
    }

    #[action]
    async fn objects(&self, Params(params): Params<Count>) -> Result<ObjectStream<Numbered>> {
        Ok(streams::objects(params.count))
    }

    #[action(name = "countObjects")]
    async fn count_objects(&self, objects: ObjectStream<Numbered>) -> Result<Object> {
        streams::count_objects(objects).await
    }

    /// The events that arrived since the last `forget`.
    #[action]
    async fn seen(&self) -> Result<Vec<Value>> {
        Ok(self.received().clone())
    }

    #[action]
    async fn forget(&self) -> Result<bool> {
        self.received().clear();
        Ok(true)
    }

    #[event("probe.**", group = "probe")]
    async fn any(&self, ctx: Context, Params(data): Params<Value>) -> Result<()> {
        self.record(&ctx, data);
        Ok(())
    }

    #[event("probe.once", group = "once")]
    async fn once(&self, ctx: Context, Params(data): Params<Value>) -> Result<()> {
        self.record(&ctx, data);
        Ok(())
    }
}

impl Probe {
    fn received(&self) -> MutexGuard<'_, Vec<Value>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, ctx: &Context, payload: Value) {
        let groups: Vec<Value> =
            ctx.event_groups().iter().map(|group| Value::from(&**group)).collect();
        let groups = if groups.is_empty() { Value::Null } else { Value::Array(groups) };
        let event = Object::from([
            ("event", Value::from(ctx.event())),
            ("type", ctx.event_kind().map(moleculer::EventKind::as_str).into()),
            ("group", ctx.listener_group().into()),
            ("groups", groups),
            ("payload", payload),
            ("sender", ctx.node_id().as_str().into()),
            ("meta", ctx.meta().into()),
        ]);
        self.received().push(event.into());
    }
}

#[derive(Deserialize)]
struct Fail {
    #[serde(default = "moleculer_error")]
    name: String,
    #[serde(default)]
    message: String,
    code: Option<i64>,
    r#type: Option<String>,
    data: Option<Value>,
    retryable: Option<bool>,
}

fn moleculer_error() -> String {
    "MoleculerError".into()
}

impl Fail {
    /// Some classes are built from their data alone; the others take what is
    /// given and fill in their defaults.
    fn into_error(self) -> Error {
        use ErrorKind as K;
        let kind = K::from_name(&self.name);
        let mut error = match &kind {
            K::Moleculer | K::Retryable | K::Server | K::Client | K::Other(_) => {
                let mut error = Error::new(kind, self.message);
                if let Some(code) = self.code {
                    error = error.with_code(code);
                }
                self.r#type.iter().fold(error, |error, r#type| error.with_type(r#type))
            }
            K::Validation => {
                let error = Error::new(kind, self.message);
                self.r#type.iter().fold(error, |error, r#type| error.with_type(r#type))
            }
            K::ServiceSchema | K::BrokerOptions => Error::new(kind, self.message),
            _ => Error::from_data(
                kind,
                self.data.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
            ),
        };
        if let Some(data) = self.data {
            error = error.with_data(data);
        }
        self.retryable.into_iter().fold(error, Error::with_retryable)
    }
}

#[derive(Deserialize)]
struct Relay {
    action: String,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    options: RelayOptions,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RelayOptions {
    #[serde(rename = "nodeID")]
    node_id: Option<String>,
    timeout: Option<f64>,
    meta: Object,
    headers: Object,
    wait: f64,
}

#[derive(Deserialize)]
struct ForwardMeta {
    forward: Forward,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Forward {
    Event {
        event: String,
    },
    Action {
        action: String,
        #[serde(rename = "nodeID")]
        node_id: String,
    },
}

#[derive(Deserialize)]
struct Send {
    kind: String,
    event: String,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    groups: Vec<String>,
}
