//! Checks written in Rust: [`Custom`].

use std::{collections::HashMap, fmt, sync::Arc};

use moleculer_core::Context;
use moleculer_protocol::{Object, Value};

use crate::{
    ErrorItem, RuleError,
    rule::Kind,
    run::{At, Run, Slot},
    schema::{Options, parse_shorthand},
};

pub(crate) type CustomFn = Arc<dyn Fn(&mut Custom<'_, '_>) + Send + Sync>;

/// The checks that rules can name.
pub(crate) type Customs = HashMap<String, CustomFn>;

/// What a check written in Rust gets: the value, its surroundings, and a way
/// to report errors.
///
/// ```
/// use moleculer_validator_fastest::{ErrorItem, FastestValidator};
/// use serde_json::json;
///
/// let validator = FastestValidator::builder()
///     .custom("even", |check| {
///         if check.value().as_i64().is_some_and(|n| n % 2 != 0) {
///             check.fail(ErrorItem::new("even").actual(check.value().clone()));
///         }
///     })
///     .message("even", "The '{field}' field must be even, not {actual}.")
///     .build();
///
/// let rules = validator.compile_rules(&json!({ "n": "number", "m": "even" }).into())?;
/// let mut params = json!({ "n": 1, "m": 3 }).into();
/// let items = rules.check(&mut params).unwrap_err();
/// assert_eq!(items[0].message.as_deref(), Some("The 'm' field must be even, not 3."));
/// # Ok::<(), moleculer_validator_fastest::RuleError>(())
/// ```
pub struct Custom<'a, 'c> {
    slot: Slot<'a>,
    at: &'a At<'a>,
    run: &'a mut Run<'c>,
    options: &'a Object,
}

impl Custom<'_, '_> {
    /// The value, after the rule's own conversions; undefined if it is absent.
    pub fn value(&self) -> &Value {
        self.slot.get()
    }

    /// Puts another value in its place.
    pub fn set(&mut self, value: impl Into<Value>) {
        self.run.replace(&mut self.slot, value.into());
    }

    /// The options of the rule; for a check of a list, those beside its name.
    pub fn options(&self) -> &Object {
        self.options
    }

    /// The object whose member the value is. The member itself reads as null
    /// meanwhile: use [`value`](Self::value).
    pub fn parent(&self) -> Option<&Object> {
        self.at.site.parent
    }

    /// The call or event whose params they are; `None` outside of one. It has
    /// none itself meanwhile, since they are in hand here.
    pub fn context(&self) -> Option<&Context> {
        self.run.context
    }

    /// The name of the field, as errors show it; `None` for the params as a whole.
    pub fn field(&self) -> Option<String> {
        self.at.site.path.render()
    }

    /// Reports an error. What the item lacks is filled in: the field, the
    /// label, and the text for its type.
    pub fn fail(&mut self, item: ErrorItem) {
        self.run.push(self.at, item);
    }
}

impl fmt::Debug for Custom<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("value", self.value()).finish_non_exhaustive()
    }
}

/// A named check, with the options that it gets.
pub(crate) struct CustomCall {
    name: String,
    check: CustomFn,
    options: Object,
}

impl CustomCall {
    /// The checks that an option names: one, or a list of names and objects
    /// with a `type`.
    pub(crate) fn compile_all(
        options: &Options<'_>,
        key: &str,
        customs: &Customs,
    ) -> Result<Vec<Self>, RuleError> {
        let named = |name: &str, own: Object| Self::new(options, name, own, customs);
        match options.get(key) {
            None => Ok(Vec::new()),
            Some(Value::String(name)) => Ok(vec![named(name, options.all().clone())?]),
            Some(Value::Array(list)) => list
                .iter()
                .map(|entry| {
                    let own = match entry {
                        Value::String(text) => parse_shorthand(text),
                        Value::Object(own) => own.clone(),
                        other => return Err(options.wrong(key, "a list of names", other)),
                    };
                    named(own.get("type").and_then(Value::as_str).unwrap_or_default(), own.clone())
                })
                .collect(),
            Some(other) => Err(options.wrong(key, "the name of a check, or a list of them", other)),
        }
    }

    /// The check of this name, as a type of rule.
    pub(crate) fn new(
        options: &Options<'_>,
        name: &str,
        own: Object,
        customs: &Customs,
    ) -> Result<Self, RuleError> {
        let check = customs.get(name).ok_or_else(|| {
            options
                .error(format!("there is no check `{name}`; add it with `custom(\"{name}\", ..)`"))
        })?;
        Ok(Self { name: name.to_owned(), check: check.clone(), options: own })
    }

    pub(crate) fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let slot = slot.reborrow();
        (self.check)(&mut Custom { slot, at, run, options: &self.options });
    }
}

impl fmt::Debug for CustomCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomCall").field(&self.name).finish()
    }
}

/// Rules whose type is a check, and those of type `custom`.
#[derive(Debug)]
pub(crate) struct CustomKind(pub(crate) Vec<CustomCall>);

impl Kind for CustomKind {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        for call in &self.0 {
            call.check(slot, at, run);
        }
    }

    fn sanitizes(&self) -> bool {
        true
    }
}
