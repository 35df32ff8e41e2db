//! The errors of sending.

use std::io;

use moleculer_core::{Error, ErrorKind, NodeId, Object, protocol::tcp::FrameError};

/// The transporter is not connected.
pub(crate) fn disconnected() -> Error {
    Error::from_data(ErrorKind::BrokerDisconnected, Object::new())
}

/// Nothing can be sent to a node now; a later attempt may succeed.
pub(crate) fn unreachable(node: &NodeId, address: &str, error: io::Error) -> Error {
    let message = format!("cannot reach node '{node}' at {address}: {error}");
    let data = Object::from([("nodeID", node.as_str()), ("address", address)]);
    Error::new(ErrorKind::Retryable, message)
        .with_type("NODE_UNREACHABLE")
        .with_data(data)
        .with_source(error)
}

/// Nobody told where a node listens.
pub(crate) fn no_address(node: &NodeId) -> Error {
    let message = format!("cannot reach node '{node}': its address is not known");
    Error::new(ErrorKind::Retryable, message)
        .with_type("NODE_UNREACHABLE")
        .with_data(Object::from([("nodeID", node.as_str())]))
}

/// The peer would close the connection.
pub(crate) fn not_sendable(error: FrameError) -> Error {
    let message = match &error {
        FrameError::TooLarge { .. } => format!("{error}; maxPacketSize sets it on all nodes"),
        _ => error.to_string(),
    };
    Error::client(413, "PACKET_TOO_LARGE", message).with_source(error)
}
