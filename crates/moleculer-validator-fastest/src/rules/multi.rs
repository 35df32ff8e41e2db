//! The rule `multi`: the first of several rules that fits.

use super::Compiled;
use crate::{
    compile::Compiler,
    rule::{Kind, Rule},
    run::{At, MAX_ERRORS, Run, Site, Slot},
    schema::Options,
};

#[derive(Debug)]
struct Multi(Vec<Rule>);

pub(super) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let Some(rules) = options.list("rules")? else {
        return Err(options.error("the list `rules` is missing"));
    };
    let rules = rules.iter().map(|rule| compiler.rule(rule, options.field()));
    Ok(Box::new(Multi(rules.collect::<Result<_, _>>()?)))
}

impl Kind for Multi {
    /// A rule that does not fit leaves no trace in the value.
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let site = Site { label: None, ..*at.site };
        let mut earlier = std::mem::take(&mut run.errors);
        let changed = run.changed;
        let mut errors = Vec::new();
        for rule in &self.0 {
            let original = (slot.is_writable() && rule.sanitizes()).then(|| slot.get().clone());
            rule.check(&mut slot.reborrow(), &site, &site, run);
            if run.errors.is_empty() {
                run.errors = earlier;
                return;
            }
            errors.append(&mut run.errors);
            if let Some(original) = original {
                run.replace(slot, original);
                run.changed = changed;
            }
        }
        earlier.append(&mut errors);
        earlier.truncate(MAX_ERRORS);
        run.errors = earlier;
    }

    fn sanitizes(&self) -> bool {
        self.0.iter().any(Rule::sanitizes)
    }
}
