//! Who holds the lock of a key.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use moleculer_core::cacher::DynCacher;
use tokio::time::{Instant, timeout};

use super::{Bench, Need, Outcome, Row, ensure, told};

pub(super) const CASES: &[Row] = &[
    ("locks::one_holds_it_at_a_time", Need::Nothing, |bench| Box::pin(one_at_a_time(bench))),
    ("locks::they_are_given_in_order", Need::Nothing, |bench| Box::pin(in_order(bench))),
    ("locks::a_trial_does_not_wait", Need::Nothing, |bench| Box::pin(trial(bench))),
    ("locks::who_gives_up_leaves_nothing", Need::Nothing, |bench| Box::pin(given_up(bench))),
    ("locks::all_of_a_shared_store_have_one", Need::Nothing, |bench| Box::pin(among_all(bench))),
    ("locks::those_of_the_dead_end", Need::Shared, |bench| Box::pin(of_the_dead(bench))),
];

const TTL: Duration = Duration::from_secs(20);

/// Runs something under a lock, and fails when another one does so too.
async fn alone(cacher: &Arc<dyn DynCacher>, inside: &AtomicUsize, rounds: usize) -> Outcome {
    for _ in 0..rounds {
        let held = told(cacher.lock_dyn("key", TTL).await)?;
        let others = inside.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(held);
        ensure!(others == 0, "{others} others hold the lock as well");
    }
    Ok(())
}

async fn one_at_a_time(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let inside = AtomicUsize::new(0);
    try_join_all((0..20).map(|_| alone(&cacher, &inside, 3))).await?;
    let held = told(cacher.lock_dyn("key", TTL).await)?;
    let other = timeout(Duration::from_secs(5), cacher.lock_dyn("another key", TTL)).await;
    ensure!(other.is_ok(), "the lock of one key is in the way of another");
    drop(held);
    Ok(())
}

async fn in_order(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let order = Mutex::new(Vec::new());
    let held = told(cacher.lock_dyn("key", TTL).await)?;
    let waiting = (0..10).map(|index| {
        let (cacher, order) = (&cacher, &order);
        async move {
            let held = cacher.lock_dyn("key", TTL).await;
            order.lock().map(|mut order| order.push(index)).unwrap_or_default();
            drop(held);
        }
    });
    let waiting = join_all(waiting);
    let release = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    futures_util::future::join(waiting, release).await;
    let order = order.into_inner().unwrap_or_default();
    ensure!(order.iter().copied().eq(0..10), "who came as 0 to 9 got it in the order {order:?}");
    Ok(())
}

async fn trial(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let held = told(cacher.try_lock_dyn("key", TTL).await)?;
    ensure!(held.is_some(), "nobody holds the lock, and it was not given");
    let limit = Duration::from_secs(5);
    let second = timeout(limit, cacher.try_lock_dyn("key", TTL)).await;
    let second = told(second.map_err(|_| "a trial waited for the lock".to_owned())?)?;
    ensure!(second.is_none(), "a lock was given twice");
    drop(held);
    free(&cacher, "key").await
}

/// The lock can be had, if not at once: a server is told in the background.
async fn free(cacher: &Arc<dyn DynCacher>, key: &str) -> Outcome {
    let held = timeout(Duration::from_secs(5), cacher.lock_dyn(key, TTL)).await;
    let held = held.map_err(|_| "a lock that was given back cannot be had".to_owned())?;
    told(held).map(drop)
}

async fn given_up(bench: Bench) -> Outcome {
    let cacher = bench.connect().await?;
    let held = told(cacher.lock_dyn("key", TTL).await)?;
    for _ in 0..3 {
        let waiting = timeout(Duration::from_millis(30), cacher.lock_dyn("key", TTL)).await;
        ensure!(waiting.is_err(), "a lock was given twice");
    }
    drop(held);
    free(&cacher, "key").await
}

async fn among_all(bench: Bench) -> Outcome {
    let (one, two) = (bench.connect().await?, bench.connect().await?);
    let shared = one.capabilities().shared;
    let held = told(one.lock_dyn("key", TTL).await)?;
    let other = told(two.try_lock_dyn("key", TTL).await)?;
    ensure!(other.is_none() == shared, "shared: {shared}, but another one gets the lock as well");
    drop((held, other));
    if shared {
        let inside = AtomicUsize::new(0);
        let (one, two) = (alone(&one, &inside, 10), alone(&two, &inside, 10));
        futures_util::future::try_join(one, two).await?;
    }
    Ok(())
}

async fn of_the_dead(bench: Bench) -> Outcome {
    let (dead, living) = (bench.connect().await?, bench.connect().await?);
    let ttl = Duration::from_secs(1);
    // Who dies gives nothing back.
    std::mem::forget(told(dead.lock_dyn("key", ttl).await)?);
    let since = Instant::now();
    let held = timeout(Duration::from_secs(10), living.lock_dyn("key", ttl)).await;
    let held = held.map_err(|_| "the lock of one who died never ends".to_owned())?;
    drop(told(held)?);
    let waited = since.elapsed();
    ensure!(waited > ttl.mul_f64(0.8), "a lock for {ttl:?} ended after {waited:?}");
    Ok(())
}
