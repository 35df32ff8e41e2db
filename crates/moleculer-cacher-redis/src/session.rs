//! From the first connection to the last: [`Session`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use moleculer_core::{Error, Result, cacher::CacherHost};
use redis::{Cmd, FromRedisValue};
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{failed, is_about_connection, no_answer, no_answer_by_tls, not_connected, refused},
    link::Link,
    target::{Limits, Target},
};

/// The connection, which is made again whenever it is lost.
pub(crate) struct Session {
    target: Target,
    limits: Limits,
    ping_interval: Option<Duration>,
    link: ArcSwapOption<Link>,
    connected: AtomicBool,
    /// Something failed: the connection has to be looked at.
    doubt: Notify,
    ended: CancellationToken,
}

/// Pauses between attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Session {
    pub(crate) fn new(target: Target, limits: Limits, ping_interval: Option<Duration>) -> Self {
        Self {
            target,
            limits,
            ping_interval,
            link: ArcSwapOption::empty(),
            connected: AtomicBool::new(false),
            doubt: Notify::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Runs until the end; `first` is told how the first attempt went.
    pub(crate) async fn run(self: Arc<Self>, host: CacherHost, first: oneshot::Sender<Result<()>>) {
        let running = self.stay_connected(&host, first);
        self.ended.run_until_cancelled(running).await;
        self.disconnected();
    }

    pub(crate) fn end(&self) {
        self.disconnected();
        self.ended.cancel();
    }

    async fn stay_connected(&self, host: &CacherHost, first: oneshot::Sender<Result<()>>) {
        let (mut first, mut pause, mut told) = (Some(first), SHORTEST_PAUSE, false);
        loop {
            match self.connect().await {
                Ok(link) => {
                    tracing::info!(servers = %self.target.servers(), "connected to Redis");
                    (pause, told) = (SHORTEST_PAUSE, false);
                    self.link.store(Some(Arc::new(link)));
                    self.connected.store(true, Ordering::Release);
                    tell(&mut first, Ok(()));
                    self.watch(host).await;
                    self.disconnected();
                }
                Err((error, again)) => {
                    // An outage is told of once, however long it takes.
                    if !std::mem::replace(&mut told, true) {
                        host.report("clientError", &error);
                    }
                    tell(&mut first, if again { Ok(()) } else { Err(error) });
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&self) -> Result<Link, (Error, bool)> {
        // The client's own limit does not count what the server is asked first.
        let connecting = async {
            let link = self.target.connect(self.limits).await?;
            // A server that wants a password takes the connection all the same.
            link.query::<()>(&redis::cmd("PING")).await.map(|()| link)
        };
        match timeout(self.limits.connect, connecting).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(refused(&self.target.servers(), error)),
            Err(_) if self.target.has_tls() => Err((no_answer_by_tls(), true)),
            Err(_) => Err((no_answer(), true)),
        }
    }

    /// Looks after a connection until it is lost.
    async fn watch(&self, host: &CacherHost) {
        loop {
            let interval = async {
                match self.ping_interval {
                    Some(interval) => sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.doubt.notified() => {}
                () = interval => {}
            }
            if let Err(error) = self.ping().await {
                host.report("failedSendPing", &error);
                return;
            }
            self.connected.store(true, Ordering::Release);
        }
    }

    async fn ping(&self) -> Result<()> {
        let link = self.link.load_full().ok_or_else(not_connected)?;
        self.ask(&link, &redis::cmd("PING")).await
    }

    /// Asks the server, unless there is none.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.ask(&*self.link()?, command).await
    }

    /// The connection, unless it is lost or in doubt.
    pub(crate) fn link(&self) -> Result<Arc<Link>> {
        self.link.load_full().filter(|_| self.connected()).ok_or_else(not_connected)
    }

    async fn ask<T: FromRedisValue>(&self, link: &Link, command: &Cmd) -> Result<T> {
        self.within_limit(link.query(command)).await
    }

    /// Limits how long the server may take for an answer.
    pub(crate) async fn within_limit<T>(
        &self,
        asking: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T> {
        let error = match timeout(self.limits.command, asking).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                if is_about_connection(&error) {
                    self.doubted();
                }
                return Err(failed(error));
            }
            Err(_) => no_answer(),
        };
        self.doubted();
        Err(error)
    }

    fn doubted(&self) {
        self.connected.store(false, Ordering::Release);
        self.doubt.notify_one();
    }

    fn disconnected(&self) {
        self.connected.store(false, Ordering::Release);
        self.link.store(None);
    }
}

fn tell(first: &mut Option<oneshot::Sender<Result<()>>>, how: Result<()>) {
    if let Some(first) = first.take() {
        // Who asked may have gone.
        drop(first.send(how));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("servers", &self.target.servers())
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}
