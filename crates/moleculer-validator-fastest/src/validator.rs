//! The validator and what it compiles: [`FastestValidator`], [`Rules`].

use std::{collections::HashMap, fmt};

use moleculer_core::Context;
use moleculer_protocol::{Object, Value};
use serde::Deserialize;

use crate::{
    Custom, ErrorItem, RuleError,
    compile::{Compiler, Settings},
    custom::Customs,
    messages::Messages,
    path::Path,
    rule::Rule,
    run::{Run, Site, Slot},
    schema::Resolver,
};

/// Options of a [`FastestValidator`], under the names of fastest-validator.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FastestConfig {
    /// Texts by type of error; they go before the built-in ones. Default: none.
    pub messages: HashMap<String, String>,
    /// Rules by name, which other rules can use as their type. Default: none.
    pub aliases: Object,
    /// Options by type of rule, for rules that do not set them. Default: none.
    pub defaults: Object,
    /// Whether an object's check ends with the first member that is wrong.
    /// Default: false, all errors are told.
    pub halt_on_first_error: bool,
    /// Whether null is a value as any other, unless a rule has
    /// `nullable: false`. Default: false.
    pub consider_null_as_a_value: bool,
    /// Means something for functions of JavaScript only; taken, so that both
    /// can share a configuration.
    pub use_new_custom_checker_function: bool,
}

/// Compiles rules in the language of fastest-validator.
///
/// ```
/// use moleculer_validator_fastest::FastestValidator;
/// use serde_json::json;
///
/// let rules = FastestValidator::default()
///     .compile_rules(&json!({ "id": "number|convert", "tags": "string[]|optional" }).into())?;
///
/// let mut params = json!({ "id": "5" }).into();
/// assert_eq!(rules.check(&mut params), Ok(true));
/// assert_eq!(params, json!({ "id": 5 }).into());
///
/// let items = rules.check(&mut json!({ "id": 5, "tags": [1] }).into()).unwrap_err();
/// assert_eq!(items[0].message.as_deref(), Some("The 'tags[0]' field must be a string."));
/// # Ok::<(), moleculer_validator_fastest::RuleError>(())
/// ```
#[derive(Default)]
pub struct FastestValidator {
    settings: Settings,
}

impl FastestValidator {
    /// A validator with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to set options and to add checks.
    pub fn builder() -> FastestBuilder {
        FastestBuilder::default()
    }

    /// Compiles the rules of an action or event.
    ///
    /// # Errors
    ///
    /// [`RuleError`] that names the field and what is wrong with its rule.
    pub fn compile_rules(&self, rules: &Value) -> Result<Rules, RuleError> {
        let rule = Compiler::new(&self.settings).root(rules)?;
        Ok(Rules { sanitizes: rule.sanitizes(), rule })
    }
}

impl fmt::Debug for FastestValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastestValidator").finish_non_exhaustive()
    }
}

/// Builds a [`FastestValidator`].
#[derive(Default)]
#[must_use]
pub struct FastestBuilder {
    config: FastestConfig,
    customs: Customs,
}

impl FastestBuilder {
    /// Sets all options at once.
    pub fn config(mut self, config: FastestConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets the text of a type of error.
    pub fn message(mut self, kind: &str, text: &str) -> Self {
        self.config.messages.insert(kind.to_owned(), text.to_owned());
        self
    }

    /// Names a rule, so that others can use the name as their type.
    pub fn alias(mut self, name: &str, rule: impl Into<Value>) -> Self {
        self.config.aliases.insert(name, rule);
        self
    }

    /// Sets options of all rules of a type that do not set them.
    pub fn defaults(mut self, kind: &str, options: impl Into<Value>) -> Self {
        self.config.defaults.insert(kind, options);
        self
    }

    /// Ends the check of an object with the first member that is wrong.
    pub fn halt_on_first_error(mut self) -> Self {
        self.config.halt_on_first_error = true;
        self
    }

    /// Takes null as a value, unless a rule has `nullable: false`.
    pub fn consider_null_as_a_value(mut self) -> Self {
        self.config.consider_null_as_a_value = true;
        self
    }

    /// Adds a check written in Rust. Rules use it as their type (`"even"`), or
    /// after their own checks (`{type: "number", custom: ["even|of:2"]}`). It
    /// also runs for absent values.
    pub fn custom(
        mut self,
        name: &str,
        check: impl Fn(&mut Custom<'_, '_>) + Send + Sync + 'static,
    ) -> Self {
        self.customs.insert(name.to_owned(), std::sync::Arc::new(check));
        self
    }

    /// Makes the validator.
    pub fn build(self) -> FastestValidator {
        FastestValidator {
            settings: Settings {
                resolver: Resolver {
                    aliases: self.config.aliases,
                    defaults: self.config.defaults,
                    null_is_value: self.config.consider_null_as_a_value,
                },
                messages: Messages::new(self.config.messages),
                customs: self.customs,
                halt_on_first_error: self.config.halt_on_first_error,
            },
        }
    }
}

impl fmt::Debug for FastestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastestBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Compiled rules.
#[derive(Debug)]
pub struct Rules {
    rule: Rule,
    sanitizes: bool,
}

impl Rules {
    /// Whether a check may change the params: convert, trim, fill in or remove.
    pub const fn sanitizes(&self) -> bool {
        self.sanitizes
    }

    /// Checks params and changes them as the rules say; tells whether it did.
    ///
    /// # Errors
    ///
    /// What is wrong, at most 1000 items. The params may be changed in part.
    pub fn check(&self, params: &mut Value) -> Result<bool, Vec<ErrorItem>> {
        self.run(&mut Slot::Write(params), None)
    }

    pub(crate) fn check_in(
        &self,
        params: &mut Value,
        ctx: &Context,
    ) -> Result<bool, Vec<ErrorItem>> {
        self.run(&mut Slot::Write(params), Some(ctx))
    }

    /// Checks params with rules that change nothing.
    ///
    /// # Errors
    ///
    /// What is wrong, at most 1000 items; also for params that only a change
    /// would make right.
    pub fn check_only(&self, params: &Value) -> Result<(), Vec<ErrorItem>> {
        self.run(&mut Slot::Read(params), None).map(drop)
    }

    fn run(&self, slot: &mut Slot<'_>, context: Option<&Context>) -> Result<bool, Vec<ErrorItem>> {
        let mut run = Run { context, ..Run::default() };
        let label = self.rule.label.as_deref();
        let site = Site { path: &Path::Root, label, parent: None };
        self.rule.check(slot, &site, &site, &mut run);
        if run.errors.is_empty() { Ok(run.changed) } else { Err(run.errors) }
    }
}
