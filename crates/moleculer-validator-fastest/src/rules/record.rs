//! The rule `record`: an object whose members are all alike.

use moleculer_protocol::{Object, Value};

use super::Compiled;
use crate::{
    compile::Compiler,
    js,
    path::Path,
    rule::{Kind, Rule},
    run::{At, Run, Site, Slot},
    schema::Options,
};

#[derive(Debug)]
struct Record {
    key: Option<Rule>,
    value: Rule,
}

pub(super) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let is_set = |rule: &&Value| rule.is_truthy();
    let key = match options.get("key").filter(is_set) {
        None => None,
        Some(rule) => {
            let rule = compiler.rule(rule, &format!("{}[key]", options.field()))?;
            Some(Rule { messages: rule.messages.of_key(), ..rule })
        }
    };
    let field = format!("{}[]", options.field());
    // Without a rule, anything but null.
    let any = "any".into();
    let value = compiler.rule(options.get("value").filter(is_set).unwrap_or(&any), &field)?;
    Ok(Box::new(Record { key, value }))
}

impl Kind for Record {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Value::Object(object) = slot.get() else {
            return run.fail(at, "record", None, Some(slot.get().clone()));
        };
        let names: Vec<String> = object.keys().map(str::to_owned).collect();
        let mut renamed = Vec::new();
        for name in &names {
            if run.is_full() {
                return;
            }
            let path = Path::Entry(at.site.path, name);
            if let Some(rule) = &self.key {
                let mut key = Value::from(name.as_str());
                check_key(rule, &mut key, &path, at, run);
                renamed.push(js::to_text(&key).into_owned());
            }
            slot.member(name, |member, parent| {
                let site = Site { path: &path, label: None, parent: Some(parent) };
                self.value.check(member, &site, at.site, run);
            });
        }
        if self.key.as_ref().is_some_and(Rule::sanitizes) && renamed != names {
            rename(slot, renamed, run);
        }
    }

    fn sanitizes(&self) -> bool {
        self.value.sanitizes() || self.key.as_ref().is_some_and(Rule::sanitizes)
    }
}

fn check_key(rule: &Rule, key: &mut Value, path: &Path<'_>, at: &At<'_>, run: &mut Run<'_>) {
    let site = Site { path, label: None, parent: None };
    if rule.sanitizes() {
        rule.check(&mut Slot::Write(key), &site, at.site, run);
    } else {
        rule.check(&mut Slot::Read(key), &site, at.site, run);
    }
}

fn rename(slot: &mut Slot<'_>, names: Vec<String>, run: &mut Run<'_>) {
    let Slot::Write(Value::Object(object)) = slot else { return };
    let members = std::mem::take(object).into_iter().map(|(_, value)| value);
    let renamed: Object = names.into_iter().zip(members).collect();
    run.replace(slot, renamed.into());
}
