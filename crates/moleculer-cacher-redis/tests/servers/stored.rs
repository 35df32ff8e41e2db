//! What other nodes find on the server.

use std::time::Duration;

use moleculer_cacher_redis::{REDIS, RedisCacher};
use moleculer_core::{
    BrokerBuilder, Object, Payload, Plugins, Value,
    cacher::{Cacher, CacherHost},
};
use serde_json::json;

use crate::support::{connect, eventually, query};

async fn ask<T: redis::FromRedisValue>(url: &str, command: &[&str]) -> T {
    let mut asked = redis::cmd(command[0]);
    query(url, asked.arg(&command[1..])).await.expect("an answer")
}

/// The reference's clients read and write the same.
pub(crate) async fn entries_are_json_with_an_end(url: String) {
    let (cacher, _) = connect(RedisCacher::builder().url(&url)).await;
    let value = Object::from([("id", Value::from(5)), ("tags", vec![1.5, 2.0].into())]);
    let ttl = Some(Duration::from_secs(30));
    cacher.set("posts.get:5", Payload::new(value), ttl).await.expect("it is kept");
    let stored: String = ask(&url, &["GET", "MOL-test-posts.get:5"]).await;
    assert_eq!(stored, r#"{"id":5,"tags":[1.5,2]}"#);
    let left: u64 = ask(&url, &["TTL", "MOL-test-posts.get:5"]).await;
    assert!((10..=30).contains(&left), "{left}");

    let _: () = ask(&url, &["SET", "MOL-test-posts.get:6", r#"{"id":6}"#, "EX", "20"]).await;
    let cached = cacher.get_with_ttl("posts.get:6").await.expect("an answer").expect("it is there");
    assert_eq!(cached.value.get("id").expect("JSON"), Some(6.into()));
    assert!(cached.ttl.is_some_and(|ttl| ttl.as_secs() >= 5));
}

/// So does a node of the reference with `serializer: "MsgPack"`.
pub(crate) async fn entries_are_of_the_serializer_that_is_named(url: String) {
    let plugins = Plugins::core().cacher(REDIS).serializer(moleculer_serializer_msgpack::PLUGIN);
    let redis = json!({"url": &*url, "commandTimeout": "20s"});
    let options = json!({"redis": redis, "serializer": "MsgPack"});
    let choice = json!({"type": "Redis", "options": options});
    let cacher = plugins.make_cacher(&choice.into()).expect("sound options").expect("a cacher");
    cacher.connect_dyn(CacherHost::without_broker("packed")).await.expect("it begins");
    let value = || Value::from(Object::from([("id", 5)]));
    cacher.set_dyn("5", Payload::from(value()), None).await.expect("it is kept");
    let stored: Vec<u8> = ask(&url, &["GET", "MOL-packed-5"]).await;
    assert_eq!(stored, b"\x81\xa2id\x05");
    let found = cacher.get_dyn("5").await.expect("an answer").expect("it is there");
    assert_eq!(found.take::<Value>().expect("it fits"), value());
    // Another node still writes JSON, and its entries are none here.
    let _: () = ask(&url, &["SET", "MOL-packed-5", r#"{"id":5}"#]).await;
    assert!(cacher.get_dyn("5").await.expect("no error").is_none());
}

pub(crate) async fn short_times_are_kept_to_the_millisecond(url: String) {
    let (cacher, _) = connect(RedisCacher::builder().url(&url)).await;
    eventually("a time that is not rounded", || async {
        let ttl = Some(Duration::from_millis(60_999));
        cacher.set("short", Payload::new(1), ttl).await.expect("it is kept");
        let left: i64 = ask(&url, &["PTTL", "MOL-test-short"]).await;
        (60_001..=60_999).contains(&left)
    })
    .await;
    cacher.set("none", Payload::new(1), Some(Duration::ZERO)).await.expect("no error");
    assert!(cacher.get("none").await.expect("an answer").is_none());
    cacher.set("long", Payload::new(1), Some(Duration::MAX)).await.expect("it is kept");
    assert!(cacher.get("long").await.expect("an answer").is_some());
}

pub(crate) async fn prefixes_are_those_of_the_reference(url: String) {
    for (prefix, namespace, expected) in
        [(None, "", "MOL-key"), (None, "a", "MOL-a-key"), (Some("own"), "a", "own-key")]
    {
        let builder = RedisCacher::builder().url(&url);
        let builder = match prefix {
            Some(prefix) => builder.prefix(prefix),
            None => builder,
        };
        let cacher = builder.build().expect("sound options");
        cacher.connect(CacherHost::without_broker(namespace)).await.expect("it begins");
        cacher.set("key", Payload::new(1), None).await.expect("it is kept");
        let found: Option<String> = ask(&url, &["GET", expected]).await;
        assert_eq!(found.as_deref(), Some("1"), "{expected}");
        cacher.del(&["key"]).await.expect("it goes");
    }
}

/// Somebody else's value under our key is no result, and can be replaced.
pub(crate) async fn values_of_another_type_are_missing(url: String) {
    let (cacher, _) = connect(RedisCacher::builder().url(&url)).await;
    let _: () = ask(&url, &["DEL", "MOL-test-list"]).await;
    let _: () = ask(&url, &["RPUSH", "MOL-test-list", "x"]).await;
    assert!(cacher.get("list").await.expect("no error").is_none());
    assert!(cacher.get_with_ttl("list").await.expect("no error").is_none());
    cacher.set("list", Payload::new(1), None).await.expect("it is replaced");
    assert!(cacher.get("list").await.expect("an answer").is_some());
    assert!(cacher.connected());
}

/// The reference's locks have the same name, so that both respect each other.
pub(crate) async fn locks_are_keys_beside_the_entries(url: String) {
    let (cacher, _) = connect(RedisCacher::builder().url(&url)).await;
    let ttl = Duration::from_secs(30);
    let held = cacher.lock("guarded", ttl).await.expect("nobody holds it");
    let left: i64 = ask(&url, &["PTTL", "MOL-test-guarded-lock"]).await;
    assert!((10_000..=30_000).contains(&left), "{left}");
    // Whoever has it by now keeps it: ours ended, so to say.
    let _: () = ask(&url, &["SET", "MOL-test-guarded-lock", "somebody else", "PX", "300"]).await;
    drop(held);
    let _again = cacher.lock("guarded", ttl).await.expect("it ends");
    let holder: String = ask(&url, &["GET", "MOL-test-guarded-lock"]).await;
    assert_ne!(holder, "somebody else");
}

/// A lock of another process is not given back, not even by a twin.
pub(crate) async fn tokens_differ_between_nodes_of_one_seed(url: String) {
    let holder = async || {
        let twin = BrokerBuilder::new(Plugins::core()).node_id("twin").seed(1);
        let twin = twin.build().expect("sound options");
        let host = CacherHost::new(&twin);
        let cacher = RedisCacher::builder().url(&url).prefix("twins").build();
        let cacher = cacher.expect("sound options");
        cacher.connect(host).await.expect("it begins");
        let _held = cacher.lock("guarded", Duration::from_secs(30)).await.expect("it is free");
        let token: String = ask(&url, &["GET", "twins-guarded-lock"]).await;
        let _: () = ask(&url, &["DEL", "twins-guarded-lock"]).await;
        token
    };
    assert_ne!(holder().await, holder().await);
}
