//! Checking params by rules: [`Validator`].

mod layer;

use std::{fmt, sync::Arc};

use moleculer_protocol::{Object, Value};

pub(crate) use self::layer::Validate;
use crate::{Context, Error, Plugins, Result, config::Places};

/// Turns the rules of actions and events into checks.
///
/// Rules are what [`Action::params`](crate::Action::params) and
/// [`Event::params`](crate::Event::params) carry; their language is the
/// validator's. A broker has one validator, by value
/// ([`BrokerBuilder::validator`](crate::BrokerBuilder::validator)) or by the
/// option `validator`: `true` for the one that its plug-in makes the default, a
/// name, `{type, options}`, or `false`.
///
/// # Contract
///
/// - [`compile`](Self::compile) is called when a service is added. Wrong rules
///   are an error there, and name the field and the rule that is wrong.
/// - Checks are pure and do not block; many run at once.
/// - What comes over a wire is checked, so neither the time nor the memory of a
///   check may grow faster than the params do.
///
/// ```
/// use moleculer_core::{
///     Action, BrokerBuilder, Check, Context, Params, Plugins, Result, Service, Validator,
/// };
/// use moleculer_protocol::{Object, Value};
///
/// /// Rules are lists of members that must be there.
/// #[derive(Debug)]
/// struct Required;
///
/// #[derive(Debug)]
/// struct Names(Vec<String>);
///
/// impl Validator for Required {
///     fn compile(&self, rules: &Value) -> Result<Box<dyn Check>> {
///         let names = rules.as_array().unwrap_or_default();
///         let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
///         Ok(Box::new(Names(names.collect())))
///     }
/// }
///
/// impl Check for Names {
///     fn check(&self, params: &Value, _: &Context) -> Result<(), Vec<Object>> {
///         let missing = self.0.iter().filter(|name| params.pointer(name).is_none());
///         let items = missing.map(|name| Object::from([("type", "required"), ("field", name)]));
///         let items: Vec<_> = items.collect();
///         if items.is_empty() { Ok(()) } else { Err(items) }
///     }
/// }
///
/// async fn double(Params(params): Params<Value>) -> Result<Option<f64>> {
///     Ok(params.pointer("n").and_then(Value::as_f64).map(|n| n * 2.0))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let math = Service::builder("math").action(Action::new("double", double).params(vec!["n"]));
/// let broker = BrokerBuilder::new(Plugins::core()).validator(Required).service(math);
/// let broker = broker.start().await?;
/// let result: f64 = broker.call("math.double", Object::from([("n", 4)])).await?;
/// assert_eq!(result, 8.0);
/// let error = broker.call::<f64>("math.double", Object::new()).await.unwrap_err();
/// assert_eq!(error.code(), 422);
/// # Ok(()) }
/// ```
pub trait Validator: fmt::Debug + Send + Sync + 'static {
    /// Compiles rules.
    ///
    /// # Errors
    ///
    /// What is wrong with them, and at which field. The broker adds the names
    /// of the service and of the action or event.
    fn compile(&self, rules: &Value) -> Result<Box<dyn Check>>;

    /// Adds what other nodes are told of rules to a definition. Gateways and
    /// tools read `params` in the language of fastest-validator and
    /// `paramsSchema` as JSON Schema. Default: the rules as `params`.
    fn publish(&self, rules: &Value, definition: &mut Object) {
        definition.insert("params", rules.clone());
    }
}

/// Compiled rules.
pub trait Check: fmt::Debug + Send + Sync + 'static {
    /// Checks params, which are an empty object where there are none. The
    /// context has no params meanwhile, since they are in hand here.
    ///
    /// # Errors
    ///
    /// What is wrong, one item each, for the `data` of the `ValidationError`.
    /// The reference's items have `type`, `message`, `field`, `expected`,
    /// `actual` and `label`; the broker adds `nodeID` and `action` or `event`.
    fn check(&self, params: &Value, ctx: &Context) -> Result<(), Vec<Object>>;

    /// Whether params are given to [`sanitize`](Self::sanitize) instead.
    /// Default: no.
    fn sanitizes(&self) -> bool {
        false
    }

    /// Checks params and changes them in place: converts, fills in, removes.
    /// Tells whether it did; if not, the handler gets them as they came.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check). The params may be changed in part.
    fn sanitize(&self, params: &mut Value, ctx: &Context) -> Result<bool, Vec<Object>> {
        self.check(params, ctx).map(|()| false)
    }
}

/// A validator that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct ValidatorPlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// Whether the option `true`, which is the default, stands for it.
    pub is_default: bool,
    /// Makes one.
    pub build: fn(Object) -> Result<Arc<dyn Validator>>,
}

/// What the option `validator` asks for.
pub(crate) enum Chosen {
    Validator(Arc<dyn Validator>),
    /// None is compiled in. Rules are refused: somebody relies on them.
    Missing,
    /// Params are not validated, whatever rules say.
    Off,
}

/// Makes the validator that was set in code or by the option.
pub(crate) fn choose(
    set: Option<Arc<dyn Validator>>,
    option: &Value,
    plugins: &Plugins,
    places: &Places,
) -> Result<Chosen> {
    if let Some(validator) = set {
        return Ok(Chosen::Validator(validator));
    }
    match option {
        Value::Bool(true) if plugins.default_validator().is_none() => Ok(Chosen::Missing),
        option if !option.is_truthy() => Ok(Chosen::Off),
        option => {
            let made = plugins.make_validator(option);
            made.map(Chosen::Validator).map_err(|error| places.locate("validator", error))
        }
    }
}

impl Chosen {
    /// The option of services that goes without effect because it is asked for.
    pub(crate) fn ignored(&self) -> Option<String> {
        matches!(self, Self::Off).then(|| "params".to_owned())
    }

    pub(crate) fn layer(self) -> Option<Validate> {
        match self {
            Self::Validator(validator) => Some(Validate(validator)),
            Self::Missing | Self::Off => None,
        }
    }
}

/// The error of wrong rules.
fn wrong_rules(kind: &str, name: &str, service: &str, error: &Error) -> Error {
    let message = error.message();
    Error::schema(format!(
        "the rules `params` of {kind} '{name}' of service '{service}': {message}"
    ))
}
