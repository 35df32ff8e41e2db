//! Errors as they travel between nodes.

use crate::{NodeId, Object, Value, format::DecodeError};

/// An error on the wire: spec "Errors on the wire", absent members omitted.
///
/// Every member survives a round trip, known error class or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WireError {
    /// Class name, for example `ServiceNotFoundError`.
    pub name: String,
    /// Human-readable message.
    pub message: String,
    /// Node where the error arose.
    pub node_id: Option<NodeId>,
    /// Usually a number; foreign errors may carry text such as `ENOENT`.
    pub code: Option<Value>,
    /// Machine-readable type, for example `SERVICE_NOT_FOUND`.
    pub r#type: Option<String>,
    /// Whether a retry may succeed.
    pub retryable: Option<bool>,
    /// The sender's stack trace, as text.
    pub stack: Option<String>,
    /// Whatever the error carries.
    pub data: Option<Value>,
}

impl WireError {
    /// The members in the order in which JavaScript writes them.
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        object.insert("name", self.name.as_str());
        object.insert("message", self.message.as_str());
        let text = |text: &String| Value::from(text.as_str());
        let members = [
            ("nodeID", self.node_id.as_ref().map(|id| id.as_str().into())),
            ("code", self.code.clone()),
            ("type", self.r#type.as_ref().map(text)),
            ("retryable", self.retryable.map(Value::from)),
            ("stack", self.stack.as_ref().map(text)),
            ("data", self.data.clone()),
        ];
        object.extend(members.into_iter().filter_map(|(key, value)| Some((key, value?))));
        object
    }

    /// Reads an error; tolerates missing members.
    ///
    /// # Errors
    ///
    /// When `value` is not an object.
    pub fn from_value(value: Value) -> Result<Self, DecodeError> {
        let Value::Object(mut object) = value else {
            return Err(DecodeError::new(format!("expected an object, found {value:?}")));
        };
        let mut take = |key: &str| object.remove(key).filter(|value| !value.is_undefined());
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Ok(Self {
            name: text(take("name")).unwrap_or_else(|| "Error".to_owned()),
            message: text(take("message")).unwrap_or_default(),
            node_id: text(take("nodeID")).map(NodeId::from),
            code: take("code"),
            r#type: text(take("type")),
            retryable: take("retryable").map(|value| value.is_truthy()),
            stack: text(take("stack")),
            data: take("data"),
        })
    }
}
