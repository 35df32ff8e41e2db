//! What can go wrong, as errors of the broker.

use moleculer_core::{Error, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError};

use crate::tls;

/// The server failed, refused a command, or did not answer.
pub(crate) fn failed(error: RedisError) -> Error {
    let advice = match error.code() {
        Some("OOM") => "; raise maxmemory, or let the server evict keys (maxmemory-policy)",
        Some("READONLY") => "; the server is a replica, name its master",
        _ => "",
    };
    let message = format!("Redis: {error}{advice}");
    Error::new(ErrorKind::Retryable, message).with_type("REDIS_ERROR").with_source(error)
}

/// The server did not answer in time.
pub(crate) fn no_answer() -> Error {
    Error::new(ErrorKind::Retryable, "Redis: the server does not answer").with_type("REDIS_ERROR")
}

/// The server took a connection, and said nothing to the first words of TLS.
pub(crate) fn no_answer_by_tls() -> Error {
    let message = "Redis: the server does not answer; does it speak TLS on this port?";
    Error::new(ErrorKind::Retryable, message).with_type("REDIS_NOT_CONNECTED")
}

/// There is no connection now.
pub(crate) fn not_connected() -> Error {
    Error::new(ErrorKind::Retryable, "Redis: there is no connection").with_type("REDIS_ERROR")
}

/// No server took us; whether another attempt may succeed.
pub(crate) fn refused(servers: &str, error: RedisError) -> (Error, bool) {
    let login = error.kind() == RedisKind::AuthenticationFailed
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        || error.to_string().contains("WRONGPASS")
        || error.to_string().contains("NOAUTH");
    let advice = match login {
        true => Some("check username and password"),
        false => tls::advice(&error.to_string()),
    };
    let again = advice.is_none();
    let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    let message = format!("cannot connect to Redis at {servers}: {error}{advice}");
    let kind = if again { ErrorKind::Retryable } else { ErrorKind::Moleculer };
    (Error::new(kind, message).with_type("REDIS_NOT_CONNECTED").with_source(error), again)
}

/// Whether the connection is in doubt after this.
pub(crate) fn is_about_connection(error: &RedisError) -> bool {
    error.kind() == RedisKind::Io
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.kind() == RedisKind::ClusterConnectionNotFound
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN"))
}
