//! What a broker sees of the validator.

use std::{borrow::Cow, sync::Arc};

use moleculer_core::{Check, Context, Error, Result, Validator, ValidatorPlugin, strict};
use moleculer_protocol::{Object, Value};

use crate::{ErrorItem, FastestValidator, Rules};

/// The validator for brokers that choose it by name: `Fastest`.
pub const PLUGIN: ValidatorPlugin = ValidatorPlugin {
    name: "Fastest",
    is_default: true,
    build: |options| {
        let config = strict("validator Fastest", options)?;
        Ok(Arc::new(FastestValidator::builder().config(config).build()))
    },
};

impl Validator for FastestValidator {
    fn compile(&self, rules: &Value) -> Result<Box<dyn Check>> {
        match self.compile_rules(rules) {
            Ok(rules) => Ok(Box::new(rules)),
            Err(error) => Err(Error::schema(error.to_string()).with_source(error)),
        }
    }
}

impl Check for Rules {
    fn check(&self, params: Cow<'_, Value>, ctx: &Context) -> Result<Option<Value>, Vec<Object>> {
        let checked = if self.sanitizes() {
            let mut params = params.into_owned();
            let changed = self.check_in(&mut params, ctx);
            changed.map(|changed| changed.then_some(params))
        } else {
            self.check_only(&params).map(|()| None)
        };
        checked.map_err(|items| items.into_iter().map(ErrorItem::into_object).collect())
    }
}
