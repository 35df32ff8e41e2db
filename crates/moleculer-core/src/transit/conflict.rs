//! Another node has this node's id: ADR 0038.

use std::sync::{Arc, atomic::Ordering};

use moleculer_protocol::PacketBody;

use super::Transit;
use crate::{Error, ServiceBroker, broker::Phase};

impl Transit {
    /// Takes a packet of discovery that has this node's id: what it sent itself
    /// and the medium brings back, or what another node of this id sent.
    pub(super) fn on_own_packet(self: &Arc<Self>, broker: &ServiceBroker, body: &PacketBody) {
        let own = &broker.inner().instance_id;
        let another_hears = match body {
            PacketBody::Info(info) => {
                info.instance_id != *own && self.stays(broker, &info.instance_id)
            }
            // One that starts under this id hears of it before others hear of
            // that one.
            PacketBody::Discover => true,
            PacketBody::Heartbeat(beat) => beat
                .instance_id
                .as_ref()
                .is_some_and(|instance| !own.starts_with(instance.as_str())),
            _ => false,
        };
        if another_hears && broker.inner().phase() == Phase::Started {
            self.show(broker);
        }
    }

    /// Whether this node stays when another instance has its id. Of two that
    /// have started it is the one whose instance id is less, since both can see
    /// that; who is still starting goes.
    pub(super) fn stays(&self, broker: &ServiceBroker, instance: &str) -> bool {
        let started = broker.inner().phase() == Phase::Started;
        let stays = started && *broker.inner().instance_id < *instance;
        if !stays {
            self.give_way(broker);
        } else if let Some(untold) = self.rivals.count() {
            let node_id = &self.node_id;
            tracing::error!(%node_id, untold, "another node uses this node id; it has to stop");
        }
        stays
    }

    /// Stops the broker without a goodbye, which would take the other node off
    /// all others.
    fn give_way(&self, broker: &ServiceBroker) {
        let first = !self.gave_way.swap(true, Ordering::AcqRel);
        if first && broker.inner().phase() <= Phase::Started {
            let node = &self.node_id;
            broker.fail(Error::internal(format!(
                "another node uses the node id '{node}'; give each node its own"
            )));
        }
    }

    /// Tells whoever has this node's id of this node.
    fn show(self: &Arc<Self>, broker: &ServiceBroker) {
        let transit = Arc::clone(self);
        broker.inner().tasks.spawn(async move {
            let own = Some(transit.node_id.clone());
            if let Err(error) = transit.discoverer.send_local_info_dyn(own).await {
                tracing::warn!(%error, "this node's info was not sent");
            }
        });
    }
}
