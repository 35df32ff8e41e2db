//! Entries that somebody damaged, or wrote for another version of a service.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use moleculer_cacher_redis::RedisCacher;
use moleculer_core::{
    Action, BrokerBuilder, Cache, Context, Plugins, Result, Service, ServiceBroker, State,
};
use serde::{Deserialize, Serialize};

use crate::support::{DEADLINE, query};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Post {
    id: usize,
    title: String,
}

async fn post(State(runs): State<Arc<AtomicUsize>>, ctx: Context) -> Result<Post> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(Post { id: ctx.params()?, title: "Hello".to_owned() })
}

async fn node(url: &str, namespace: &str, runs: &Arc<AtomicUsize>) -> ServiceBroker {
    let posts = Service::builder("posts").with_state(runs.clone());
    let posts = posts.action(Action::new("get", post).cache(Cache::new()));
    let builder = BrokerBuilder::new(Plugins::core()).namespace(namespace);
    let cacher = RedisCacher::builder().url(url).command_timeout(DEADLINE);
    builder.cacher(cacher).service(posts).start().await.expect("it starts")
}

async fn write(url: &str, key: &str, entry: &[u8]) {
    query::<()>(url, redis::cmd("SET").arg(key).arg(entry)).await.expect("it is written");
}

/// The handler runs as if there were no entry, and its result replaces it.
pub(crate) async fn entries_that_cannot_be_read(url: String) {
    let runs = Arc::default();
    let broker = node(&url, "damaged", &runs).await;
    let nested = "[".repeat(1_000_000);
    let huge = format!("\"{}", "x".repeat(10_000_000));
    let damaged: [&[u8]; 7] = [
        b"",
        b"\xff\xfe\x00",
        b"{\"id\":5,\"title\":\"He",
        b"{\"id\":5,\"title\":\"Hello\"} {}",
        b"\x82\xa2id\x05",
        nested.as_bytes(),
        huge.as_bytes(),
    ];
    for (index, entry) in damaged.iter().enumerate() {
        let id = index + 1;
        write(&url, &format!("MOL-damaged-posts.get:{id}"), entry).await;
        let expected = Post { id, title: "Hello".to_owned() };
        assert_eq!(broker.call::<Post>("posts.get", id).await.expect("a post"), expected);
        assert_eq!(runs.load(Ordering::SeqCst), id, "the handler has run");
        assert_eq!(broker.call::<Post>("posts.get", id).await.expect("a post"), expected);
        assert_eq!(runs.load(Ordering::SeqCst), id, "the entry is sound again");
    }
    broker.stop().await.expect("a clean stop");
}

/// The cache does not know what a caller wants: what does not fit is the
/// caller's error, which names the member, until the entries are cleaned.
pub(crate) async fn entries_of_another_version(url: String) {
    let runs = Arc::default();
    let broker = node(&url, "older", &runs).await;
    let entry = |text: &'static str| write(&url, "MOL-older-posts.get:5", text.as_bytes());
    let call = || broker.call::<Post>("posts.get", 5).into_future();

    entry(r#"{"id":5,"title":"Old","author":{"id":7}}"#).await;
    assert_eq!(call().await.expect("a post").title, "Old", "more members do no harm");
    for (old, expected) in [
        (r#"{"id":5}"#, "missing field `title`"),
        (r#"{"id":"5","title":"Old"}"#, "expected usize"),
        (r#""Old""#, "expected struct Post"),
        (r"null", "expected struct Post"),
    ] {
        entry(old).await;
        let error = call().await.expect_err("it is no post");
        assert!(error.message().contains(expected), "{error}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let cacher = broker.cacher().expect("there is one");
    cacher.clean(&["posts.*"]).await.expect("cleaned");
    assert_eq!(call().await.expect("a post").title, "Hello");
    broker.stop().await.expect("a clean stop");
}
