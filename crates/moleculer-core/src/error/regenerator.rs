//! Errors of one's own classes over the wire: [`ErrorRegenerator`].

use std::fmt;

use moleculer_protocol::{NodeId, WireError};

use super::Error;

/// Turns errors of your own classes into what travels, and back.
///
/// Without one, an error of an unknown class keeps its name, message, code,
/// type and data. With one, the caller on the other node gets what it would
/// get from a local call: a source of its own type to look at.
///
/// ```
/// use moleculer_core::{Error, ErrorKind, ErrorRegenerator, NodeId, WireError};
///
/// #[derive(Debug)]
/// struct OutOfStock;
/// # impl std::fmt::Display for OutOfStock {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("out of stock")
/// #     }
/// # }
/// impl std::error::Error for OutOfStock {}
///
/// impl From<OutOfStock> for Error {
///     fn from(error: OutOfStock) -> Self {
///         Self::new(ErrorKind::Other("OutOfStock".into()), error.to_string()).with_source(error)
///     }
/// }
///
/// #[derive(Debug)]
/// struct Shop;
///
/// impl ErrorRegenerator for Shop {
///     fn restore_custom_error(&self, plain: &WireError, _: &NodeId) -> Option<Error> {
///         (plain.name == "OutOfStock").then(|| OutOfStock.into())
///     }
/// }
/// ```
pub trait ErrorRegenerator: fmt::Debug + Send + Sync + 'static {
    /// Rebuilds an error that came from `sender`; `None` leaves it to the
    /// rules for known and unknown classes. Whether it is retryable, its node
    /// and its stack are then taken over from `plain`.
    fn restore_custom_error(&self, plain: &WireError, sender: &NodeId) -> Option<Error> {
        let _ = (plain, sender);
        None
    }

    /// Changes what travels. `plain` is what would travel without this; a
    /// member that is set travels, whatever the class.
    fn extract_plain_error(&self, error: &Error, plain: WireError) -> WireError {
        let _ = error;
        plain
    }
}
