//! The one error type: [`Error`].

mod items;
mod raised;
mod regenerator;
mod wire;

use std::{error::Error as StdError, fmt};

use moleculer_protocol::{DecodeError, EncodeError, NodeId, Object, Value};
use serde::Serialize;

pub(crate) use self::items::validation;
pub use self::{
    raised::{ErrorData, RaisedError},
    regenerator::ErrorRegenerator,
};

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
    /// Whether the call was retried below, as far as it may be.
    retried: bool,
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
            retried: false,
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
        let message = wire::message_of(&kind, &data);
        Self::new(kind, message).with_data(data)
    }

    pub(crate) fn about_action(kind: ErrorKind, action: &str, node: Option<&NodeId>) -> Self {
        let mut data = Object::from([("action", action)]);
        if let Some(node) = node {
            data.insert("nodeID", node.as_str());
        }
        Self::from_data(kind, data)
    }

    /// `GracefulStopTimeoutError` about a service (name and version), or about
    /// the broker.
    pub(crate) fn graceful_stop(service: Option<(&str, Option<&Value>)>) -> Self {
        let kind = ErrorKind::GracefulStopTimeout;
        let Some((name, version)) = service else {
            return Self::new(kind, "Unable to stop ServiceBroker gracefully.");
        };
        let mut data = Object::from([("name", name)]);
        if let Some(version) = version {
            data.insert("version", version.clone());
        }
        Self::new(kind, format!("Unable to stop '{name}' service gracefully.")).with_data(data)
    }

    /// Puts `what` in front of the message: `what: message`.
    pub(crate) fn within(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// Says that no layer above should retry: one below has done so.
    pub(crate) fn with_retried(mut self) -> Self {
        self.0.retried = true;
        self
    }

    pub(crate) fn retried(&self) -> bool {
        self.0.retried
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

    /// As [`with_source`](Self::with_source), for an error whose type is lost.
    #[cfg(feature = "tower")]
    pub(crate) fn caused_by(mut self, source: std::sync::Arc<dyn StdError + Send + Sync>) -> Self {
        self.0.source = Some(source);
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

/// For people: a `main` that fails prints this. `{:#?}` has every member.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.0.members(f);
        }
        write!(f, "{}: {}", self.name(), self.0.message)?;
        if let Some(name) = &self.0.r#type {
            write!(f, " ({name})")?;
        }
        if let Some(node) = &self.0.node_id {
            write!(f, " at node {node}")?;
        }
        let mut source = self.source();
        while let Some(cause) = source {
            // Often the message already says it.
            if !self.0.message.contains(&cause.to_string()) {
                write!(f, "\n  caused by: {cause}")?;
            }
            source = cause.source();
        }
        Ok(())
    }
}

impl Inner {
    fn members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.kind.name());
        out.field("message", &self.message);
        if let Some(code) = &self.code {
            out.field("code", code);
        }
        if let Some(r#type) = &self.r#type {
            out.field("type", r#type);
        }
        if let Some(data) = &self.data {
            out.field("data", data);
        }
        if let Some(node) = &self.node_id {
            out.field("node_id", node);
        }
        if let Some(source) = &self.source {
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
