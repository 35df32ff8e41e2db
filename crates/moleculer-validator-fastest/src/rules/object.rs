//! The rule `object`.

use std::collections::HashSet;

use moleculer_protocol::{Object, Value};

use super::Compiled;
use crate::{
    RuleError,
    compile::Compiler,
    path::{Path, push_member},
    rule::{Kind, Rule},
    run::{At, Run, Site, Slot},
    schema::{Bound, Options},
};

#[derive(Debug)]
struct ObjectKind {
    members: Vec<(Box<str>, Rule)>,
    others: Others,
    min: Option<Bound>,
    max: Option<Bound>,
    halt: bool,
}

/// What happens to members without a rule.
#[derive(Debug)]
enum Others {
    Keep,
    Remove(HashSet<Box<str>>),
    Refuse { allowed: HashSet<Box<str>>, shown: Value },
}

pub(super) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let props = match options.object("properties")? {
        Some(props) => Some(props),
        None => options.object("props")?,
    };
    Ok(Box::new(ObjectKind {
        members: members(props, options.field(), compiler)?,
        others: others(props, options)?,
        min: options.number("minProps")?,
        max: options.number("maxProps")?,
        halt: compiler.settings.halt_on_first_error,
    }))
}

fn members(
    props: Option<&Object>,
    field: &str,
    compiler: &mut Compiler<'_>,
) -> Result<Vec<(Box<str>, Rule)>, RuleError> {
    let props = props.into_iter().flat_map(Object::iter);
    let rules = props.filter(|(name, _)| !name.starts_with("$$")).map(|(name, rule)| {
        let mut field = field.to_owned();
        push_member(&mut field, name);
        Ok((name.into(), compiler.rule(rule, &field)?))
    });
    rules.collect()
}

fn others(props: Option<&Object>, options: &Options<'_>) -> Result<Others, RuleError> {
    let remove = match options.get("strict") {
        None | Some(Value::Bool(false)) => return Ok(Others::Keep),
        Some(Value::Bool(true)) => false,
        Some(Value::String(text)) if text == "remove" => true,
        Some(other) => return Err(options.wrong("strict", "true, false or \"remove\"", other)),
    };
    let Some(props) = props else { return Ok(Others::Keep) };
    let allowed = props.keys().map(Into::into).collect();
    let shown = || props.keys().collect::<Vec<_>>().join(", ").into();
    Ok(if remove { Others::Remove(allowed) } else { Others::Refuse { allowed, shown: shown() } })
}

impl Kind for ObjectKind {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        if slot.get().as_object().is_none() {
            return run.fail(at, "object", None, Some(slot.get().clone()));
        }
        let mut label = at.label();
        for (name, rule) in &self.members {
            label = rule.label.as_deref();
            slot.member(name, |member, parent| {
                let path = Path::Member(at.site.path, name);
                let site = Site { path: &path, label, parent: Some(parent) };
                rule.check(member, &site, &site, run);
            });
            if run.is_full() || (self.halt && !run.errors.is_empty()) {
                return;
            }
        }
        // The reference gives these errors the label of the last member.
        let site = Site { label, ..*at.site };
        let at = At { site: &site, ..*at };
        self.check_others(slot, &at, run);
        self.check_count(slot, &at, run);
    }

    fn sanitizes(&self) -> bool {
        matches!(self.others, Others::Remove(_))
            || self.members.iter().any(|(_, rule)| rule.sanitizes())
    }
}

impl ObjectKind {
    fn check_others(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Value::Object(object) = slot.get() else { return };
        match &self.others {
            Others::Keep => {}
            Others::Refuse { allowed, shown } => {
                let others: Vec<&str> =
                    object.keys().filter(|key| !allowed.contains(*key)).collect();
                if !others.is_empty() {
                    let actual = others.join(", ").into();
                    run.fail(at, "objectStrict", Some(shown.clone()), Some(actual));
                }
            }
            Others::Remove(allowed) => {
                let is_other = object.keys().any(|key| !allowed.contains(key));
                if is_other && run.errors.is_empty() {
                    remove_others(slot, allowed, run);
                }
            }
        }
    }

    fn check_count(&self, slot: &Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let count = slot.get().as_object().map_or(0, Object::len);
        if let Some(min) = self.min.as_ref().filter(|min| (count as f64) < min.value) {
            run.fail(at, "objectMinProps", Some(min.shown.clone()), Some(count.into()));
        }
        if let Some(max) = self.max.as_ref().filter(|max| count as f64 > max.value) {
            run.fail(at, "objectMaxProps", Some(max.shown.clone()), Some(count.into()));
        }
    }
}

fn remove_others(slot: &mut Slot<'_>, allowed: &HashSet<Box<str>>, run: &mut Run<'_>) {
    let Slot::Write(Value::Object(object)) = slot else { return };
    let all = std::mem::take(object);
    let kept: Object = all.into_iter().filter(|(key, _)| allowed.contains(key.as_str())).collect();
    run.replace(slot, kept.into());
}
