//! The rules without much to them: `any`, `boolean`, `enum`, `forbidden`.

use moleculer_protocol::Value;

use super::Compiled;
use crate::{
    js,
    rule::Kind,
    run::{At, Run, Slot},
    schema::Options,
};

#[derive(Debug)]
pub(super) struct Any;

impl Kind for Any {
    fn check(&self, _: &mut Slot<'_>, _: &At<'_>, _: &mut Run<'_>) {}
}

#[derive(Debug)]
struct Boolean {
    convert: bool,
}

pub(super) fn boolean(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Boolean { convert: options.is_on("convert")? }))
}

impl Kind for Boolean {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let value = slot.get();
        if matches!(value, Value::Bool(_)) {
            return;
        }
        match flag_of(value).filter(|_| self.convert) {
            Some(flag) => run.replace(slot, flag.into()),
            None => run.fail(at, "boolean", None, Some(value.clone())),
        }
    }

    fn sanitizes(&self) -> bool {
        self.convert
    }
}

fn flag_of(value: &Value) -> Option<bool> {
    match value.as_str() {
        Some("true" | "1" | "on") => Some(true),
        Some("false" | "0" | "off") => Some(false),
        None if value.as_f64() == Some(1.0) => Some(true),
        None if value.as_f64() == Some(0.0) => Some(false),
        _ => None,
    }
}

#[derive(Debug)]
struct Enum {
    values: Vec<Value>,
    shown: Value,
}

pub(super) fn one_of(options: &Options<'_>) -> Compiled {
    let Some(values) = options.list("values")? else {
        return Err(options.error("the list `values` is missing"));
    };
    Ok(Box::new(Enum { values: values.to_vec(), shown: js::join(values, ", ").into() }))
}

impl Kind for Enum {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let value = slot.get();
        if !self.values.iter().any(|allowed| js::strict_eq(allowed, value)) {
            run.fail(at, "enumValue", Some(self.shown.clone()), Some(value.clone()));
        }
    }
}

#[derive(Debug)]
struct Forbidden {
    remove: bool,
}

pub(super) fn forbidden(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Forbidden { remove: options.is_on("remove")? }))
}

impl Kind for Forbidden {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        if self.remove {
            run.replace(slot, Value::Undefined);
        } else {
            run.fail(at, "forbidden", None, Some(slot.get().clone()));
        }
    }

    fn sanitizes(&self) -> bool {
        self.remove
    }
}
