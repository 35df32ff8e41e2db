//! The validator: [`JsonSchemaValidator`].

use std::sync::Arc;

use jsonschema::PatternOptions;
use moleculer_core::{
    Check, Context, Error, Result, Validator, ValidatorPlugin, rules_of_schema, strict,
};
use moleculer_protocol::{Object, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::items::items;

/// The validator for brokers that choose it by name: `JsonSchema`.
pub const PLUGIN: ValidatorPlugin = ValidatorPlugin {
    name: "JsonSchema",
    is_default: false,
    build: |options| {
        let config = strict("validator JsonSchema", options)?;
        Ok(Arc::new(JsonSchemaValidator::with_config(config)))
    },
};

/// Options of a [`JsonSchemaValidator`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JsonSchemaConfig {
    /// Whether `format` is checked, and an unknown one refused. Default: true.
    pub formats: bool,
}

impl Default for JsonSchemaConfig {
    fn default() -> Self {
        Self { formats: true }
    }
}

/// Takes the rules of actions and events as JSON Schema, of the draft that
/// `$schema` names; without it 2020-12.
///
/// Schemas refer to themselves (`#/$defs/..`) and to nothing outside: nothing is
/// read from files or a network. Patterns run in linear time.
///
/// ```
/// use moleculer_core::{Action, BrokerBuilder, Params, Plugins, Result, Service, Value};
/// use moleculer_validator_jsonschema::JsonSchemaValidator;
/// use serde_json::json;
///
/// async fn create(Params(post): Params<Value>) -> Result<Value> {
///     Ok(post)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let create = Action::new("create", create).params(json!({
///     "type": "object",
///     "properties": { "title": { "type": "string", "minLength": 3 } },
///     "required": ["title"],
/// }));
/// let posts = Service::builder("posts").action(create);
/// let broker = BrokerBuilder::new(Plugins::core()).node_id("n").service(posts);
/// let broker = broker.validator(JsonSchemaValidator::new()).start().await?;
///
/// let call = broker.call::<Value>("posts.create", json!({ "title": "ab" }));
/// let items = json!([{
///     "type": "stringMin",
///     "message": "The 'title' field length must be greater than or equal to 3 characters long.",
///     "field": "title", "expected": 3, "actual": 2, "nodeID": "n", "action": "posts.create",
/// }]);
/// assert_eq!(call.await.unwrap_err().data(), Some(&items.into()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonSchemaValidator {
    config: JsonSchemaConfig,
}

impl JsonSchemaValidator {
    /// A validator with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// A validator with these options.
    pub const fn with_config(config: JsonSchemaConfig) -> Self {
        Self { config }
    }
}

impl Validator for JsonSchemaValidator {
    fn compile(&self, rules: &Value) -> Result<Box<dyn Check>> {
        let schema = Json::from(rules.clone());
        if !schema.is_object() {
            return Err(Error::schema("a JSON Schema is an object"));
        }
        jsonschema::meta::validate(&schema).map_err(|error| refused(&error))?;
        let options = jsonschema::options()
            .offline()
            .should_validate_formats(self.config.formats)
            .should_ignore_unknown_formats(false)
            .with_pattern_options(PatternOptions::regex());
        let schema = options.build(&schema).map_err(|error| refused(&error))?;
        Ok(Box::new(Schema(schema)))
    }

    /// The schema as `paramsSchema`, and what the rules of fastest-validator
    /// can say of it as `params`.
    fn publish(&self, rules: &Value, definition: &mut Object) {
        if let Some(rules) = rules_of_schema(rules) {
            definition.insert("params", rules);
        }
        definition.insert("paramsSchema", rules.clone());
    }
}

fn refused(error: &jsonschema::ValidationError<'_>) -> Error {
    let path = error.instance_path().as_str();
    let place = if path.is_empty() { String::new() } else { format!(" (at `{path}`)") };
    Error::schema(format!("no JSON Schema that can be used: {error}{place}"))
}

#[derive(Debug)]
struct Schema(jsonschema::Validator);

impl Check for Schema {
    /// Changes nothing: a JSON Schema only says what is right.
    fn check(&self, params: &Value, _: &Context) -> Result<(), Vec<Object>> {
        let params = Json::from(params.clone());
        if self.0.is_valid(&params) { Ok(()) } else { Err(items(self.0.iter_errors(&params))) }
    }
}
