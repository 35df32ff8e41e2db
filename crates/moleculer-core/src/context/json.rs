//! A context as logs and tools show it.

use moleculer_protocol::{Object, Value};
use serde::{Serialize, Serializer};

use super::{Context, EventKind, Target};
use crate::Result;

/// For logs and tools: the members that the reference's `toJSON` has.
impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |text: Option<&str>| Value::from(text);
        let mut object = Object::from([
            ("id", Value::from(self.id().to_string())),
            ("nodeID", self.node_id().as_str().into()),
        ]);
        let service = match &self.0.target {
            Target::Action(endpoint) => {
                object.insert("action", Object::from([("name", &*endpoint.name)]));
                &endpoint.service
            }
            Target::Event(endpoint, _) => {
                object.insert("event", Object::from([("name", &*endpoint.def.name)]));
                &endpoint.service
            }
        };
        // That of another node is not known as an instance.
        if service.local {
            let mut members = Object::from([("name", service.info.name.as_str())]);
            if let Some(version) = &service.info.version {
                members.insert("version", version.clone());
            }
            members.insert("fullName", &*service.full_name);
            object.insert("service", members);
        }
        let ms = self.timeout().map(|timeout| timeout.as_secs_f64() * 1e3);
        let options = [("timeout", Value::from(ms)), ("retries", self.retries().into())];
        object.insert("options", Object::from(options));
        object.insert("parentID", text(self.parent_id().map(|id| id.to_string()).as_deref()));
        object.insert("caller", text(self.caller().as_deref()));
        object.insert("level", self.level());
        object.insert("params", self.payload().to_value().unwrap_or_default());
        object.insert("meta", self.meta());
        object.insert("headers", self.headers());
        object.insert("responseHeaders", self.response_headers());
        object.insert("requestID", self.request_id().to_string());
        object.insert("tracing", self.tracing());
        // Members that exist in the reference alone, or come with a feature.
        for key in ["span", "needAck", "ackID"] {
            object.insert(key, Value::Null);
        }
        let event = self.event_kind().map(EventKind::as_str);
        object.insert("eventName", text(event.map(|_| self.event())));
        object.insert("eventType", text(event));
        let groups = match &self.0.target {
            Target::Event(_, sent) => sent.groups.as_deref(),
            Target::Action(_) => None,
        };
        let groups = groups.map(|groups| groups.iter().map(|g| Value::from(&**g)).collect());
        object.insert("eventGroups", groups.map_or(Value::Null, Value::Array));
        object.insert("cachedResult", self.cached_result());
        object.serialize(serializer)
    }
}
