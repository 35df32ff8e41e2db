//! One check of some params: where it is, what it may change, what it found.

use moleculer_core::Context;
use moleculer_protocol::{Object, Value};

use crate::{ErrorItem, messages::Messages, path::Path};

/// So many errors are kept; then the check ends. Whoever sends a list of a
/// million wrong items gets no million errors back.
pub(crate) const MAX_ERRORS: usize = 1000;

/// The value that is checked, and whether it may be changed. Rules that only
/// look get by without a copy of the params.
#[derive(Debug)]
pub(crate) enum Slot<'a> {
    Read(&'a Value),
    Write(&'a mut Value),
}

static UNDEFINED: Value = Value::Undefined;

impl Slot<'_> {
    pub(crate) const fn get(&self) -> &Value {
        match self {
            Slot::Read(value) => value,
            Slot::Write(value) => value,
        }
    }

    pub(crate) const fn is_writable(&self) -> bool {
        matches!(self, Slot::Write(_))
    }

    /// The same for a shorter time.
    pub(crate) const fn reborrow(&mut self) -> Slot<'_> {
        match self {
            Slot::Read(value) => Slot::Read(value),
            Slot::Write(value) => Slot::Write(value),
        }
    }

    /// Visits a member. One that may be changed is taken out meanwhile, so
    /// that its siblings can be looked at.
    pub(crate) fn member(&mut self, name: &str, visit: impl FnOnce(&mut Slot<'_>, &Object)) {
        match self {
            Slot::Read(Value::Object(object)) => {
                visit(&mut Slot::Read(object.get(name).unwrap_or(&UNDEFINED)), object);
            }
            Slot::Write(Value::Object(object)) => {
                let mut value = object.get_mut(name).map_or(Value::Undefined, std::mem::take);
                visit(&mut Slot::Write(&mut value), object);
                match object.get_mut(name) {
                    Some(place) => *place = value,
                    None if value.is_undefined() => {}
                    None => {
                        object.insert(name, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Visits an item of a list.
    pub(crate) fn item(&mut self, index: usize, visit: impl FnOnce(&mut Slot<'_>)) {
        match self {
            Slot::Read(Value::Array(items)) => {
                if let Some(item) = items.get(index) {
                    visit(&mut Slot::Read(item));
                }
            }
            Slot::Write(Value::Array(items)) => {
                if let Some(item) = items.get_mut(index) {
                    visit(&mut Slot::Write(item));
                }
            }
            _ => {}
        }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) path: &'a Path<'a>,
    pub(crate) label: Option<&'a str>,
    /// The object whose member it is, or in whose list it stands.
    pub(crate) parent: Option<&'a Object>,
}

/// A site, with the texts of the rule that is checked there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) site: &'a Site<'a>,
    pub(crate) messages: &'a Messages,
}

impl<'a> At<'a> {
    pub(crate) const fn label(&self) -> Option<&'a str> {
        self.site.label
    }
}

/// What a check has found so far.
#[derive(Debug, Default)]
pub(crate) struct Run<'a> {
    pub(crate) errors: Vec<ErrorItem>,
    pub(crate) changed: bool,
    /// The call whose params they are.
    pub(crate) context: Option<&'a Context>,
}

impl Run<'_> {
    /// Puts another value in place of the one that was checked.
    pub(crate) fn replace(&mut self, slot: &mut Slot<'_>, value: Value) {
        if let Slot::Write(place) = slot {
            **place = value;
            self.changed = true;
        }
    }

    pub(crate) fn fail(
        &mut self,
        at: &At<'_>,
        kind: &'static str,
        expected: Option<Value>,
        actual: Option<Value>,
    ) {
        self.push(at, ErrorItem { expected, actual, ..ErrorItem::new(kind) });
    }

    /// Adds an item, with the text, the field and the label of its place.
    pub(crate) fn push(&mut self, at: &At<'_>, mut item: ErrorItem) {
        if self.is_full() {
            return;
        }
        item.field = item.field.or_else(|| at.site.path.render());
        item.label =
            item.label.or_else(|| at.label().filter(|label| !label.is_empty()).map(str::to_owned));
        let (expected, actual) = (item.expected.as_ref(), item.actual.as_ref());
        let name = item.label.as_deref().or(item.field.as_deref()).unwrap_or_default();
        item.message =
            item.message.or_else(|| at.messages.render(&item.kind, name, expected, actual));
        self.errors.push(item);
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }
}
