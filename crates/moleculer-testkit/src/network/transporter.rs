//! [`SimTransporter`].

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use moleculer_core::{
    Delivery, Error, Flow, Host, Result, Transporter, TransporterCapabilities, TryPublishError,
    protocol::{Target, Topic},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{End, Inbox, SimNetwork, lost};

/// One node's way into a [`SimNetwork`].
pub struct SimTransporter {
    network: SimNetwork,
    end: Mutex<Option<Arc<End>>>,
}

impl SimTransporter {
    pub(super) fn new(network: SimNetwork) -> Self {
        Self { network, end: Mutex::new(None) }
    }

    fn end(&self) -> Result<Arc<End>> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let end = end.ok_or_else(|| Error::internal("not connected"))?;
        if self.network.state().away.contains(end.host.node_id()) { Err(lost()) } else { Ok(end) }
    }
}

impl fmt::Debug for SimTransporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimTransporter({:?})", self.network)
    }
}

impl Transporter for SimTransporter {
    fn name(&self) -> &'static str {
        "Sim"
    }

    fn capabilities(&self) -> TransporterCapabilities {
        let mut capabilities = TransporterCapabilities::default();
        capabilities.balanced = true;
        capabilities.can_pause = true;
        capabilities
    }

    async fn connect(&self, host: Host) -> Result<()> {
        let end = Arc::new(End {
            host: host.clone(),
            inner: Mutex::new(Inbox::default()),
            work: Notify::new(),
            room: Notify::new(),
        });
        {
            let mut state = self.network.state();
            if state.away.contains(host.node_id()) {
                return Err(lost());
            }
            state.ends.push(Arc::clone(&end));
        }
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&end));
        let network = self.network.clone();
        let stopping = host.stopping();
        host.spawn(async move {
            stopping.run_until_cancelled(read(&network, &end)).await;
        });
        Ok(())
    }

    async fn subscribe(&self, _: Vec<Topic>) -> Result<()> {
        Ok(())
    }

    async fn subscribe_balanced(&self, topics: Vec<Topic>) -> Result<()> {
        self.end()?.inbox().balanced = topics;
        Ok(())
    }

    fn try_publish(&self, topic: &Topic, bytes: Bytes) -> Result<(), TryPublishError> {
        let end = self.end().map_err(TryPublishError::Failed)?;
        let receivers = match &topic.target {
            Target::All => return Err(TryPublishError::Full(bytes)),
            _ => self.network.receivers(&end.host, topic),
        };
        // Only with one receiver is it sure that nobody gets it twice.
        if receivers.len() > 1 {
            return Err(TryPublishError::Full(bytes));
        }
        let from = end.host.node_id();
        let dead = end.inbox().over;
        let sent = |to| dead || self.network.send(from, to, topic.kind, &bytes);
        if receivers.iter().all(sent) { Ok(()) } else { Err(TryPublishError::Full(bytes)) }
    }

    async fn publish(&self, topic: &Topic, bytes: Bytes) -> Result<()> {
        let end = self.end()?;
        for to in self.network.receivers(&end.host, topic) {
            loop {
                let room = to.room.notified();
                let over = end.inbox().over || to.inbox().over;
                if over || self.network.send(end.host.node_id(), &to, topic.kind, &bytes) {
                    break;
                }
                room.await;
            }
        }
        Ok(())
    }

    async fn disconnect(&self) -> Result<()> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(end) = end else { return Ok(()) };
        let mut state = self.network.state();
        state.ends.retain(|other| !Arc::ptr_eq(other, &end));
        drop(state);
        end.finish();
        Ok(())
    }
}

/// Hands each packet on when it is due.
async fn read(network: &SimNetwork, end: &End) {
    loop {
        let work = end.work.notified();
        let next = {
            let mut inbox = end.inbox();
            if inbox.over {
                return;
            }
            match inbox.packets.first_entry() {
                Some(first) if first.key().0 <= Instant::now() => Ok(first.remove()),
                first => Err(first.map(|first| first.key().0)),
            }
        };
        match next {
            Ok((from, kind, bytes)) => {
                end.room.notify_waiters();
                network.arrived(&from, end.host.node_id(), kind);
                if end.host.deliver(Delivery::new(kind, bytes)) == Flow::Pause {
                    end.host.ready().await;
                }
            }
            Err(Some(due)) => {
                tokio::select! {
                    biased;
                    () = work => {}
                    () = sleep_until(due) => {}
                }
            }
            Err(None) => work.await,
        }
    }
}
