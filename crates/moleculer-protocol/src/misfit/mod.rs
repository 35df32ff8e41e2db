//! Why a value does not fit a type: [`Misfit`].

mod hole;
mod tracked;

use std::{cell::RefCell, fmt};

use serde::de::DeserializeOwned;

use self::tracked::{Place, Tracked};
use crate::{
    Value,
    format::{DecodeError, FaultKind},
    value::ValueDeserializer,
};

/// A place where a value does not fit a type, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Misfit {
    path: Vec<Step>,
    /// What is wrong.
    pub kind: FaultKind,
    /// The same in words.
    pub message: String,
    /// What stands there; `None` if nothing does, or if it is large.
    pub actual: Option<Value>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Member(String),
    Item(usize),
}

impl Misfit {
    /// The place as JavaScript writes it: `user.name`, `tags[1]`, `a['x-y']`.
    /// Empty for the value as a whole; a missing member is named, and so is
    /// the place of an unknown one that holds it.
    pub fn field(&self) -> String {
        let mut field = String::new();
        for step in &self.path {
            // What a peer sent as keys should not come back many times over.
            if field.len() > LONGEST_FIELD {
                return field + "...";
            }
            push(&mut field, step);
        }
        field
    }
}

const LONGEST_FIELD: usize = 256;

fn push(field: &mut String, step: &Step) {
    use fmt::Write as _;
    let written = match step {
        Step::Item(index) => write!(field, "[{index}]"),
        Step::Member(key) => {
            let key = short(key, LONGEST_FIELD);
            match field.is_empty() {
                true => write!(field, "{key}"),
                false if is_identifier(&key) => write!(field, ".{key}"),
                false => write!(field, "['{key}']"),
            }
        }
    };
    debug_assert!(written.is_ok(), "a string can always be written to");
}

fn is_identifier(key: &str) -> bool {
    let mut chars = key.chars();
    let letter = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    chars.next().is_some_and(letter) && chars.all(|c| letter(c) || c.is_ascii_digit())
}

/// At most so many letters of a text.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// More say nothing new.
const MOST_MISFITS: usize = 16;
/// What is larger is read twice at most.
const LARGE: usize = 4096;

/// Reads `value` as `T` until nothing new is found. A place that does not fit
/// is a hole the next time: it gives whatever is asked of it.
pub(crate) fn find<T: DeserializeOwned>(value: &Value) -> Vec<Misfit> {
    let most = if size(value, LARGE) < LARGE { MOST_MISFITS } else { 1 };
    let mut misfits: Vec<Misfit> = Vec::new();
    let mut holes: Vec<Gap> = Vec::new();
    while misfits.len() < most {
        let run = Run { found: RefCell::default(), holes: &holes };
        let reader = Tracked::new(ValueDeserializer(value.clone()), &Place::Root, &run);
        let Err(error) = T::deserialize(reader) else { break };
        let path = run.found.into_inner().unwrap_or_default();
        let misfit = Misfit::new(value, path, error);
        if misfit.follows_from(&holes) {
            break;
        }
        holes.push(misfit.hole());
        misfits.push(misfit);
    }
    misfits
}

/// What one reading knows and finds.
pub(crate) struct Run<'h> {
    found: RefCell<Option<Vec<Step>>>,
    holes: &'h [Gap],
}

/// A place that gives what is asked of it, or is passed over.
pub(crate) struct Gap {
    path: Vec<Step>,
    unknown: bool,
}

impl Misfit {
    fn new(value: &Value, mut path: Vec<Step>, error: DecodeError) -> Self {
        let message = short(&error.to_string(), 1024);
        let kind = error.into_kind();
        let mut actual = at(value, &path).filter(|value| size(value, 32) < 32).map(compact);
        match &kind {
            FaultKind::Missing { name } => {
                path.push(Step::Member((*name).to_owned()));
                actual = None;
            }
            FaultKind::Unknown { .. } => actual = None,
            _ => {}
        }
        Self { path, kind, message, actual }
    }

    /// Where the next reading finds a hole.
    fn hole(&self) -> Gap {
        let mut path = self.path.clone();
        let unknown = matches!(self.kind, FaultKind::Unknown { .. });
        if let FaultKind::Unknown { name, .. } = &self.kind {
            path.push(Step::Member(name.to_string()));
        }
        Gap { path, unknown }
    }

    /// Whether it may be that only what a hole gave does not fit.
    fn follows_from(&self, holes: &[Gap]) -> bool {
        let own = self.hole().path;
        let whole = matches!(self.kind, FaultKind::Missing { .. } | FaultKind::Unknown { .. });
        holes
            .iter()
            .any(|hole| own.starts_with(&hole.path) || (!whole && hole.path.starts_with(&own)))
    }
}

fn at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match (value, step) {
        (Value::Object(object), Step::Member(key)) => object.get(key),
        (Value::Array(items), Step::Item(index)) => items.get(*index),
        _ => None,
    })
}

/// How much a value holds, up to `most`.
fn size(value: &Value, most: usize) -> usize {
    let sum = |values: &mut dyn Iterator<Item = &Value>| {
        let mut sum = 1;
        for value in values {
            sum += size(value, most);
            if sum >= most {
                return most;
            }
        }
        sum
    };
    match value {
        Value::Array(items) => sum(&mut items.iter()),
        Value::Object(object) => sum(&mut object.iter().map(|(_, value)| value)),
        Value::Bytes(bytes) => 1 + bytes.len() / 16,
        Value::Extended(_) => most,
        _ => 1,
    }
}

/// With its texts cut short.
fn compact(value: &Value) -> Value {
    match value {
        Value::String(text) => short(text, 256).into(),
        Value::Array(items) => Value::Array(items.iter().map(compact).collect()),
        Value::Object(object) => {
            let members = object.iter().map(|(key, value)| (short(key, 256), compact(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
