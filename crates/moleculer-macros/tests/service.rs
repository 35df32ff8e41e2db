//! Services made by the macro, in a local broker.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, Cache, Context, Error, ErrorKind, Event, FromContext, IntoService, Meta,
    Params, Plugins, Result, Service, ServiceBroker, State, Visibility,
};
use moleculer_macros::service;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

fn broker() -> BrokerBuilder {
    BrokerBuilder::new(Plugins::core()).node_id("node")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Post {
    id: i64,
    title: String,
}

#[derive(Serialize, Deserialize)]
struct PostKey {
    id: i64,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

/// Keeps posts, and counts how often they are read.
#[derive(Default)]
struct Posts {
    reads: AtomicI64,
}

#[service(name = "posts", version = 1, crate = moleculer_core)]
impl Posts {
    /// Returns one post,
    /// whoever asks.
    ///
    /// Further paragraphs are for readers of the code.
    #[action(timeout = "2s", rest = "GET /:id", cache = false, extra(cost = 2, weight = -0.5))]
    async fn get(&self, Params(key): Params<PostKey>) -> Result<Post> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let title = format!("Post {}", key.id);
        Ok(Post { id: key.id, title })
    }

    #[action(name = "countReads", visibility = "public", detached)]
    async fn count(&self) -> Result<i64> {
        Ok(self.reads.load(Ordering::Relaxed))
    }

    #[action(visibility = "private")]
    async fn hidden(&self) -> Result<()> {
        Ok(())
    }

    #[event("users.*", group = "cleaners")]
    #[event("accounts.removed")]
    async fn user_removed(&self) -> Result<()> {
        Ok(())
    }
}

/// The same schema as that of [`Posts`], with the builder.
fn posts_by_hand() -> Service {
    async fn get(Params(key): Params<PostKey>) -> Result<i64> {
        Ok(key.id)
    }
    async fn nothing() -> Result<()> {
        Ok(())
    }
    Service::builder("posts")
        .version(1)
        .action(
            Action::new("get", get)
                .timeout(Duration::from_secs(2))
                .extra("description", "Returns one post, whoever asks.")
                .extra("rest", "GET /:id")
                .extra("cost", 2)
                .extra("weight", -0.5)
                .cache(Cache::off()),
        )
        .action(
            Action::new("countReads", nothing)
                .visibility(Visibility::Public)
                .detached()
                .result_schema::<i64>(),
        )
        .action(Action::new("hidden", nothing).visibility(Visibility::Private))
        .event(Event::new("users.*", nothing).group("cleaners"))
        .event(Event::new("accounts.removed", nothing))
        .build()
}

#[tokio::test(start_paused = true)]
async fn the_schema_is_that_of_the_builder() -> Result<()> {
    let macro_made = schema(Posts::default()).await?;
    assert_eq!(macro_made, schema(posts_by_hand()).await?);

    let get = &macro_made[0]["actions"]["v1.posts.get"];
    assert_eq!(get["rest"], "GET /:id");
    assert_eq!(get["description"], "Returns one post, whoever asks.");
    assert_eq!(get["timeout"], 2000);
    let events = &macro_made[0]["events"];
    assert_eq!(events["users.*"]["group"], "cleaners");
    assert!(events["accounts.removed"].is_object());
    Ok(())
}

/// What `$node.services` and `$node.actions` tell of a service.
async fn schema(service: impl IntoService) -> Result<Value> {
    let broker = broker().service(service).start().await?;
    let options = json!({ "skipInternal": true, "withActions": true, "withEvents": true });
    let services: Value = broker.call("$node.services", options.clone()).await?;
    let actions: Value = broker.call("$node.actions", options).await?;
    broker.stop().await?;
    assert_eq!(services.as_array().map(Vec::len), Some(1));
    let described = actions
        .as_array()
        .is_some_and(|actions| actions.iter().any(|a| a["name"] == "v1.posts.get"));
    assert!(described, "{actions}");
    Ok(json!([services[0], actions]))
}

#[tokio::test(start_paused = true)]
async fn handlers_share_the_fields() -> Result<()> {
    let broker = broker().service(Posts::default()).start().await?;
    for id in [1, 2] {
        let post: Post = broker.call("v1.posts.get", PostKey { id }).await?;
        assert_eq!(post.title, format!("Post {id}"));
    }
    let reads: i64 = broker.call("v1.posts.countReads", ()).await?;
    assert_eq!(reads, 2);

    let hidden: Result<()> = broker.call("v1.posts.hidden", ()).await;
    assert_eq!(hidden.unwrap_err().kind(), &ErrorKind::ServiceNotFound);
    broker.stop().await
}

#[tokio::test]
async fn methods_stay_methods() -> Result<()> {
    let posts = Posts::default();
    let post = posts.get(Params(PostKey { id: 7 })).await?;
    assert_eq!(post.id, 7);
    assert_eq!(posts.count().await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn events_arrive_at_each_of_their_names() -> Result<()> {
    struct Shared(Log);

    #[service(crate = moleculer_core)]
    impl Shared {
        #[event("users.*", group = "cleaners")]
        #[event("accounts.removed")]
        async fn removed(&self, ctx: Context, Params(name): Params<String>) -> Result<()> {
            let line = format!("{} {} {name}", ctx.event(), ctx.listener_group());
            note(&self.0, &line)
        }
    }

    let seen = Log::default();
    let broker = broker().service(Shared(Arc::clone(&seen))).start().await?;
    broker.emit("users.removed", "Ada").await?;
    broker.emit("accounts.removed", "Bob").await?;
    broker.emit("accounts.added", "Eve").await?;
    let expected = ["users.removed cleaners Ada", "accounts.removed shared Bob"];
    assert_eq!(*seen.lock().unwrap(), expected);
    broker.stop().await
}

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: &str) -> Result<()> {
    let mut log = log.lock().map_err(|error| Error::internal(error.to_string()))?;
    log.push(what.into());
    Ok(())
}

struct UserAccounts {
    log: Log,
}

#[service(crate = moleculer_core)]
impl UserAccounts {
    #[started]
    async fn open(&self) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        note(&self.log, "accounts open")
    }
}

struct Mailer {
    log: Log,
}

#[service(dependencies("userAccounts"), crate = moleculer_core)]
impl Mailer {
    #[started]
    async fn connect(&self, broker: ServiceBroker) -> Result<()> {
        note(&self.log, &format!("mailer connects {}", broker.node_id()))
    }

    #[started]
    async fn warm_up(&self) -> Result<()> {
        note(&self.log, "mailer warms up")
    }

    #[stopped]
    async fn disconnect(&self) -> Result<()> {
        note(&self.log, "mailer disconnects")
    }

    #[stopped]
    async fn flush(&self) -> Result<()> {
        note(&self.log, "mailer flushes")
    }
}

#[tokio::test(start_paused = true)]
async fn lifecycle_handlers_run_in_order() -> Result<()> {
    let log = Log::default();
    let broker = broker()
        .service(Mailer { log: log.clone() })
        .service(UserAccounts { log: log.clone() })
        .start()
        .await?;
    let started = ["accounts open", "mailer connects node", "mailer warms up"];
    assert_eq!(*log.lock().unwrap(), started);

    broker.stop().await?;
    assert_eq!(log.lock().unwrap()[3..], ["mailer flushes", "mailer disconnects"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failing_start_stops_the_broker() {
    struct Broken;

    #[service(crate = moleculer_core)]
    impl Broken {
        #[started]
        async fn connect(&self) -> Result<(), OutOfStock> {
            Err(OutOfStock)
        }
    }

    let error = broker().service(Broken).start().await.unwrap_err();
    assert_eq!(error.r#type(), Some("OUT_OF_STOCK"));
}

struct OutOfStock;

impl From<OutOfStock> for Error {
    fn from(_: OutOfStock) -> Self {
        Self::client(409, "OUT_OF_STOCK", "nothing is left")
    }
}

/// An argument that panics when there are no params.
struct Fragile;

impl<S> FromContext<S> for Fragile {
    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        ctx.params::<String>()?;
        panic!("the argument broke");
    }
}

#[derive(Default)]
struct Shop {
    sold: AtomicI64,
}

#[service(crate = moleculer_core)]
impl Shop {
    #[action]
    async fn sell(&self, Params(count): Params<i64>) -> Result<i64, OutOfStock> {
        if count > 10 {
            return Err(OutOfStock);
        }
        Ok(self.sold.fetch_add(count, Ordering::Relaxed) + count)
    }

    #[action]
    async fn greet(&self, Meta(user): Meta<User>, State(shop): State<Arc<Self>>) -> Result<String> {
        assert!(std::ptr::eq(self, &*shop), "the state is the service");
        Ok(format!("Hello {}", user.name))
    }

    #[action]
    async fn fragile(&self, #[extract] _argument: Fragile) -> Result<()> {
        Ok(())
    }

    #[action]
    async fn panics(&self) -> Result<()> {
        panic!("the method broke");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_reach_the_caller() -> Result<()> {
    let broker = broker().service(Shop::default()).start().await?;
    let fail =
        async |action, params: Value| broker.call::<Value>(action, params).await.unwrap_err();

    let error = fail("shop.sell", json!(11)).await;
    assert_eq!((error.code(), error.r#type()), (409, Some("OUT_OF_STOCK")));
    let error = fail("shop.sell", json!("many")).await;
    assert_eq!(error.kind(), &ErrorKind::Validation);
    let error = fail("shop.fragile", json!("text")).await;
    assert_eq!((error.r#type(), error.message()), (Some("PANIC"), "the argument broke"));
    let error = fail("shop.fragile", json!(5)).await;
    assert_eq!(error.kind(), &ErrorKind::Validation);
    let error = fail("shop.panics", json!({})).await;
    assert_eq!((error.r#type(), error.message()), (Some("PANIC"), "the method broke"));

    let sold: i64 = broker.call("shop.sell", 3).await?;
    assert_eq!(sold, 3, "what failed sold nothing");
    let greeting: String = broker.call("shop.greet", ()).meta([("name", "Ada")]).await?;
    assert_eq!(greeting, "Hello Ada");
    broker.stop().await
}

struct Slow {
    done: mpsc::UnboundedSender<&'static str>,
}

#[service(crate = moleculer_core)]
impl Slow {
    #[action(timeout = "100ms")]
    async fn attached(&self) -> Result<()> {
        self.finish("attached").await
    }

    #[action(timeout = "100ms", detached)]
    async fn detached(&self) -> Result<()> {
        self.finish("detached").await
    }

    async fn finish(&self, name: &'static str) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.done.send(name).map_err(|error| Error::internal(error.to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_detached_action_outlives_its_timeout() -> Result<()> {
    let (done, mut finished) = mpsc::unbounded_channel();
    let broker = broker().service(Slow { done }).start().await?;
    for action in ["slow.attached", "slow.detached"] {
        let result: Result<()> = broker.call(action, ()).await;
        assert_eq!(result.unwrap_err().kind(), &ErrorKind::RequestTimeout);
    }
    let first = tokio::time::timeout(Duration::from_secs(10), finished.recv()).await;
    assert_eq!(first.unwrap(), Some("detached"));
    broker.stop().await
}
