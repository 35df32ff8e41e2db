//! How topics are spelt on the server.

use moleculer_core::{
    Result,
    protocol::{Target, Topic},
};

use crate::error::bad_name;

/// What to subscribe to, and in which queue group if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) subject: String,
    pub(crate) queue: Option<String>,
}

impl Subscription {
    pub(crate) fn new(topic: &Topic, namespace: &str) -> Self {
        let (topic, queue) = match &topic.target {
            Target::Action(action) => (topic.clone(), Some(action.to_string())),
            Target::Event { group, event } => {
                // `*` means the same on both sides.
                let event =
                    event.find("**").map_or(event.to_string(), |at| event[..at].to_owned() + ">");
                let target = Target::Event { group: group.clone(), event: event.into() };
                (Topic { kind: topic.kind, target }, Some(group.to_string()))
            }
            _ => (topic.clone(), None),
        };
        Self { subject: topic.name(namespace), queue }
    }
}

/// Refuses names with which a node would hear what is not meant for it, or nothing.
pub(crate) fn check(what: &str, name: &str) -> Result<()> {
    let bad = |token: &str| {
        token.is_empty() || token.contains(|c: char| c.is_whitespace() || matches!(c, '*' | '>'))
    };
    if name.split('.').any(bad) { Err(bad_name(what, name)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use moleculer_core::protocol::PacketKind as K;

    use super::*;

    /// The subjects that a JavaScript node subscribes to.
    #[test]
    fn subjects_are_those_of_the_reference() {
        let check = |topic: Topic, subject: &str, queue: Option<&str>| {
            let expected = Subscription { subject: subject.into(), queue: queue.map(Into::into) };
            assert_eq!(Subscription::new(&topic, "dev"), expected);
        };
        let event = |group: &str, event: &str| Topic {
            kind: K::Event,
            target: Target::Event { group: group.into(), event: event.into() },
        };
        check(Topic::all(K::Discover), "MOL-dev.DISCOVER", None);
        check(Topic::node(K::Request, "node-1".into()), "MOL-dev.REQ.node-1", None);
        let action = Topic { kind: K::Request, target: Target::Action("greeter.hello".into()) };
        check(action, "MOL-dev.REQB.greeter.hello", Some("greeter.hello"));
        check(event("mail", "user.created"), "MOL-dev.EVENTB.mail.user.created", Some("mail"));
        check(event("greeter", "user.*"), "MOL-dev.EVENTB.greeter.user.*", Some("greeter"));
        check(event("greeter", "x.**"), "MOL-dev.EVENTB.greeter.x.>", Some("greeter"));
        check(event("greeter", "**.x"), "MOL-dev.EVENTB.greeter.>", Some("greeter"));
        assert_eq!(Subscription::new(&Topic::all(K::Info), "").subject, "MOL.INFO");
    }

    #[test]
    fn names_that_would_hear_others_are_refused() {
        for good in ["node-1", "host.domain-12", "é", "a$b"] {
            check("node id", good).unwrap();
        }
        for bad in ["", "*", "a.>", "a b", "a\r\nPUB x", ".a", "a.", "a..b"] {
            let error = check("node id", bad).unwrap_err();
            assert!(error.message().contains("the node id"), "{error}");
            assert!(!error.retryable());
        }
    }
}
