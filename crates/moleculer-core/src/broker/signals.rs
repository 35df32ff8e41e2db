//! Running until the process is told to end.

use std::{io, process, sync::mpsc, thread};

use tokio::sync::oneshot;

use super::ServiceBroker;
use crate::{Error, Result};

/// What a shell makes of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

impl ServiceBroker {
    /// Runs until the process is told to end (SIGINT or SIGTERM), then stops.
    ///
    /// A second signal while the broker stops ends the process at once, with
    /// the exit code 130, even when a handler blocks its thread. A `main` that
    /// returns this result thus exits with 0 after a stop that was asked for,
    /// and with 1 and the error on standard error when the broker could not go
    /// on: another node has its node id, for example. A service that fails to
    /// stop is logged.
    ///
    /// # Errors
    ///
    /// The error that stopped the broker, if one did; or when the process
    /// cannot listen to signals.
    pub async fn run_until_signal(&self) -> Result<()> {
        let mut signals = Signals::listen().map_err(|error| {
            Error::internal(format!("cannot listen to signals: {error}")).with_source(error)
        })?;
        tokio::select! {
            signal = &mut signals.first => {
                let signal = signal.unwrap_or_default();
                tracing::info!(node_id = %self.node_id(), signal, "told to end");
            }
            () = self.0.tasks.token().cancelled() => {}
        }
        let stopped = self.stop().await;
        drop(signals);
        stopped
    }
}

/// The signals that end a process, watched by a thread of its own: it works
/// even when no other does. Dropped, it ends.
struct Signals {
    /// The name of the first one.
    first: oneshot::Receiver<&'static str>,
    _end: oneshot::Sender<()>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let (listening, listens) = mpsc::channel();
        let (first, receiver) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("moleculer-signals".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let watched = runtime.and_then(|runtime| {
                runtime.block_on(async {
                    let mut source = Source::new()?;
                    // Nobody waits for it any more when the caller is gone.
                    drop(listening.send(Ok(())));
                    tokio::select! {
                        () = watch(&mut source, first) => {}
                        _ = ended => {}
                    }
                    Ok(())
                })
            });
            drop(watched.map_err(|error: io::Error| listening.send(Err(error))));
        })?;
        // An error: the thread is gone.
        listens.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Self { first: receiver, _end: end })
    }
}

async fn watch(source: &mut Source, first: oneshot::Sender<&'static str>) {
    let signal = source.next().await;
    first.send(signal).ok();
    let signal = source.next().await;
    tracing::error!(signal, "a second signal: ended before everything has stopped");
    process::exit(INTERRUPTED);
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(windows)]
struct Source(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Source {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> &'static str {
        self.0.recv().await;
        "Ctrl-C"
    }
}
