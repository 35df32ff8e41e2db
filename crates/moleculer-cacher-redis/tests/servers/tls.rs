//! Servers that speak TLS.

use moleculer_cacher_redis::{RedisBuilder, RedisCacher, TlsConfig};
use moleculer_core::{
    Payload,
    cacher::{Cacher, CacherHost},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{DEADLINE, Server, certificate, cluster_with_tls, connect, eventually};

/// Trusts the authority of these tests.
fn trusting() -> TlsConfig {
    let mut tls = TlsConfig::default();
    tls.ca = Some(certificate("ca.pem").into());
    tls
}

async fn accepted(builder: RedisBuilder) {
    let (cacher, _) = connect(builder.connect_timeout(DEADLINE)).await;
    eventually("it works", || async { cacher.set("a", Payload::new(1), None).await.is_ok() }).await;
    assert!(matches!(cacher.get("a").await, Ok(Some(_))));
    cacher.close().await.expect("a clean end");
}

/// The start fails, and says why.
async fn refused(builder: RedisBuilder, advice: &str) {
    let cacher = builder.connect_timeout(DEADLINE).build().expect("sound options");
    let host = CacherHost::without_broker("test");
    let error = cacher.connect(host).await.expect_err("no connection");
    assert!(error.message().ends_with(advice), "{error}");
    assert!(!error.retryable(), "{error}");
}

async fn start(options: &[&str]) -> Server {
    let server = Server::prepare(options).with_tls();
    server.launch().await;
    server
}

pub(crate) async fn the_authority_is_named() {
    let server = start(&[]).await;
    let plain = || RedisCacher::builder().url(server.url());
    accepted(plain().tls(trusting())).await;
    let mut text = TlsConfig::default();
    let pem = std::fs::read_to_string(certificate("ca.pem")).expect("it is there");
    text.ca = Some(pem.as_str().into());
    accepted(plain().tls(text)).await;
    // Not the system's authorities, unless that does not matter.
    refused(
        plain(),
        "; the authority of the server's certificate is not trusted; name it in tls.ca",
    )
    .await;
    let mut any = TlsConfig::default();
    any.reject_unauthorized = false;
    accepted(plain().tls(any)).await;
    accepted(RedisCacher::builder().url(format!("{}/#insecure", server.url()))).await;
}

pub(crate) async fn certificates_are_for_names() {
    let server = start(&[]).await;
    let named = |name: &str| {
        let mut tls = trusting();
        tls.servername = Some(name.to_owned());
        RedisCacher::builder().url(server.url()).tls(tls)
    };
    accepted(named("localhost")).await;
    let advice =
        "; name the host as the server's certificate does, or say in tls.servername whose it is";
    refused(named("elsewhere.example"), advice).await;
}

pub(crate) async fn the_server_wants_a_certificate() {
    let server = start(&["--tls-auth-clients", "yes"]).await;
    let builder = |tls| RedisCacher::builder().url(server.url()).tls(tls);
    let mut known = trusting();
    known.cert = Some(certificate("client.pem").into());
    known.key = Some(certificate("client-key.pem").into());
    accepted(builder(known)).await;
    let advice = "; the server wants a certificate of this node; set tls.cert and tls.key";
    refused(builder(trusting()), advice).await;
}

pub(crate) async fn a_server_without_tls() {
    // What Redis makes of the first bytes of TLS depends on chance: either it
    // refuses them, or it waits for the end of the line.
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = server.local_addr().expect("an address").port();
    let answering = tokio::spawn(async move {
        let (mut client, _) = server.accept().await.expect("a client");
        client.read_u8().await.expect("it begins");
        client.write_all(b"-ERR unknown command\r\n").await.expect("it listens");
        client.read_to_end(&mut Vec::new()).await.ok();
    });
    let builder = RedisCacher::builder().url(format!("rediss://127.0.0.1:{port}")).tls(trusting());
    let advice =
        "; the server speaks no TLS on this port; use redis:// and no `tls`, or its other port";
    refused(builder, advice).await;
    answering.await.expect("no panic");
}

pub(crate) async fn clusters_and_sentinels() {
    let servers = cluster_with_tls().await;
    let nodes: Vec<_> = servers.iter().map(Server::address).collect();
    let nodes = || nodes.iter().map(String::as_str);
    accepted(RedisCacher::builder().tls(trusting()).cluster(nodes())).await;
    let untrusted = RedisCacher::builder().tls(TlsConfig::default()).cluster(nodes());
    refused(untrusted, "; name it in tls.ca").await;

    let master = start(&["--tls-replication", "yes"]).await;
    let sentinel = Server::prepare(&[]).with_tls().watching(master.port).await;
    let address = sentinel.address();
    let builder = || RedisCacher::builder().sentinels("main", [&*address]);
    accepted(builder().tls(trusting())).await;
    refused(builder().tls(TlsConfig::default()), "; name it in tls.ca").await;
}
