//! Mixins: parts of services that are merged into several of them.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use moleculer::prelude::*;
use serde_json::json;

/// Rows by id, shared by the handlers of one service.
type Store = Arc<Mutex<BTreeMap<u64, Value>>>;

/// Gives a service the actions of a store. A mixin is made by an ordinary
/// function, so it takes what it needs as arguments.
fn store(rows: impl IntoIterator<Item = (u64, Value)>) -> Service {
    async fn get(Params(id): Params<u64>, State(store): State<Store>) -> Result<Value> {
        let store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let row = store.get(&id).cloned();
        row.ok_or_else(|| Error::client(404, "ROW_NOT_FOUND", format!("there is no row {id}")))
    }

    async fn remove(Params(id): Params<u64>, State(store): State<Store>) -> Result<bool> {
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(store.remove(&id).is_some())
    }

    let rows: Store = Arc::new(Mutex::new(rows.into_iter().collect()));
    Service::mixin()
        .settings([("pageSize", 20), ("maxPageSize", 100)])
        .with_state(rows)
        .action(Action::new("get", get))
        .action(Action::new("remove", remove))
        .build()
}

/// Lets only callers with a user in their metadata change something.
fn for_users() -> Service {
    async fn check(ctx: Context) -> Result<()> {
        match ctx.meta().get("user") {
            Some(_) => Ok(()),
            None => Err(Error::client(401, "NO_USER", "sign in first")),
        }
    }

    Service::mixin().before("create|update|remove", check).build()
}

/// What the service says itself wins over its mixins.
fn posts() -> Service {
    async fn title(ctx: Context, Params(id): Params<u64>) -> Result<String> {
        let post: Value = ctx.call_own("get", id).await?;
        Ok(post.pointer("title").and_then(Value::as_str).unwrap_or("untitled").to_owned())
    }

    Service::builder("posts")
        .settings([("pageSize", 50)])
        .mixin(for_users())
        .mixin(store([(1, json!({ "title": "Notes on the engine" }).into())]))
        .action(Action::new("title", title))
        .build()
}

#[tokio::main]
async fn main() -> Result<()> {
    let posts = posts();
    println!("settings {:?}", posts.settings());
    println!("actions  {}", posts.action_names().collect::<Vec<_>>().join(", "));

    let broker = ServiceBroker::builder().service(posts).start().await?;
    let title: String = broker.call("posts.title", 1).await?;
    println!("title    {title}");
    if let Err(error) = broker.call::<bool>("posts.remove", 1).await {
        println!("refused  {error}");
    }
    let removed: bool = broker.call("posts.remove", 1).meta([("user", "Ada")]).await?;
    println!("removed  {removed}");
    broker.stop().await
}
