//! Locks that all who share a server respect: [`Locks`].

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use moleculer_core::{
    RandomSource, Result,
    cacher::{KeyLock, KeyLocks},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{error::not_connected, session::Session};

/// Locks by name on the server. Those of one process queue up before it, so
/// that one of them asks the server at a time, and all get it in order.
#[derive(Debug)]
pub(crate) struct Locks {
    here: KeyLocks,
    /// Decides how long to wait, not whose a lock is.
    random: RandomSource,
    /// There is room for every lock, since each has a place of its own.
    releases: mpsc::Sender<Release>,
    places: Arc<Semaphore>,
    ended: CancellationToken,
    all_given_back: CancellationToken,
}

/// A lock to give back. The next one of this process gets it after the server.
struct Release {
    name: String,
    token: String,
    here: KeyLock,
    place: OwnedSemaphorePermit,
}

/// So many locks a node holds or gives back at a time; the next ones wait.
const PLACES: usize = 10_000;

/// Between attempts to get a lock that another process holds.
const PAUSE: Duration = Duration::from_millis(50);

/// At most so many locks are given back at a time.
const RELEASES: usize = 64;

impl Locks {
    /// The locks, and the task that gives them back.
    pub(crate) fn new(
        session: Arc<Session>,
        random: RandomSource,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (releases, due) = mpsc::channel(PLACES);
        let (ended, all_given_back) = (CancellationToken::new(), CancellationToken::new());
        let (end, last) = (ended.clone(), all_given_back.clone());
        let task = async move {
            let _last = last.drop_guard();
            give_back(session, due, end).await;
        };
        let (here, places) = (KeyLocks::default(), Arc::new(Semaphore::new(PLACES)));
        (Self { here, random, releases, places, ended, all_given_back }, task)
    }

    /// Gives back what is due, and ends.
    pub(crate) async fn end(&self) {
        self.ended.cancel();
        self.all_given_back.cancelled().await;
    }

    pub(crate) async fn lock(
        &self,
        session: &Session,
        name: &str,
        ttl: Duration,
    ) -> Result<KeyLock> {
        let here = self.here.lock(name).await;
        // Nobody closes it.
        let place = self.places.clone().acquire_owned().await.map_err(|_| not_connected())?;
        let token = token();
        while !acquire(session, name, &token, ttl).await? {
            sleep(PAUSE + PAUSE.mul_f64(self.random.below(100) as f64 / 100.0)).await;
        }
        Ok(self.held(name, token, here, place))
    }

    pub(crate) async fn try_lock(
        &self,
        session: &Session,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<KeyLock>> {
        let Some(here) = self.here.try_lock(name) else {
            return Ok(None);
        };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Ok(None);
        };
        let token = token();
        let acquired = acquire(session, name, &token, ttl).await?;
        Ok(acquired.then(|| self.held(name, token, here, place)))
    }

    fn held(
        &self,
        name: &str,
        token: String,
        here: KeyLock,
        place: OwnedSemaphorePermit,
    ) -> KeyLock {
        let (releases, name) = (self.releases.clone(), name.to_owned());
        // After the end it ends by itself, on the server.
        KeyLock::new(move || drop(releases.try_send(Release { name, token, here, place })))
    }
}

/// Nobody else has the same, not even a node with the same seed: whoever has
/// it may give the lock back.
fn token() -> String {
    Uuid::new_v4().to_string()
}

async fn acquire(session: &Session, name: &str, token: &str, ttl: Duration) -> Result<bool> {
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2);
    let mut command = redis::cmd("SET");
    command.arg(name).arg(token).arg("NX").arg("PX").arg(ttl);
    let answer: Option<String> = session.query(&command).await?;
    Ok(answer.is_some())
}

async fn give_back(session: Arc<Session>, due: mpsc::Receiver<Release>, ended: CancellationToken) {
    let due = stream::unfold((due, ended), |(mut due, ended)| async move {
        let next = tokio::select! {
            biased;
            next = due.recv() => next,
            () = ended.cancelled() => {
                due.close();
                due.recv().await
            }
        };
        next.map(|next| (next, (due, ended)))
    });
    due.for_each_concurrent(RELEASES, |release| release_one(&session, release)).await;
}

/// Deletes the lock if it is still this one.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

async fn release_one(session: &Session, release: Release) {
    let mut command = redis::cmd("EVAL");
    command.arg(RELEASE).arg(1).arg(&release.name).arg(&release.token);
    if let Err(error) = session.query::<()>(&command).await {
        tracing::debug!(lock = release.name, %error, "a lock ends by its time");
    }
    drop((release.here, release.place));
}
