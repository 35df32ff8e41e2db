//! Errors to and from the wire: spec "Errors on the wire".

use moleculer_protocol::{NodeId, Object, Value, WireError};

use super::{Error, ErrorKind};

impl Error {
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
pub(super) fn message_of(kind: &ErrorKind, data: &Object) -> String {
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
