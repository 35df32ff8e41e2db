//! The rule `tuple`: a list with a rule for each item.

use moleculer_protocol::Value;

use super::Compiled;
use crate::{
    compile::Compiler,
    path::Path,
    rule::{Kind, Rule},
    run::{At, Run, Site, Slot},
    schema::Options,
};

#[derive(Debug)]
struct Tuple {
    forbid_empty: bool,
    items: Option<Vec<Rule>>,
}

pub(super) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let items = match options.list("items")? {
        None => None,
        Some([]) => {
            return Err(options
                .error("Invalid 'tuple' schema. The 'items' field must not be an empty array."));
        }
        Some(items) => {
            let rules = items
                .iter()
                .enumerate()
                .map(|(index, rule)| compiler.rule(rule, &format!("{}[{index}]", options.field())));
            Some(rules.collect::<Result<_, _>>()?)
        }
    };
    Ok(Box::new(Tuple { forbid_empty: options.flag("empty")? == Some(false), items }))
}

impl Kind for Tuple {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Value::Array(values) = slot.get() else {
            return run.fail(at, "tuple", None, Some(slot.get().clone()));
        };
        let length = values.len();
        if length == 0 {
            if self.forbid_empty {
                run.fail(at, "tupleEmpty", None, Some(Value::Array(Vec::new())));
            }
            return;
        }
        let Some(rules) = &self.items else { return };
        if length != rules.len() {
            return run.fail(at, "tupleLength", Some(rules.len().into()), Some(length.into()));
        }
        for (index, rule) in rules.iter().enumerate() {
            let path = Path::Item(at.site.path, index);
            let site = Site { path: &path, label: None, parent: at.site.parent };
            slot.item(index, |item| rule.check(item, &site, at.site, run));
        }
    }

    fn sanitizes(&self) -> bool {
        self.items.iter().flatten().any(Rule::sanitizes)
    }
}
