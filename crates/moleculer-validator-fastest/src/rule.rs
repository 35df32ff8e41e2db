//! A compiled rule: [`Rule`].

use std::fmt;

use moleculer_protocol::Value;

use crate::{
    custom::CustomCall,
    messages::Messages,
    run::{At, Run, Site, Slot},
};

/// What a type of rule checks, once a value is there.
pub(crate) trait Kind: fmt::Debug + Send + Sync {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>);

    /// Whether it may change the value. Only then a value that can be changed
    /// is at hand.
    fn sanitizes(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) kind: Box<dyn Kind>,
    pub(crate) on_undefined: Missing,
    pub(crate) on_null: Missing,
    pub(crate) label: Option<Box<str>>,
    pub(crate) messages: Messages,
    pub(crate) customs: Vec<CustomCall>,
}

/// What happens when there is no value.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    Accept,
    Default(Value),
    Refuse,
}

impl Rule {
    pub(crate) fn sanitizes(&self) -> bool {
        let has_default = matches!(self.on_undefined, Missing::Default(_));
        has_default || self.kind.sanitizes() || !self.customs.is_empty()
    }

    /// Checks a value. That it is missing is told at `outside`, which for an
    /// item is its list: so does the reference.
    pub(crate) fn check(
        &self,
        slot: &mut Slot<'_>,
        site: &Site<'_>,
        outside: &Site<'_>,
        run: &mut Run<'_>,
    ) {
        let at = At { site, messages: &self.messages };
        let missing = match slot.get() {
            Value::Undefined => &self.on_undefined,
            Value::Null => &self.on_null,
            _ => {
                self.kind.check(slot, &at, run);
                return self.check_customs(slot, &at, run);
            }
        };
        match missing {
            Missing::Accept => {}
            Missing::Default(value) => run.replace(slot, value.clone()),
            Missing::Refuse => {
                let actual = Some(slot.get().clone());
                run.fail(&At { site: outside, ..at }, "required", None, actual);
            }
        }
        self.check_customs(slot, &at, run);
    }

    fn check_customs(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        for custom in &self.customs {
            custom.check(slot, at, run);
        }
    }
}
