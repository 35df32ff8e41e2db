//! Servers that are away, hang, or have no room.

use std::time::Duration;

use moleculer_cacher_redis::{RedisBuilder, RedisCacher};
use moleculer_core::{Payload, cacher::Cacher};
use tokio::time::Instant;

use crate::support::{Server, connect, eventually};

const LIMIT: Duration = Duration::from_millis(300);
/// Longest time for ten commands that fail at once. If they waited for the
/// limit, it would be ten times the limit.
const AT_ONCE: Duration = Duration::from_millis(1500);

fn on(server: &Server) -> RedisBuilder {
    RedisCacher::builder().url(server.url()).command_timeout(LIMIT)
}

async fn works(cacher: &RedisCacher) -> bool {
    let set = cacher.set("works", Payload::new(1), None).await;
    set.is_ok() && matches!(cacher.get("works").await, Ok(Some(_)))
}

async fn fails_at_once(cacher: &RedisCacher) {
    let since = Instant::now();
    let wait = Duration::from_secs(60);
    assert!(!cacher.connected());
    assert!(cacher.get("a").await.is_err());
    assert!(cacher.get_with_ttl("a").await.is_err());
    assert!(cacher.set("a", Payload::new(1), None).await.is_err());
    assert!(cacher.del(&["a"]).await.is_err());
    assert!(cacher.clean(&["**"]).await.is_err());
    assert!(cacher.keys().await.is_err());
    assert!(cacher.lock("a", wait).await.is_err());
    assert!(cacher.try_lock("a", wait).await.is_err());
    assert!(since.elapsed() < AT_ONCE, "it took {:?}", since.elapsed());
}

pub(crate) async fn a_server_that_is_not_there_yet() {
    let server = Server::prepare(&[]);
    let since = Instant::now();
    let (cacher, _) = connect(on(&server)).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    fails_at_once(&cacher).await;
    server.launch().await;
    eventually("it works", || works(&cacher)).await;
}

pub(crate) async fn a_server_that_is_restarted() {
    let server = Server::start(&[]).await;
    let (cacher, _) = connect(on(&server)).await;
    assert!(works(&cacher).await);
    server.kill();
    assert!(cacher.get("a").await.is_err());
    fails_at_once(&cacher).await;
    server.launch().await;
    eventually("it works", || works(&cacher)).await;
}

pub(crate) async fn a_server_that_hangs() {
    let server = Server::start(&[]).await;
    let (cacher, host) = connect(on(&server)).await;
    assert!(works(&cacher).await);
    let frozen = server.freeze();
    let since = Instant::now();
    assert!(cacher.get("a").await.is_err());
    let took = since.elapsed();
    assert!(took >= LIMIT && took < LIMIT * 10, "an answer was awaited for {took:?}");
    fails_at_once(&cacher).await;
    drop(frozen);
    eventually("it works", || works(&cacher)).await;
    // Nor does the end hang.
    let lock = cacher.lock("a", Duration::from_secs(60)).await.expect("nobody holds it");
    let frozen = server.freeze();
    drop(lock);
    let since = Instant::now();
    cacher.close().await.expect("the lock was given up");
    assert!(since.elapsed() < Duration::from_secs(3), "the end took {:?}", since.elapsed());
    eventually("no task is left", || async { host.running_tasks() == 0 }).await;
    drop(frozen);
}

pub(crate) async fn an_idle_server_is_asked() {
    let server = Server::start(&[]).await;
    let (cacher, _) = connect(on(&server).ping_interval(Duration::from_millis(50))).await;
    assert!(cacher.connected());
    let frozen = server.freeze();
    eventually("it is missed", || async { !cacher.connected() }).await;
    drop(frozen);
    eventually("it is back", || async { cacher.connected() }).await;
}

pub(crate) async fn a_server_without_room() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]).await;
    let (cacher, _) = connect(on(&server)).await;
    assert!(works(&cacher).await);
    let mut command = redis::cmd("CONFIG");
    server.query::<()>(command.arg("SET").arg("maxmemory").arg("1")).await.expect("it obeys");
    let error = cacher.set("a", Payload::new(1), None).await.expect_err("there is no room");
    assert!(error.message().contains("raise maxmemory"), "{error}");
    assert!(cacher.connected(), "what is there can be read");
    assert!(matches!(cacher.get("works").await, Ok(Some(_))));
}

pub(crate) async fn a_password_that_is_refused() {
    let server = Server::start(&["--requirepass", "right"]).await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port);
    for password in ["wrong", ""] {
        let cacher = RedisCacher::builder().url(url(password)).build().expect("sound options");
        let host = moleculer_core::cacher::CacherHost::without_broker("test");
        let error = cacher.connect(host).await.expect_err("the password is wrong");
        assert!(error.message().contains("check username and password"), "{error}");
        assert!(!error.message().contains("wrong@"), "{error}");
    }
    let (cacher, _) = connect(RedisCacher::builder().url(url("right"))).await;
    assert!(works(&cacher).await);
}

pub(crate) async fn another_master_takes_over() {
    let master = Server::start(&[]).await;
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]).await;
    let sentinel = Server::sentinel(master.port).await;
    let builder = RedisCacher::builder().command_timeout(LIMIT);
    let (cacher, _) = connect(builder.sentinels("main", [&*sentinel.address()])).await;
    assert!(works(&cacher).await);
    eventually("the replica has it", || async {
        let keys = replica.query::<Vec<String>>(redis::cmd("KEYS").arg("*")).await;
        keys.is_ok_and(|keys| !keys.is_empty())
    })
    .await;
    eventually("the sentinel knows the replica", || async {
        let mut command = redis::cmd("SENTINEL");
        let replicas =
            sentinel.query::<Vec<redis::Value>>(command.arg("replicas").arg("main")).await;
        replicas.is_ok_and(|replicas| replicas.len() == 1)
    })
    .await;
    master.kill();
    eventually("it works with the other one", || works(&cacher)).await;
}

pub(crate) async fn a_server_of_a_cluster_that_is_restarted() {
    let servers = crate::support::cluster().await;
    let nodes: Vec<String> = servers.iter().map(Server::url).collect();
    let builder = RedisCacher::builder().command_timeout(LIMIT);
    let (cacher, _) = connect(builder.cluster(nodes.iter().map(String::as_str))).await;
    eventually("it works", || works(&cacher)).await;
    servers[2].kill();
    let since = Instant::now();
    for index in 0..100 {
        // Fails where the lost server's keys are, but never hangs.
        drop(cacher.get(&format!("key {index}")).await);
    }
    assert!(since.elapsed() < Duration::from_secs(3), "it took {:?}", since.elapsed());
    servers[2].launch().await;
    eventually("all of it works", || async {
        let mut all = true;
        for index in 0..20 {
            all &= cacher.set(&format!("key {index}"), Payload::new(1), None).await.is_ok();
        }
        all
    })
    .await;
}
