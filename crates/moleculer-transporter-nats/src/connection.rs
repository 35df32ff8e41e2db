//! A connection of async-nats, and what it tells of itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::StreamExt;
use moleculer_core::{NodeId, Result};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    NatsConfig,
    error::{bad_credentials, disconnected, not_connected},
    servers::{Login, Servers},
};

/// Packets that may wait to be written.
const QUEUE: usize = 2048;

/// Hears what becomes of a connection.
pub(crate) trait Listener: Send + Sync + 'static {
    /// It is lost; async-nats tries each server once more.
    fn lost(&self);
    /// It is back, with its subscriptions.
    fn back(&self);
}

/// A client, and when its tasks have ended.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) ended: CancellationToken,
}

impl Connection {
    /// Connects to one of these servers.
    ///
    /// When the connection is lost, async-nats tries each server once and keeps
    /// what was to be written; if none answers it ends. It could go on for
    /// ever, but then nothing could stop it.
    pub(crate) async fn open(
        config: &NatsConfig,
        servers: &Servers,
        node: &NodeId,
        listener: impl Listener,
    ) -> Result<Self> {
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let listener = Arc::new(listener);
        let was_connected = Arc::new(AtomicBool::new(false));
        let options = options(config, servers, node).await?.event_callback(move |event| {
            // Dropped with this closure, which is when the tasks have ended.
            let _guard = &guard;
            hear(&event, &*listener, &was_connected);
            std::future::ready(())
        });
        let client = options
            .connect(servers.addresses())
            .await
            .map_err(|error| not_connected(&servers.to_string(), error))?;
        Ok(Self { client, ended })
    }

    /// Resolves when the server has heard everything that was said before,
    /// subscriptions above all. `subject` is one that nobody else listens to.
    ///
    /// # Errors
    ///
    /// When the connection has ended. A server that does not answer in time,
    /// because it allows this user no such subject, is believed.
    pub(crate) async fn confirm(&self, subject: String, patience: Duration) -> Result<()> {
        let mut echo = self.client.subscribe(subject.clone()).await.map_err(|_| disconnected())?;
        self.client.publish(subject, Bytes::new()).await.map_err(|_| disconnected())?;
        match timeout(patience, echo.next()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(disconnected()),
            Err(_) => {
                tracing::warn!("the NATS server confirms no subscriptions; this node goes on");
                Ok(())
            }
        }
    }
}

fn hear(event: &Event, listener: &impl Listener, was_connected: &AtomicBool) {
    match event {
        Event::Connected => {
            if was_connected.swap(true, Ordering::AcqRel) {
                listener.back();
            }
        }
        Event::Disconnected => listener.lost(),
        Event::SlowConsumer(_) => {
            tracing::error!("a packet from NATS is lost: handlers block the thread that reads");
        }
        Event::ServerError(error) => tracing::error!(%error, "the NATS server refused something"),
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS client"),
        Event::Draining | Event::Closed => {}
    }
}

async fn options(config: &NatsConfig, servers: &Servers, node: &NodeId) -> Result<ConnectOptions> {
    let mut options = ConnectOptions::new()
        .name(config.name.as_deref().unwrap_or(node.as_str()))
        .connection_timeout(*config.timeout)
        .ping_interval(*config.ping_interval)
        .client_capacity(QUEUE)
        .max_reconnects(servers.addresses().len())
        .reconnect_delay_callback(|_| Duration::ZERO);
    if config.no_randomize {
        options = options.retain_servers_order();
    }
    if config.ignore_cluster_updates {
        options = options.ignore_discovered_servers();
    }
    if let Some(credentials) = credentials(config).await? {
        let options = options.credentials(&credentials);
        let options = options.map_err(|error| bad_credentials("these credentials", error))?;
        return Ok(with_tls(options, config));
    }
    Ok(with_tls(with_login(options, config, servers), config))
}

/// A user's JWT and seed, as in a `.creds` file. The file is read for each
/// connection: whoever renews credentials writes a new one.
async fn credentials(config: &NatsConfig) -> Result<Option<String>> {
    if let Some(file) = &config.user_creds {
        let what = file.display().to_string();
        let read = tokio::fs::read_to_string(file).await;
        return read.map(Some).map_err(|error| bad_credentials(&what, error));
    }
    let (Some(jwt), Some(seed)) = (&config.user_jwt, &config.nkey) else { return Ok(None) };
    Ok(Some(format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt.trim(),
        seed.trim()
    )))
}

/// What is given explicitly goes before what a URL says.
fn with_login(options: ConnectOptions, config: &NatsConfig, servers: &Servers) -> ConnectOptions {
    if let (Some(user), Some(pass)) = (&config.user, &config.pass) {
        return options.user_and_password(user.clone(), pass.clone());
    }
    if let Some(token) = &config.token {
        return options.token(token.clone());
    }
    if let Some(seed) = &config.nkey {
        return options.nkey(seed.clone());
    }
    match servers.login() {
        Some(Login::User { user, pass }) => options.user_and_password(user.clone(), pass.clone()),
        Some(Login::Token(token)) => options.token(token.clone()),
        None => options,
    }
}

fn with_tls(options: ConnectOptions, config: &NatsConfig) -> ConnectOptions {
    let Some(tls) = &config.tls else { return options };
    let mut options = options.require_tls(true);
    if let Some(file) = &tls.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&tls.cert_file, &tls.key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    if tls.handshake_first { options.tls_first() } else { options }
}
