//! What can go wrong, as errors of the broker.

use async_nats::{ConnectError, ConnectErrorKind, PublishError, PublishErrorKind, rustls};
use moleculer_core::{Error, ErrorKind, NodeId, Object};

/// There is no connection to a server.
pub(crate) fn disconnected() -> Error {
    Error::from_data(ErrorKind::BrokerDisconnected, Object::new())
}

/// No server took us. Another attempt may succeed, unless who we are or whom
/// we trust is the reason.
pub(crate) fn not_connected(servers: &str, error: ConnectError) -> Error {
    let (retryable, advice) = match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            (false, "; check user and pass, token, nkey or userCreds (auth options)")
        }
        ConnectErrorKind::Authentication => (false, "; nkey must be the seed of a user (SU...)"),
        ConnectErrorKind::Tls => (false, "; check the files that tls names"),
        _ if is_about_tls(&error) => (false, "; check the certificates that tls names"),
        _ => (true, ""),
    };
    let message = format!("cannot connect to NATS at {servers}: {error}{advice}");
    let kind = if retryable { ErrorKind::Retryable } else { ErrorKind::Moleculer };
    Error::new(kind, message).with_type("NATS_NOT_CONNECTED").with_source(error)
}

/// async-nats reports a failed handshake as an input or output error.
fn is_about_tls(error: &ConnectError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}

/// The packet cannot go out, now or ever.
pub(crate) fn not_published(subject: &str, error: PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::Send => disconnected(),
        PublishErrorKind::MaxPayloadExceeded => {
            let message = format!("{error}; max_payload of the NATS server sets it");
            Error::client(413, "PACKET_TOO_LARGE", &message).with_source(error)
        }
        PublishErrorKind::InvalidSubject => {
            let message = format!(
                "'{subject}' is no NATS subject: node ids and names must have no white space"
            );
            Error::client(400, "INVALID_SUBJECT", message).with_source(error)
        }
    }
}

/// A name that would make subjects which mean something else.
pub(crate) fn bad_name(what: &str, name: &str) -> Error {
    Error::options(format!(
        "NATS transporter: the {what} '{name}' cannot be part of a subject; it must have no white \
         space, `*` or `>`, and no dot at its ends or beside another"
    ))
}

/// So much waits that nothing more may.
pub(crate) fn queue_full(node: &NodeId, size: usize, limit: usize) -> Error {
    let mut data = Object::from([("nodeID", node.as_str())]);
    data.insert("size", size);
    data.insert("limit", limit);
    let message = format!(
        "{size} bytes wait for the NATS server, with a limit of {limit}: send less, or raise \
         maxQueuedBytes"
    );
    Error::new(ErrorKind::QueueIsFull, message).with_data(data)
}

/// The credentials cannot be used. Another attempt will find them the same,
/// unless somebody mends them.
pub(crate) fn bad_credentials(what: &str, error: std::io::Error) -> Error {
    let message = format!(
        "cannot use {what}: {error}; it must hold the JWT and the seed of a user, as `nsc \
         generate creds` writes them"
    );
    Error::new(ErrorKind::Moleculer, message).with_type("NATS_NOT_CONNECTED").with_source(error)
}

/// Nobody took a packet for too long.
pub(crate) fn no_room(node: &NodeId) -> Error {
    Error::new(ErrorKind::Retryable, format!("the NATS connection of '{node}' takes nothing now"))
        .with_type("NATS_NO_ROOM")
}
