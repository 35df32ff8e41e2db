//! Where a packet goes, in terms that no medium has a say in.

use std::sync::Arc;

use crate::{NodeId, PacketKind};

/// The kind of a packet and who is to get it.
///
/// How this becomes a name on the medium is the transporter's business; the
/// reference's name is [`Topic::name`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The kind of the packet.
    pub kind: PacketKind,
    /// Who is to get it.
    pub target: Target,
}

/// Who is to get a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Every node.
    All,
    /// One node.
    Node(NodeId),
    /// Any one node that offers this action; the medium chooses.
    Action(Arc<str>),
    /// Any one node of this group that listens to this event; the medium chooses.
    Event {
        /// The group.
        group: Arc<str>,
        /// The event's name or pattern.
        event: Arc<str>,
    },
}

impl Topic {
    /// A packet for every node.
    pub const fn all(kind: PacketKind) -> Self {
        Self { kind, target: Target::All }
    }

    /// A packet for one node.
    pub const fn node(kind: PacketKind, node: NodeId) -> Self {
        Self { kind, target: Target::Node(node) }
    }

    /// The topic's name with dots, as most media of the reference spell it.
    ///
    /// ```
    /// use moleculer_protocol::{PacketKind, Topic};
    ///
    /// assert_eq!(Topic::all(PacketKind::Info).name("dev"), "MOL-dev.INFO");
    /// assert_eq!(Topic::node(PacketKind::Request, "b".into()).name(""), "MOL.REQ.b");
    /// ```
    pub fn name(&self, namespace: &str) -> String {
        let prefix = if namespace.is_empty() { "MOL".into() } else { format!("MOL-{namespace}") };
        match &self.target {
            Target::All => format!("{prefix}.{}", self.kind),
            Target::Node(node) => format!("{prefix}.{}.{node}", self.kind),
            Target::Action(action) => format!("{prefix}.REQB.{action}"),
            Target::Event { group, event } => format!("{prefix}.EVENTB.{group}.{event}"),
        }
    }
}
