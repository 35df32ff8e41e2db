//! From rules to checks.

use moleculer_protocol::{Object, Value};

use crate::{
    RuleError,
    custom::{CustomCall, Customs},
    messages::Messages,
    rule::{Missing, Rule},
    rules,
    schema::{Options, Resolver},
};

/// Rules may be nested so deep. Aliases could otherwise name each other for ever.
const MAX_DEPTH: usize = 64;

/// What a validator knows when it compiles rules.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) resolver: Resolver,
    pub(crate) messages: Messages,
    pub(crate) customs: Customs,
    pub(crate) halt_on_first_error: bool,
}

pub(crate) struct Compiler<'a> {
    pub(crate) settings: &'a Settings,
    depth: usize,
}

impl<'a> Compiler<'a> {
    pub(crate) const fn new(settings: &'a Settings) -> Self {
        Self { settings, depth: 0 }
    }

    /// The rules of an action: members of an object, a list of alternatives,
    /// or with `$$root` a single rule.
    pub(crate) fn root(&mut self, rules: &Value) -> Result<Rule, RuleError> {
        let members = match rules {
            Value::Array(_) => return self.rule(rules, ""),
            Value::Object(rules) => rules,
            other => {
                let message =
                    format!("Invalid schema. Rules are an object or a list, not {other:?}");
                return Err(RuleError::new("", message));
            }
        };
        if members.get("$$root") == Some(&Value::Bool(true)) {
            return self.rule(rules, "");
        }
        let is_meta = |key: &str| key.starts_with("$$");
        let props: Object = members
            .iter()
            .filter(|(key, _)| !is_meta(key))
            .map(|(key, rule)| (key, rule.clone()))
            .collect();
        let mut object = Object::from([("type", Value::from("object")), ("props", props.into())]);
        if let Some(strict) = members.defined("$$strict") {
            object.insert("strict", strict.clone());
        }
        self.rule(&object.into(), "")
    }

    /// The rule of `field`.
    pub(crate) fn rule(&mut self, rule: &Value, field: &str) -> Result<Rule, RuleError> {
        if self.depth == MAX_DEPTH {
            let message = format!(
                "rules are nested deeper than {MAX_DEPTH} levels; does an alias name itself?"
            );
            return Err(RuleError::new(field, message));
        }
        self.depth += 1;
        let object = self.settings.resolver.resolve(rule, field)?;
        let compiled = self.resolved(&Options::new(&object, field));
        self.depth -= 1;
        compiled
    }

    fn resolved(&mut self, options: &Options<'_>) -> Result<Rule, RuleError> {
        let kind = rules::compile(options, self)?;
        let (on_undefined, on_null) = self.missing(options)?;
        Ok(Rule {
            kind,
            on_undefined,
            on_null,
            label: options.text("label")?.map(Into::into),
            messages: self.settings.messages.with(options.get("messages"), options.field())?,
            customs: CustomCall::compile_all(options, "custom", &self.settings.customs)?,
        })
    }

    /// What happens for undefined and for null.
    fn missing(&self, options: &Options<'_>) -> Result<(Missing, Missing), RuleError> {
        let forbidden = options.get("type").and_then(Value::as_str) == Some("forbidden");
        let optional = options.is_on("optional")? || forbidden;
        let nullable = options.flag("nullable")?;
        let null_is_value = self.settings.resolver.null_is_value;
        let keeps_null =
            if null_is_value { nullable != Some(false) } else { nullable == Some(true) };
        let accepts_null = keeps_null || forbidden || (optional && !null_is_value);
        let accept_if = |accepted| if accepted { Missing::Accept } else { Missing::Refuse };
        let Some(default) = options.get("default") else {
            return Ok((accept_if(optional), accept_if(accepts_null)));
        };
        let default = Missing::Default(default.clone());
        let on_null = if keeps_null { Missing::Accept } else { default.clone() };
        Ok((default, on_null))
    }
}
