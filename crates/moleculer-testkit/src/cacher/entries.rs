//! What is set, and for how long it is found.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use moleculer_core::{
    Object, Payload, Value,
    cacher::{CacherHost, DynCacher},
};
use tokio::time::{Instant, sleep};

use super::{Bench, Need, Outcome, Row, ensure, told, until};

pub(super) const CASES: &[Row] = &[
    ("entries::what_is_set_is_found", Need::Nothing, |bench| Box::pin(found(bench))),
    ("entries::a_later_one_replaces_an_earlier", Need::Nothing, |bench| Box::pin(replaced(bench))),
    ("entries::they_expire", Need::Nothing, |bench| Box::pin(expiry(bench))),
    ("entries::what_is_left_of_their_time_is_known", Need::Nothing, |bench| {
        Box::pin(time_left(bench))
    }),
    ("entries::unreadable_ones_are_missing", Need::Damage, |bench| Box::pin(damaged(bench))),
    ("entries::keys_are_any_text", Need::Nothing, |bench| Box::pin(any_keys(bench))),
    ("entries::deleted_ones_are_gone", Need::Nothing, |bench| Box::pin(deleted(bench))),
    ("entries::the_least_recently_used_make_room", Need::Max, |bench| Box::pin(room(bench))),
    ("entries::others_see_those_of_a_shared_store", Need::Nothing, |bench| Box::pin(others(bench))),
    ("entries::many_at_the_same_time", Need::Nothing, |bench| Box::pin(many(bench))),
    ("entries::nothing_runs_after_the_close", Need::Nothing, |bench| Box::pin(closed(bench))),
];

/// The value of a key; what stands at once has to agree.
pub(super) async fn get(cacher: &Arc<dyn DynCacher>, key: &str) -> Outcome<Option<Value>> {
    let waited = told(cacher.get_dyn(key).await)?;
    if let std::task::Poll::Ready(now) = cacher.get_now(key) {
        ensure!(now == waited, "{key}: {now:?} at once, but {waited:?} when waited for");
    }
    let value = waited.map(|value| value.to_value()).transpose();
    value.map_err(|error| format!("{key}: {error}"))
}

pub(super) async fn set(
    cacher: &Arc<dyn DynCacher>,
    key: &str,
    value: impl Into<Value>,
) -> Outcome {
    told(cacher.set_dyn(key, Payload::from(value.into()), None).await)
}

async fn set_for(cacher: &Arc<dyn DynCacher>, key: &str, ttl: Duration) -> Outcome {
    told(cacher.set_dyn(key, Payload::new(1), Some(ttl)).await)
}

async fn found(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let list = vec![Value::Null, false.into(), "".into(), 1.5.into(), "\0\u{1f600}\"".into()];
    let object = Object::from([("list", Value::Array(list)), ("empty", Object::new().into())]);
    let values: [Value; 8] = [
        object.into(),
        Value::Null,
        false.into(),
        0.into(),
        i64::MIN.into(),
        "".into(),
        Value::Array(Vec::new()),
        "x".repeat(1 << 20).into(),
    ];
    for value in values {
        set(&cacher, "key", value.clone()).await?;
        let found = get(&cacher, "key").await?;
        ensure!(found.as_ref() == Some(&value), "set {value:?}, found {found:?}");
    }
    let found = get(&cacher, "another").await?;
    ensure!(found.is_none(), "nothing was set, found {found:?}");
    Ok(())
}

const SHORT: Duration = Duration::from_secs(1);

async fn replaced(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    set_for(&cacher, "key", SHORT).await?;
    set(&cacher, "key", 2).await?;
    set_for(&cacher, "end", SHORT).await?;
    until("the end of an entry", || async { matches!(get(&cacher, "end").await, Ok(None)) })
        .await?;
    let found = get(&cacher, "key").await?;
    ensure!(found == Some(2.into()), "the later value has no end, but found {found:?}");
    Ok(())
}

async fn expiry(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let set_at = Instant::now();
    set_for(&cacher, "short", SHORT).await?;
    set_for(&cacher, "long", LONG).await?;
    set(&cacher, "ever", 1).await?;
    let before = get(&cacher, "short").await?;
    if set_at.elapsed() < SHORT {
        ensure!(before.is_some(), "an entry was gone before its end");
    }
    sleep(SHORT.mul_f64(1.2)).await;
    let after = get(&cacher, "short").await?;
    ensure!(after.is_none(), "found {after:?} after the end");
    let keys = told(cacher.keys_dyn().await)?;
    ensure!(!keys.contains(&"short".to_owned()), "{keys:?} lists one after its end");
    for key in ["long", "ever"] {
        ensure!(get(&cacher, key).await?.is_some(), "'{key}' was gone too early");
    }
    Ok(())
}

const LONG: Duration = Duration::from_secs(300);

async fn time_left(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    set_for(&cacher, "long", LONG).await?;
    set(&cacher, "ever", 1).await?;
    let cached = told(cacher.get_with_ttl_dyn("long").await)?;
    let left = cached.as_ref().and_then(|cached| cached.ttl);
    let fits = left.is_some_and(|left| left <= LONG && left > LONG.mul_f64(0.9));
    ensure!(fits, "of {LONG:?} there is {left:?} left");
    let value = cached.and_then(|cached| cached.value.to_value().ok());
    ensure!(value == Some(1.into()), "set 1, found {value:?}");
    let ever = told(cacher.get_with_ttl_dyn("ever").await)?.map(|cached| cached.ttl);
    ensure!(ever == Some(None), "an entry without an end has {ever:?} left");
    let none = told(cacher.get_with_ttl_dyn("none").await)?;
    ensure!(none.is_none(), "nothing was set, found {none:?}");
    Ok(())
}

async fn damaged(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    set(&cacher, "key", "value").await?;
    if let Some(damage) = &bench.subject.damage {
        damage(bench.namespace.clone(), "key".to_owned()).await;
    }
    let found = get(&cacher, "key").await?;
    ensure!(found.is_none(), "damaged bytes were read as {found:?}");
    let found = told(cacher.get_with_ttl_dyn("key").await)?;
    ensure!(found.is_none(), "damaged bytes were read as {found:?}");
    set(&cacher, "key", "again").await?;
    ensure!(get(&cacher, "key").await?.is_some(), "a damaged entry was not replaced");
    Ok(())
}

async fn any_keys(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let long = "k".repeat(1 << 16);
    let longer = format!("{}l", "k".repeat((1 << 16) - 1));
    let keys = [
        "a",
        "A",
        "a ",
        " a",
        "a\n",
        "a\0",
        "",
        "posts.find:id|\"2\"",
        "é",
        "e\u{301}",
        "a*",
        "a?",
        "a[b]",
        "a\\",
        "{a}b",
        "{a}",
        "\u{1f600}",
        "\u{fffd}",
        &long,
        &longer,
    ];
    for (index, key) in keys.iter().enumerate() {
        set(&cacher, key, index).await?;
    }
    for (index, key) in keys.iter().enumerate() {
        let found = get(&cacher, key).await?;
        let name = key.get(..20).unwrap_or(key);
        ensure!(found == Some(index.into()), "key {name:?} has {found:?} instead of {index}");
    }
    let mut listed = told(cacher.keys_dyn().await)?;
    listed.sort();
    let mut expected = keys.map(str::to_owned).to_vec();
    expected.sort();
    ensure!(listed == expected, "the keys are {expected:.80?}, listed were {listed:.80?}");
    Ok(())
}

async fn deleted(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    for key in ["a", "b", "c", "ab"] {
        set(&cacher, key, 1).await?;
    }
    told(cacher.del_dyn(&[]).await)?;
    told(cacher.del_dyn(&["a", "none", "c"]).await)?;
    for (key, there) in [("a", false), ("b", true), ("c", false), ("ab", true)] {
        let found = get(&cacher, key).await?;
        ensure!(found.is_some() == there, "'{key}': found {found:?} after others were deleted");
    }
    Ok(())
}

async fn room(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let max = cacher.capabilities().max.unwrap_or_default();
    for index in 0..max {
        set(&cacher, &format!("old {index}"), index).await?;
    }
    told(cacher.keys_dyn().await)?;
    get(&cacher, "old 0").await?;
    for index in 1..max {
        set(&cacher, &format!("new {index}"), index).await?;
    }
    let keys = told(cacher.keys_dyn().await)?;
    let count = keys.len() as u64;
    ensure!(count <= max && count > max / 2, "{count} entries, where {max} fit");
    ensure!(keys.contains(&"old 0".to_owned()), "one that was used had to go");
    let old = keys.iter().filter(|key| key.starts_with("old")).count();
    ensure!(old <= 2, "{old} old ones stayed, and newer ones had to go");
    Ok(())
}

async fn others(bench: Bench) -> Outcome {
    let (one, two) = (bench.connect().await?, bench.connect().await?);
    let stranger = bench.connect_in(&bench.neighbour).await?;
    let shared = one.capabilities().shared;
    set(&one, "key", 1).await?;
    let found = get(&two, "key").await?.is_some();
    ensure!(found == shared, "shared: {shared}, but another one has the entry: {found}");
    let found = get(&stranger, "key").await?;
    ensure!(found.is_none(), "an entry of another namespace was found: {found:?}");
    let keys = told(stranger.keys_dyn().await)?;
    ensure!(keys.is_empty(), "another namespace has the keys {keys:?}");
    let listed = told(one.keys_dyn().await)?;
    ensure!(listed == ["key"], "one key was set, listed were {listed:?}");
    Ok(())
}

async fn many(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let tasks = (0..50_u64).map(|task| {
        let cacher = cacher.clone();
        async move {
            for round in 0..10_u64 {
                let key = format!("task {task}");
                set(&cacher, &key, round).await?;
                let found = get(&cacher, &key).await?;
                ensure!(found == Some(round.into()), "{key}: set {round}, found {found:?}");
            }
            Ok(())
        }
    });
    try_join_all(tasks).await.map(drop)
}

async fn closed(bench: Bench) -> Outcome {
    let host = CacherHost::without_broker(&bench.namespace);
    let cacher = bench.connect_with(host.clone()).await?;
    set(&cacher, "key", 1).await?;
    told(cacher.close_dyn().await)?;
    until("the end of all tasks", || async { host.running_tasks() == 0 }).await?;
    if cacher.capabilities().shared {
        ensure!(!cacher.connected(), "connected after the close");
        ensure!(cacher.get_dyn("key").await.is_err(), "an entry was read after the close");
    }
    Ok(())
}
