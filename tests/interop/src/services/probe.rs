//! The service through which a driver sees and controls everything on a node.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use moleculer::{ByteStream, Object, ObjectStream, PacketId, Payload, prelude::*};
use serde::Deserialize;

use super::{
    fail::Fail,
    streams::{self, Count, Download, Numbered},
    values,
};

#[derive(Default)]
pub(crate) struct Probe {
    received: Mutex<Vec<Value>>,
    sleeping: AtomicUsize,
    flaky: Mutex<Flaky>,
    cached_runs: AtomicUsize,
}

/// How often `flaky` has run, and failed for each request.
#[derive(Default)]
struct Flaky {
    runs: u64,
    failures: HashMap<PacketId, u64>,
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
        let id = |id: Option<PacketId>| Value::from(id.map(|id| id.to_string()));
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

    /// Fails a number of times for each request.
    #[action]
    async fn flaky(&self, ctx: Context, Params(fail): Params<FailTimes>) -> Result<Object> {
        let mut flaky = lock(&self.flaky);
        flaky.runs += 1;
        let failures = flaky.failures.entry(ctx.request_id()).or_default();
        if *failures < fail.times {
            *failures += 1;
            let error = Error::new(moleculer::ErrorKind::Retryable, "Not this time.");
            return Err(error.with_code(fail.code).with_type("FLAKY"));
        }
        Ok(Object::from([("attempts", flaky.runs)]))
    }

    #[action]
    async fn sleep(&self, Params(sleep): Params<Sleep>) -> Result<Object> {
        let _sleeping = Sleeping::begin(&self.sleeping);
        tokio::time::sleep(Duration::from_secs_f64(sleep.ms / 1e3)).await;
        Ok(Object::from([("ran", sleep.ms)]))
    }

    /// The number of the run shows whether the result is an old one.
    #[action(cache(keys("key")))]
    async fn cached(&self, Params(params): Params<Object>) -> Result<Object> {
        let run = self.cached_runs.fetch_add(1, Ordering::Relaxed) + 1;
        let key = params.get("key").cloned().unwrap_or_default();
        Ok(Object::from([("key", key), ("run", run.into())]))
    }

    /// The params, as rules leave them.
    #[action(params(
        email = "email",
        age("type" = "number", integer = true, min = 18),
        nick = "string|trim|min:3|max:8|optional",
    ))]
    async fn checked(&self, Params(params): Params<Value>) -> Result<Value> {
        Ok(params)
    }

    /// How many sleep now.
    #[action]
    async fn running(&self) -> Result<usize> {
        Ok(self.sleeping.load(Ordering::Relaxed))
    }

    #[action(name = "setMeta")]
    async fn set_meta(&self, ctx: Context, Params(meta): Params<Object>) -> Result<bool> {
        ctx.merge_meta(meta);
        Ok(true)
    }

    /// Bytes of the test pattern.
    #[action]
    async fn binary(&self, Params(params): Params<Size>) -> Result<Value> {
        Ok(values::pattern(params.size))
    }

    /// Size and hash of bytes, which may also be the member `data`.
    #[action]
    async fn digest(&self, Params(params): Params<Value>) -> Result<Object> {
        values::digest(&params)
    }

    #[action(name = "addService")]
    async fn add_service(&self, ctx: Context, Params(named): Params<Named>) -> Result<bool> {
        let hello = |ctx: Context| async move {
            Ok::<_, Error>(Object::from([("nodeID", ctx.broker()?.node_id().as_str())]))
        };
        let service = Service::builder(named.name).action(Action::new("hello", hello));
        ctx.broker()?.create_service(service).await?;
        Ok(true)
    }

    #[action(name = "removeService")]
    async fn remove_service(&self, ctx: Context, Params(named): Params<Named>) -> Result<bool> {
        ctx.broker()?.destroy_service(named.name.as_str()).await?;
        Ok(true)
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
        if let Some(retries) = options.retries {
            call = call.retries(retries);
        }
        for (key, value) in options.headers {
            call = call.header(key, value);
        }
        if let Some(answer) = options.fallback_response {
            call = call.fallback_response(answer);
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
        lock(&self.received)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a sleeper, to its end or until its call is cancelled.
struct Sleeping<'a>(&'a AtomicUsize);

impl<'a> Sleeping<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Deserialize)]
struct FailTimes {
    times: u64,
    code: i64,
}

#[derive(Deserialize)]
struct Sleep {
    ms: f64,
}

#[derive(Deserialize)]
struct Size {
    size: usize,
}

#[derive(Deserialize)]
struct Named {
    name: String,
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
    retries: Option<u32>,
    meta: Object,
    headers: Object,
    #[serde(rename = "fallbackResponse")]
    fallback_response: Option<Value>,
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
