//! The rule `equal`: to a value, or to another member.

use moleculer_protocol::{Object, Value};

use super::Compiled;
use crate::{
    js,
    rule::Kind,
    run::{At, Run, Slot},
    schema::Options,
};

#[derive(Debug)]
struct Equal {
    to: To,
    strict: bool,
}

#[derive(Debug)]
enum To {
    Field(String),
    Value(Value),
}

pub(super) fn compile(options: &Options<'_>) -> Compiled {
    let field = options.text("field")?.filter(|field| !field.is_empty());
    let to = match (field, options.all().defined("value")) {
        (Some(field), _) => To::Field(field.to_owned()),
        (None, Some(value)) => To::Value(value.clone()),
        (None, None) => return Err(options.error("`value` or `field` is missing")),
    };
    Ok(Box::new(Equal { to, strict: options.is_on("strict")? }))
}

impl Kind for Equal {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let value = slot.get();
        let equals = if self.strict { js::strict_eq } else { js::loose_eq };
        let (equal, kind, expected) = match &self.to {
            To::Field(field) => {
                let other = at.site.parent.and_then(|parent: &Object| parent.get(field));
                let equal = equals(value, other.unwrap_or(&Value::Undefined));
                (equal, "equalField", field.as_str().into())
            }
            To::Value(expected) => (equals(value, expected), "equalValue", expected.clone()),
        };
        if !equal {
            run.fail(at, kind, Some(expected), Some(value.clone()));
        }
    }
}
