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
    /// `custom` is what the user's regenerator made of it.
    pub(crate) fn from_wire(mut plain: WireError, sender: &NodeId, custom: Option<Self>) -> Self {
        let (retryable, stack) = (plain.retryable, plain.stack.take());
        let node_id = plain.node_id.take().unwrap_or_else(|| sender.clone());
        let mut error = custom.unwrap_or_else(|| rebuild(plain));
        error.0.retryable = retryable;
        error.0.stack = stack.filter(|stack| !stack.is_empty());
        error.0.node_id = Some(node_id);
        error
    }
}

/// Known classes are made as their constructors make them; what those do not
/// take is lost.
fn rebuild(plain: WireError) -> Error {
    use ErrorKind as K;
    let kind = K::from_name(&plain.name);
    let mut error = match (&kind, plain.data) {
        // Its service is told by the message of the origin alone.
        (K::GracefulStopTimeout, _) => return Error::graceful_stop(None),
        (
            K::ServiceNotFound
            | K::ServiceNotAvailable
            | K::RequestTimeout
            | K::RequestSkipped
            | K::RequestRejected
            | K::QueueIsFull
            | K::MaxCallLevel
            | K::ProtocolVersionMismatch
            | K::InvalidPacketData,
            data,
        ) => {
            let known = data.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
            let mut error = Error::from_data(kind, known);
            error.0.data = data;
            return error;
        }
        (_, data) => {
            let mut error = Error::new(kind, plain.message);
            error.0.data = data;
            error
        }
    };
    match &error.0.kind {
        K::BrokerDisconnected | K::Other(_) => {
            error.0.code = plain.code;
            error.0.r#type = plain.r#type;
        }
        K::Validation => error.0.r#type = plain.r#type.or(error.0.r#type),
        K::ServiceSchema | K::BrokerOptions => {}
        _ => {
            error.0.code = plain.code.filter(Value::is_truthy).or(error.0.code);
            error.0.r#type = plain.r#type;
        }
    }
    error
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
    use serde_json::json;

    use super::*;

    fn restored(wire: WireError) -> Error {
        Error::from_wire(wire, &NodeId::from("snd"), None)
    }

    /// The table of the specification: name, message, code, type, data,
    /// retryable; what comes out.
    #[test]
    fn known_classes_are_rebuilt_by_their_rules() {
        let check = |plain: serde_json::Value, expected: serde_json::Value| {
            let object: Object = Value::from(plain).as_object().cloned().unwrap();
            let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
            let (name, message, r#type) = (text("name"), text("message"), text("type"));
            let error = restored(WireError {
                name: name.unwrap(),
                message: message.unwrap_or_default(),
                r#type,
                code: object.get("code").cloned(),
                data: object.get("data").cloned(),
                retryable: object.get("retryable").map(Value::is_truthy),
                node_id: object.get("nodeID").and_then(Value::as_str).map(NodeId::from),
                ..WireError::default()
            });
            let mut found = Value::from_serialize(&error).unwrap();
            // Absent stands for whatever the plain form had.
            if let (Value::Object(found), Value::Object(expected)) = (&mut found, expected.into()) {
                for (key, value) in expected.iter() {
                    assert_eq!(found.get(key).unwrap_or(&Value::Null), value, "{key} of {error:?}");
                }
            }
        };
        check(
            json!({"name": "ValidationError", "message": "m", "code": 999, "type": "VT",
                   "data": [1], "retryable": true, "nodeID": "n9"}),
            json!({"name": "ValidationError", "message": "m", "code": 422, "type": "VT",
                   "data": [1], "retryable": true, "nodeID": "n9"}),
        );
        check(
            json!({"name": "MyError", "message": "mm", "code": 418, "type": "TEA", "data": {"z": 1}}),
            json!({"name": "MyError", "message": "mm", "code": 418, "type": "TEA",
                   "data": {"z": 1}, "nodeID": "snd", "retryable": null}),
        );
        check(
            json!({"name": "ServiceNotFoundError", "message": "ignored", "code": 1, "type": "X",
                   "data": {"action": "a.b"}, "retryable": false}),
            json!({"message": "Service 'a.b' is not found.", "code": 404,
                   "type": "SERVICE_NOT_FOUND", "retryable": false}),
        );
        check(
            json!({"name": "GracefulStopTimeoutError", "data": {"name": "a"}}),
            json!({"message": "Unable to stop ServiceBroker gracefully.", "code": 500,
                   "type": "GRACEFUL_STOP_TIMEOUT", "data": null}),
        );
        check(
            json!({"name": "MoleculerClientError", "message": "c", "code": 0}),
            json!({"message": "c", "code": 400, "type": null}),
        );
        check(
            json!({"name": "MoleculerServerError", "message": "s", "code": 599, "type": "T"}),
            json!({"code": 599, "type": "T", "retryable": null}),
        );
        check(
            json!({"name": "ServiceSchemaError", "message": "s", "code": 1, "type": "T", "data": 5}),
            json!({"message": "s", "code": 500, "type": "SERVICE_SCHEMA_ERROR", "data": 5}),
        );
        check(
            json!({"name": "BrokerDisconnectedError", "message": "m", "code": 1, "type": "T"}),
            json!({"message": "m", "code": 1, "type": "T"}),
        );
        check(
            json!({"name": "MaxCallLevelError", "data": {"nodeID": "n", "level": 3}}),
            json!({"message": "Request level is reached the limit (3) on 'n' node."}),
        );
        check(
            json!({"name": "ServiceNotFoundError", "data": {"service": "s", "version": 2}}),
            json!({"message": "Service '2.s' not found."}),
        );
    }

    #[test]
    fn a_custom_error_keeps_its_members_but_for_those_of_the_sender() {
        let custom = Error::client(409, "MINE", "mine").with_data(1);
        let plain = WireError { retryable: Some(true), ..WireError::default() };
        let error = Error::from_wire(plain, &"snd".into(), Some(custom));
        assert_eq!((error.code(), error.r#type(), error.retryable()), (409, Some("MINE"), true));
        assert_eq!(error.node_id(), Some(&"snd".into()));
    }

    #[test]
    fn a_graceful_stop_names_the_service() {
        let error = Error::graceful_stop(Some(("a", Some(&2.into()))));
        assert_eq!(error.message(), "Unable to stop 'a' service gracefully.");
        let data = Object::from([("name", Value::from("a")), ("version", 2.into())]);
        assert_eq!(error.data(), Some(&data.into()));
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
