//! What a broker sees of the validator.

use std::sync::Arc;

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
    fn check(&self, params: &Value, _: &Context) -> Result<(), Vec<Object>> {
        self.check_only(params).map_err(objects)
    }

    fn sanitizes(&self) -> bool {
        Self::sanitizes(self)
    }

    fn sanitize(&self, params: &mut Value, ctx: &Context) -> Result<bool, Vec<Object>> {
        self.check_in(params, ctx).map_err(objects)
    }
}

fn objects(items: Vec<ErrorItem>) -> Vec<Object> {
    items.into_iter().map(ErrorItem::into_object).collect()
}
