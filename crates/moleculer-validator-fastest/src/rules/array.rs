//! The rule `array`.

use std::collections::HashSet;

use moleculer_protocol::Value;

use super::Compiled;
use crate::{
    compile::Compiler,
    js,
    path::Path,
    rule::{Kind, Rule},
    run::{At, Run, Site, Slot},
    schema::{Bound, Options},
};

#[derive(Debug)]
struct Array {
    convert: bool,
    forbid_empty: bool,
    min: Option<Bound>,
    max: Option<Bound>,
    length: Option<Bound>,
    contains: Option<Value>,
    unique: bool,
    allowed: Option<Allowed>,
    items: Option<Rule>,
}

#[derive(Debug)]
struct Allowed {
    values: Vec<Value>,
    shown: Value,
}

pub(super) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let field = format!("{}[]", options.field());
    let items = options.get("items").map(|items| compiler.rule(items, &field)).transpose()?;
    let allowed = options
        .list("enum")?
        .map(|values| Allowed { values: values.to_vec(), shown: js::join(values, ", ").into() });
    Ok(Box::new(Array {
        convert: options.is_on("convert")?,
        forbid_empty: options.flag("empty")? == Some(false),
        min: options.number("min")?,
        max: options.number("max")?,
        length: options.number("length")?,
        contains: options.get("contains").cloned(),
        unique: options.is_on("unique")?,
        allowed,
        items,
    }))
}

impl Kind for Array {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        if self.convert && slot.get().as_array().is_none() {
            let item = slot.get().clone();
            run.replace(slot, Value::Array(vec![item]));
        }
        let Value::Array(items) = slot.get() else {
            return run.fail(at, "array", None, Some(slot.get().clone()));
        };
        self.check_length(items.len(), at, run);
        self.check_content(slot.get(), items, at, run);
        let length = items.len();
        if let Some(rule) = &self.items {
            check_items(rule, length, slot, at, run);
        }
    }

    fn sanitizes(&self) -> bool {
        self.convert || self.items.as_ref().is_some_and(Rule::sanitizes)
    }
}

impl Array {
    fn check_length(&self, length: usize, at: &At<'_>, run: &mut Run<'_>) {
        if self.forbid_empty && length == 0 {
            run.fail(at, "arrayEmpty", None, Some(Value::Array(Vec::new())));
        }
        let len = length as f64;
        for (bound, kind, is_wrong) in [
            (&self.min, "arrayMin", self.min.as_ref().is_some_and(|min| len < min.value)),
            (&self.max, "arrayMax", self.max.as_ref().is_some_and(|max| len > max.value)),
            (&self.length, "arrayLength", self.length.as_ref().is_some_and(|l| len != l.value)),
        ] {
            if is_wrong {
                let expected = bound.as_ref().map(|bound| bound.shown.clone());
                run.fail(at, kind, expected, Some(length.into()));
            }
        }
    }

    fn check_content(&self, list: &Value, items: &[Value], at: &At<'_>, run: &mut Run<'_>) {
        if let Some(wanted) = &self.contains
            && !items.iter().any(|item| js::strict_eq(item, wanted))
        {
            run.fail(at, "arrayContains", Some(wanted.clone()), Some(list.clone()));
        }
        if self.unique {
            let repeated = repeated(items);
            if !repeated.is_empty() {
                run.fail(at, "arrayUnique", Some(Value::Array(repeated)), Some(list.clone()));
            }
        }
        if let Some(allowed) = &self.allowed {
            for item in items {
                if run.is_full() {
                    break;
                }
                if !allowed.values.iter().any(|value| js::strict_eq(value, item)) {
                    run.fail(at, "arrayEnum", Some(allowed.shown.clone()), Some(item.clone()));
                }
            }
        }
    }
}

fn check_items(rule: &Rule, length: usize, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
    for index in 0..length {
        if run.is_full() {
            break;
        }
        let path = Path::Item(at.site.path, index);
        let site = Site { path: &path, label: None, parent: at.site.parent };
        slot.item(index, |item| rule.check(item, &site, at.site, run));
    }
}

/// The items that stand in the list more than once, each once.
fn repeated(items: &[Value]) -> Vec<Value> {
    let (mut seen, mut found) = (HashSet::new(), HashSet::new());
    let mut repeated = Vec::new();
    for item in items {
        if let Some(identity) = Identity::of(item)
            && !seen.insert(identity)
            && found.insert(identity)
        {
            repeated.push(item.clone());
        }
    }
    repeated
}

/// What two items that are the same have in common. Objects and lists are
/// the same as nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Identity<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number(u64),
    Text(&'a str),
}

impl<'a> Identity<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Undefined => Self::Undefined,
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::String(text) => Self::Text(text),
            // A sum with zero has no sign, so that 0 and -0 are one.
            number => Self::Number((number.as_f64()? + 0.0).to_bits()),
        })
    }
}
