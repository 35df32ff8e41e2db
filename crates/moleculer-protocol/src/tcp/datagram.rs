//! The announcement `namespace|nodeID|port`.

use crate::NodeId;

/// Says which node listens on which TCP port, sent by UDP to find peers.
///
/// ```
/// use moleculer_protocol::tcp::Announcement;
///
/// let announcement = Announcement {
///     namespace: "dev".into(),
///     node_id: "node-1".into(),
///     port: 43123,
/// };
/// assert_eq!(announcement.encode()?, "dev|node-1|43123");
/// assert_eq!(Announcement::parse(b"dev|node-1|43123")?, announcement);
/// # Ok::<(), moleculer_protocol::tcp::AnnouncementError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The sender's namespace; empty when it has none. Nodes of another
    /// namespace are to be ignored.
    pub namespace: String,
    /// The sender.
    pub node_id: NodeId,
    /// The TCP port on which it listens.
    pub port: u16,
}

impl Announcement {
    /// The text of the datagram.
    ///
    /// # Errors
    ///
    /// When the namespace or the node id holds a `|`, or the id is empty: no
    /// receiver could take the text apart.
    pub fn encode(&self) -> Result<String, AnnouncementError> {
        let Self { namespace, node_id, port } = self;
        for text in [namespace, node_id.as_str()] {
            if text.contains('|') {
                return Err(AnnouncementError::Separator(text.into()));
            }
        }
        if node_id.is_empty() {
            return Err(AnnouncementError::NoNodeId);
        }
        Ok(format!("{namespace}|{node_id}|{port}"))
    }

    /// Takes a datagram apart.
    ///
    /// # Errors
    ///
    /// When it is no announcement. The port is open to anybody, so this is
    /// nothing to worry about: ignore the datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, AnnouncementError> {
        let text = std::str::from_utf8(datagram).map_err(|_| AnnouncementError::Form)?;
        let mut parts = text.split('|');
        let (Some(namespace), Some(node_id), Some(port), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AnnouncementError::Form);
        };
        if node_id.is_empty() {
            return Err(AnnouncementError::NoNodeId);
        }
        Ok(Self {
            namespace: namespace.into(),
            node_id: node_id.into(),
            port: port.parse().map_err(|_| AnnouncementError::Port)?,
        })
    }
}

/// An [`Announcement`] could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// The parts are separated by `|`, so none may hold one.
    #[error("{0:?} cannot be announced: choose a name without '|'")]
    Separator(Box<str>),
    /// The node id is empty.
    #[error("an announcement needs a node id")]
    NoNodeId,
    /// It is not three parts of text.
    #[error("an announcement has the form namespace|nodeID|port")]
    Form,
    /// The last part is no port.
    #[error("the port of an announcement is a number from 0 to 65535")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_separator_are_refused() {
        let announcement = |namespace: &str, node_id: &str| Announcement {
            namespace: namespace.into(),
            node_id: node_id.into(),
            port: 1,
        };
        assert_eq!(announcement("", "a").encode().unwrap(), "|a|1");
        let error = |namespace, node_id| announcement(namespace, node_id).encode().unwrap_err();
        assert_eq!(
            error("dev", "a|b").to_string(),
            r#""a|b" cannot be announced: choose a name without '|'"#
        );
        assert_eq!(error("d|", "a"), AnnouncementError::Separator("d|".into()));
        assert_eq!(error("", ""), AnnouncementError::NoNodeId);
    }

    #[test]
    fn other_datagrams_are_refused() {
        use AnnouncementError::{Form, NoNodeId, Port};
        for (datagram, expected) in [
            (&b""[..], Form),
            (b"dev", Form),
            (b"dev|a", Form),
            (b"dev|a|1|", Form),
            (b"\xff|a|1", Form),
            (b"||1", NoNodeId),
            (b"dev|a|", Port),
            (b"dev|a|65536", Port),
            (b"dev|a|-1", Port),
            (b"dev|a|1 ", Port),
            (b"dev|a|0x10", Port),
        ] {
            assert_eq!(Announcement::parse(datagram), Err(expected), "{datagram:?}");
        }
    }
}
