//! The one error type: [`Error`].

use std::{error::Error as StdError, fmt};

use moleculer_protocol::{DecodeError, EncodeError, NodeId, Object, Value, WireError};
use serde::Serialize;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the members that travel between nodes.
///
/// Names, codes, types and messages are those of Moleculer; an error of an
/// unknown class survives a round trip unchanged.
///
/// ```
/// use moleculer_core::{Error, ErrorKind};
///
/// let error = Error::client(404, "POST_NOT_FOUND", "no such post").with_data(5);
/// assert_eq!(error.kind(), &ErrorKind::Client);
/// assert_eq!(error.code(), 404);
/// assert!(!error.retryable());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    code: Option<Value>,
    r#type: Option<String>,
    data: Option<Value>,
    retryable: Option<bool>,
    node_id: Option<NodeId>,
    stack: Option<String>,
    source: Option<std::sync::Arc<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`], by Moleculer's names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `MoleculerError`: any error, 500 by default.
    Moleculer,
    /// `MoleculerRetryableError`: a retry may succeed.
    Retryable,
    /// `MoleculerServerError`: the callee's fault; retryable.
    Server,
    /// `MoleculerClientError`: the caller's fault, 400 by default.
    Client,
    /// `ValidationError`: the params do not fit, 422.
    Validation,
    /// `ServiceNotFoundError`: nobody ever offered the action, 404.
    ServiceNotFound,
    /// `ServiceNotAvailableError`: nobody offers the action now, 404.
    ServiceNotAvailable,
    /// `RequestTimeoutError`, 504.
    RequestTimeout,
    /// `RequestSkippedError`: no time was left for a nested call, 514.
    RequestSkipped,
    /// `RequestRejectedError`: the callee's node went away, 503.
    RequestRejected,
    /// `QueueIsFullError`, 429.
    QueueIsFull,
    /// `MaxCallLevelError`: calls are nested too deeply, 500.
    MaxCallLevel,
    /// `ServiceSchemaError`: a service is declared wrongly, 500.
    ServiceSchema,
    /// `BrokerOptionsError`: the configuration is wrong, 500.
    BrokerOptions,
    /// `GracefulStopTimeoutError`, 500.
    GracefulStopTimeout,
    /// `ProtocolVersionMismatchError`, 500.
    ProtocolVersionMismatch,
    /// `InvalidPacketDataError`, 500.
    InvalidPacketData,
    /// `BrokerDisconnectedError`: the transporter is not connected, 502.
    BrokerDisconnected,
    /// A class that only its origin knows.
    Other(Box<str>),
}

/// What fixes a class: name, code, type, whether it is retryable.
type Class = (ErrorKind, &'static str, i64, Option<&'static str>, bool);

const CLASSES: [Class; 18] = {
    use ErrorKind as K;
    [
        (K::Moleculer, "MoleculerError", 500, None, false),
        (K::Retryable, "MoleculerRetryableError", 500, None, true),
        (K::Server, "MoleculerServerError", 500, None, true),
        (K::Client, "MoleculerClientError", 400, None, false),
        (K::Validation, "ValidationError", 422, Some("VALIDATION_ERROR"), false),
        (K::ServiceNotFound, "ServiceNotFoundError", 404, Some("SERVICE_NOT_FOUND"), true),
        (
            K::ServiceNotAvailable,
            "ServiceNotAvailableError",
            404,
            Some("SERVICE_NOT_AVAILABLE"),
            true,
        ),
        (K::RequestTimeout, "RequestTimeoutError", 504, Some("REQUEST_TIMEOUT"), true),
        (K::RequestSkipped, "RequestSkippedError", 514, Some("REQUEST_SKIPPED"), false),
        (K::RequestRejected, "RequestRejectedError", 503, Some("REQUEST_REJECTED"), true),
        (K::QueueIsFull, "QueueIsFullError", 429, Some("QUEUE_FULL"), true),
        (K::MaxCallLevel, "MaxCallLevelError", 500, Some("MAX_CALL_LEVEL"), false),
        (K::ServiceSchema, "ServiceSchemaError", 500, Some("SERVICE_SCHEMA_ERROR"), false),
        (K::BrokerOptions, "BrokerOptionsError", 500, Some("BROKER_OPTIONS_ERROR"), false),
        (
            K::GracefulStopTimeout,
            "GracefulStopTimeoutError",
            500,
            Some("GRACEFUL_STOP_TIMEOUT"),
            false,
        ),
        (
            K::ProtocolVersionMismatch,
            "ProtocolVersionMismatchError",
            500,
            Some("PROTOCOL_VERSION_MISMATCH"),
            false,
        ),
        (K::InvalidPacketData, "InvalidPacketDataError", 500, Some("INVALID_PACKET_DATA"), false),
        (K::BrokerDisconnected, "BrokerDisconnectedError", 502, Some("BAD_GATEWAY"), true),
    ]
};

impl ErrorKind {
    /// The class name, as on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => known.class().map_or("MoleculerError", |class| class.1),
        }
    }

    /// The class of a name; one that only its origin knows becomes `Other`.
    pub fn from_name(name: &str) -> Self {
        CLASSES
            .iter()
            .find(|class| class.1 == name)
            .map_or_else(|| Self::Other(name.into()), |class| class.0.clone())
    }

    fn class(&self) -> Option<&'static Class> {
        CLASSES.iter().find(|class| class.0 == *self)
    }
}

impl Error {
    /// An error of a class, with the class's code, type and retryability.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let class = kind.class();
        Self(Box::new(Inner {
            message: message.into(),
            code: class.map(|class| class.2.into()),
            r#type: class.and_then(|class| class.3).map(str::to_owned),
            retryable: class.map(|class| class.4),
            kind,
            data: None,
            node_id: None,
            stack: None,
            source: None,
        }))
    }

    /// `MoleculerClientError`: the caller did something wrong.
    pub fn client(code: i64, r#type: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Client, message).with_code(code).with_type(r#type)
    }

    /// `MoleculerServerError`: the callee failed; retryable.
    pub fn server(code: i64, r#type: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Server, message).with_code(code).with_type(r#type)
    }

    /// `MoleculerError`, 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Moleculer, message)
    }

    /// `BrokerOptionsError`: says what in the configuration is wrong.
    pub fn options(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BrokerOptions, message)
    }

    /// `ServiceSchemaError`: says what in a service's declaration is wrong.
    pub fn schema(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ServiceSchema, message)
    }

    /// One of the classes that are made from their `data` alone; the message
    /// follows from it.
    pub fn from_data(kind: ErrorKind, data: Object) -> Self {
        let message = message_of(&kind, &data);
        Self::new(kind, message).with_data(data)
    }

    pub(crate) fn about_action(kind: ErrorKind, action: &str, node: Option<&NodeId>) -> Self {
        let mut data = Object::from([("action", action)]);
        if let Some(node) = node {
            data.insert("nodeID", node.as_str());
        }
        Self::from_data(kind, data)
    }

    /// Sets the code.
    #[must_use]
    pub fn with_code(mut self, code: i64) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Sets the type.
    #[must_use]
    pub fn with_type(mut self, r#type: &str) -> Self {
        self.0.r#type = Some(r#type.to_owned());
        self
    }

    /// Sets the data.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.0.data = Some(data.into());
        self
    }

    /// Sets whether a retry may succeed.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Names the node where the error arose, unless one is named already.
    #[must_use]
    pub fn at_node(mut self, node: &NodeId) -> Self {
        self.0.node_id.get_or_insert_with(|| node.clone());
        self
    }

    /// The class.
    pub const fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The class name, as on the wire.
    pub fn name(&self) -> &str {
        self.0.kind.name()
    }

    /// The code; 500 when the error has none or one that is not a number.
    pub fn code(&self) -> i64 {
        self.0.code.as_ref().and_then(Value::as_i64).unwrap_or(500)
    }

    /// The machine-readable type.
    pub fn r#type(&self) -> Option<&str> {
        self.0.r#type.as_deref()
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The data.
    pub const fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// Whether a retry may succeed.
    pub fn retryable(&self) -> bool {
        self.0.retryable.unwrap_or(false)
    }

    /// The node where the error arose; `None` for this node's own errors that
    /// never travelled.
    pub const fn node_id(&self) -> Option<&NodeId> {
        self.0.node_id.as_ref()
    }

    /// The form in which this error leaves `node`.
    pub(crate) fn to_wire(&self, node: &NodeId) -> WireError {
        let inner = &*self.0;
        WireError {
            name: self.name().to_owned(),
            message: inner.message.clone(),
            node_id: Some(inner.node_id.clone().unwrap_or_else(|| node.clone())),
            code: inner.code.clone(),
            r#type: inner.r#type.clone(),
            retryable: inner.retryable,
            // JavaScript prints the stack, so it must say something.
            stack: inner
                .stack
                .clone()
                .or_else(|| Some(format!("{}: {}", self.name(), inner.message))),
            data: inner.data.clone(),
        }
    }

    /// Rebuilds an error that came from `sender`: spec "Errors on the wire".
    pub(crate) fn from_wire(wire: WireError, sender: &NodeId) -> Self {
        use ErrorKind as K;
        let kind = K::from_name(&wire.name);
        let mut error = match (&kind, wire.data) {
            (K::BrokerDisconnected | K::Other(_), data) => {
                let mut error = Self::new(kind, wire.message);
                error.0.code = wire.code;
                error.0.r#type = wire.r#type;
                error.0.data = data;
                error
            }
            (K::Moleculer | K::Retryable | K::Server | K::Client, data) => {
                let mut error = Self::new(kind, wire.message);
                if wire.code.as_ref().is_some_and(Value::is_truthy) {
                    error.0.code = wire.code;
                }
                error.0.r#type = wire.r#type;
                error.0.data = data;
                error
            }
            (K::Validation, data) => {
                let mut error = Self::new(kind, wire.message);
                if wire.r#type.is_some() {
                    error.0.r#type = wire.r#type;
                }
                error.0.data = data;
                error
            }
            (K::ServiceSchema | K::BrokerOptions, data) => {
                let mut error = Self::new(kind, wire.message);
                error.0.data = data;
                error
            }
            (_, Some(Value::Object(data))) => Self::from_data(kind, data),
            (_, data) => {
                let mut error = Self::from_data(kind, Object::new());
                error.0.data = data;
                error
            }
        };
        error.0.retryable = wire.retryable;
        error.0.stack = wire.stack.filter(|stack| !stack.is_empty());
        error.0.node_id = Some(wire.node_id.unwrap_or_else(|| sender.clone()));
        error
    }
}

/// The messages that follow from an error's data, as the reference words them.
fn message_of(kind: &ErrorKind, data: &Object) -> String {
    let text = |key: &str| match data.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => format!("{value:?}"),
        None => "undefined".to_owned(),
    };
    let (action, node) = (text("action"), text("nodeID"));
    match kind {
        ErrorKind::ServiceNotFound => {
            match (data.contains_key("nodeID"), data.contains_key("service")) {
                (_, true) if data.contains_key("version") => {
                    format!("Service '{}.{}' not found.", text("version"), text("service"))
                }
                (_, true) => format!("Service '{}' not found.", text("service")),
                (true, _) => format!("Service '{action}' is not found on '{node}' node."),
                (false, _) => format!("Service '{action}' is not found."),
            }
        }
        ErrorKind::ServiceNotAvailable if data.contains_key("nodeID") => {
            format!("Service '{action}' is not available on '{node}' node.")
        }
        ErrorKind::ServiceNotAvailable => format!("Service '{action}' is not available."),
        ErrorKind::RequestTimeout => {
            format!("Request is timed out when call '{action}' action on '{node}' node.")
        }
        ErrorKind::RequestSkipped => {
            format!("Calling '{action}' is skipped because timeout reached on '{node}' node.")
        }
        ErrorKind::RequestRejected => {
            format!("Request is rejected when call '{action}' action on '{node}' node.")
        }
        ErrorKind::QueueIsFull => {
            format!("Queue is full. Request '{action}' action on '{node}' node is rejected.")
        }
        ErrorKind::MaxCallLevel => {
            format!("Request level is reached the limit ({}) on '{node}' node.", text("level"))
        }
        ErrorKind::GracefulStopTimeout if data.contains_key("service") => {
            format!("Unable to stop '{}' service gracefully.", text("service"))
        }
        ErrorKind::GracefulStopTimeout => "Unable to stop ServiceBroker gracefully.".to_owned(),
        ErrorKind::ProtocolVersionMismatch => "Protocol version mismatch.".to_owned(),
        ErrorKind::InvalidPacketData => "Invalid packet data.".to_owned(),
        ErrorKind::BrokerDisconnected => "The broker's transporter has disconnected. Please try \
            again when a connection is reestablished."
            .to_owned(),
        other => other.name().to_owned(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.name());
        out.field("message", &self.0.message);
        if let Some(code) = &self.0.code {
            out.field("code", code);
        }
        if let Some(r#type) = &self.0.r#type {
            out.field("type", r#type);
        }
        if let Some(data) = &self.0.data {
            out.field("data", data);
        }
        if let Some(node) = &self.0.node_id {
            out.field("node_id", node);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// As the error travels, without its source: for logs and answers.
impl Serialize for Error {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let mut wire = self.to_wire(&NodeId::from(""));
        wire.node_id = self.0.node_id.clone();
        wire.stack = None;
        wire.to_object().serialize(serializer)
    }
}

/// Params or a result that do not fit the expected type.
impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(ErrorKind::Moleculer, error.to_string()).with_source(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::new(ErrorKind::Moleculer, error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(wire: WireError) -> Error {
        Error::from_wire(wire, &NodeId::from("snd"))
    }

    #[test]
    fn known_classes_are_rebuilt_by_their_rules() {
        let error = restored(WireError {
            name: "ValidationError".into(),
            message: "m".into(),
            code: Some(999.into()),
            r#type: Some("VT".into()),
            data: Some(vec![1].into()),
            retryable: Some(true),
            node_id: Some("n9".into()),
            ..WireError::default()
        });
        assert_eq!((error.code(), error.r#type(), error.retryable()), (422, Some("VT"), true));
        assert_eq!(error.node_id(), Some(&"n9".into()));

        let error = restored(WireError {
            name: "ServiceNotFoundError".into(),
            message: "ignored".into(),
            data: Some(Object::from([("action", "a.b")]).into()),
            retryable: Some(false),
            ..WireError::default()
        });
        assert_eq!(error.message(), "Service 'a.b' is not found.");
        assert_eq!((error.code(), error.retryable()), (404, false));

        let error = restored(WireError {
            name: "GracefulStopTimeoutError".into(),
            data: Some(Object::from([("name", "a")]).into()),
            ..WireError::default()
        });
        assert_eq!(error.message(), "Unable to stop ServiceBroker gracefully.");
    }

    #[test]
    fn unknown_classes_survive_a_round_trip() {
        let wire = WireError {
            name: "MyError".into(),
            message: "mm".into(),
            code: Some("ENOENT".into()),
            r#type: Some("TEA".into()),
            retryable: None,
            node_id: Some("n1".into()),
            stack: Some("MyError: mm\n    at x".into()),
            data: Some(vec![1].into()),
        };
        let error = restored(wire.clone());
        assert_eq!(error.kind(), &ErrorKind::Other("MyError".into()));
        assert_eq!(error.code(), 500);
        assert_eq!(error.to_wire(&"other".into()), wire);
    }

    #[test]
    fn the_first_node_named_is_the_origin() {
        let error = Error::internal("x").at_node(&"a".into()).at_node(&"b".into());
        assert_eq!(error.to_wire(&"c".into()).node_id, Some("a".into()));
    }
}
