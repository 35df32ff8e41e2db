//! Rust and JavaScript nodes share one cache: each finds what the other kept.

use std::{collections::BTreeSet, time::Duration};

use moleculer::{
    ProtocolVersion,
    cacher::{Cacher, CacherHost, redis::RedisCacher},
    prelude::*,
};
use serde_json::{Value as Json, json};

use crate::{
    cluster::{JAVASCRIPT, Medium, RUST, Setup, until},
    process::RedisServer,
};

/// Values whose keys have to be the same on both sides.
fn values(version: ProtocolVersion) -> Vec<Json> {
    let mut values = vec![
        json!(1),
        json!(-2.5),
        json!(1e21),
        json!("a text"),
        json!("é😀\"|"),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
        json!([1, "x", null, [true], {}]),
        json!({"id": 5, "name": "x", "nested": {"list": ["a", 1.5]}}),
        json!("long ".repeat(30)),
    ];
    // In 0.14 this has the key of the number.
    values.extend((version == ProtocolVersion::V5).then(|| json!("1")));
    values
}

pub(crate) async fn run(version: ProtocolVersion) -> Result<()> {
    let server = RedisServer::start().await?;
    let cacher = json!({ "type": "Redis", "options": {
        "ttl": 60, "maxParamsLength": 60, "redis": server.url,
    }});
    let options = json!({ "cacher": cacher });
    let setup = Setup::default().options(RUST, &options).options(JAVASCRIPT, &options);
    let cluster = setup.start((version, Medium::Tcp, "JSON")).await?;
    let store = RedisCacher::builder().url(&server.url).build()?;
    store.connect(CacherHost::without_broker(cluster.namespace())).await?;
    for (first, second) in [(RUST, JAVASCRIPT), (JAVASCRIPT, RUST)] {
        store.clean(&["**"]).await?;
        for (index, value) in values(version).into_iter().enumerate() {
            let params = json!({ "key": value, "noise": index });
            // Kept by the first in the background.
            let kept = cluster.call((second, first), "cached", params.clone()).await?;
            until("the result is kept", async || Ok(store.keys().await?.len() == index + 1))
                .await?;
            let found = cluster.call((first, second), "cached", params).await?;
            if found != kept {
                let problem = format!("{first} kept {kept} for {value}, {second} found {found}");
                return Err(Error::internal(problem));
            }
        }
        let keys: BTreeSet<String> = store.keys().await?.into_iter().collect();
        if keys.iter().any(|key| !key.starts_with("probe.cached:")) {
            return Err(Error::internal(format!("other keys than those of `cached`: {keys:?}")));
        }
    }
    // A result of one side that the other one has not run yet: it is the same run.
    let params = json!({ "key": "fresh" });
    let run = |answer: &Json| answer["run"].as_i64();
    let ours = cluster.call((JAVASCRIPT, RUST), "cached", params.clone()).await?;
    until("the result is kept", async || Ok(store.keys().await?.len() > values(version).len()))
        .await?;
    let theirs = cluster.call((RUST, JAVASCRIPT), "cached", params.clone()).await?;
    // What one side cleans, both miss.
    store.clean(&["probe.cached:*fresh*"]).await?;
    let again = cluster.call((JAVASCRIPT, RUST), "cached", params).await?;
    if run(&ours) != run(&theirs) || run(&again) != run(&ours).map(|run| run + 1) {
        return Err(Error::internal(format!("{ours}, then {theirs}, cleaned {again}")));
    }
    // Ours ends within a second of its time, as theirs does.
    let left = store.get_with_ttl("probe.cached:1").await?.and_then(|cached| cached.ttl);
    if left.is_some_and(|left| left > Duration::from_secs(60)) {
        return Err(Error::internal(format!("of 60 s there are {left:?} left")));
    }
    store.close().await?;
    cluster.driver.stop().await
}
