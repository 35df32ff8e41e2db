//! Params checked by `garde`: [`Valid`]; feature `garde`.

use std::{borrow::Cow, fmt::Display, sync::Arc};

use garde::{
    Validate,
    i18n::{
        I18n, InvalidCreditCard, InvalidEmail, InvalidPhoneNumber, InvalidUrl, IpKind, with_i18n,
    },
};
use moleculer_protocol::{Object, Payload, Value};
use serde::de::DeserializeOwned;

use crate::{Context, FromContext, Result};

/// The params as `T`, checked by the rules that `#[derive(garde::Validate)]`
/// gives it. A handler can have it once, in place of [`Params`](crate::Params).
///
/// Params that are not of the type fail the call as with `Params`; those that
/// are, but break a rule, with the same `ValidationError` (422): an item in
/// `data` for each, with the types and messages of fastest-validator. What a
/// custom rule of one's own says is the message of an item of type `custom`.
/// Fields have the names that they have in Rust.
///
/// ```
/// use garde::Validate;
/// use moleculer_core::{Action, BrokerBuilder, Plugins, Result, Service, Valid};
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize, Validate)]
/// struct NewPost {
///     #[garde(length(min = 3))]
///     title: String,
///     #[garde(inner(range(max = 9)))]
///     ratings: Vec<i64>,
/// }
///
/// async fn create(Valid(new): Valid<NewPost>) -> Result<usize> {
///     Ok(new.title.len() + new.ratings.len())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let posts = Service::builder("posts").action(Action::new("create", create));
/// let broker = BrokerBuilder::new(Plugins::core()).node_id("n").service(posts).start().await?;
/// let params = json!({ "title": "ab", "ratings": [5, 10] });
/// let error = broker.call::<usize>("posts.create", params).await.unwrap_err();
/// let items = json!([
///     { "type": "numberMax", "field": "ratings[1]", "expected": 9, "actual": 10,
///       "message": "The 'ratings[1]' field must be less than or equal to 9.",
///       "nodeID": "n", "action": "posts.create" },
///     { "type": "stringMin", "field": "title", "expected": 3, "actual": 2,
///       "message": "The 'title' field length must be greater than or equal to 3 characters long.",
///       "nodeID": "n", "action": "posts.create" },
/// ]);
/// assert_eq!((error.code(), error.data()), (422, Some(&items.into())));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Valid<T>(pub T);

impl<S, T> FromContext<S> for Valid<T>
where
    T: DeserializeOwned + Validate<Context: Default> + Send + Sync + 'static,
{
    const TAKES_PARAMS: bool = true;

    fn from_context(ctx: &Context, _: &S) -> Result<Self> {
        let payload = ctx.handler_payload()?;
        // What was found is told from the params as they came.
        let came = payload.clone();
        let shared: Arc<T> = payload.try_share().map_err(|refused| ctx.misfit::<T>(&refused))?;
        if let Err(report) = with_i18n(Rules, || shared.validate()) {
            let items = items(&report, &came);
            return Err(ctx.broken_rules(items).with_source(report));
        }
        let taken = Arc::try_unwrap(shared).or_else(|shared| {
            // It is what came.
            drop(shared);
            came.try_take().map_err(|refused| ctx.misfit::<T>(&refused))
        });
        taken.map(Self)
    }
}

/// One item for each broken rule. Where the params as they came have the
/// field, the item tells what it was.
fn items(report: &garde::Report, came: &Payload) -> Vec<Object> {
    let broken = report.iter().take(MOST_ITEMS);
    broken.map(|(path, error)| item(path.to_string(), error.message(), came)).collect()
}

/// As many as the rules of fastest-validator tell of.
const MOST_ITEMS: usize = 1000;

fn item(field: String, message: &str, came: &Payload) -> Object {
    let place = field.replace('[', ".").replace(']', "");
    let actual = came.get(&place).ok().flatten();
    let ours = message.strip_prefix(OURS).and_then(|rule| rule.split_once(OURS));
    // What somebody's own rule says stays as it is.
    let (rule, expected) = ours.unwrap_or(("custom", ""));
    let kind = match (rule, &actual) {
        (MIN, Some(Value::Array(_))) => "arrayMin",
        (MAX, Some(Value::Array(_))) => "arrayMax",
        (MIN, Some(Value::Object(_))) => "objectMinProps",
        (MAX, Some(Value::Object(_))) => "objectMaxProps",
        (MIN, _) => "stringMin",
        (MAX, _) => "stringMax",
        (rule, _) => rule,
    };
    let message = ours.map_or_else(|| message.to_owned(), |_| message_of(kind, &field, expected));
    let actual = match rule {
        "required" => None,
        MIN | MAX => actual.as_ref().and_then(length),
        _ => actual,
    };
    let mut item = Object::from([("type", kind), ("message", &message)]);
    item.insert("field", field);
    if !expected.is_empty() && kind != "custom" {
        let is_limit = matches!(rule, MIN | MAX | "numberMin" | "numberMax");
        let limit = is_limit.then(|| number(expected)).flatten();
        item.insert("expected", limit.unwrap_or_else(|| expected.into()));
    }
    item.extend(actual.map(|actual| ("actual", actual)));
    item
}

/// What rules count; of text that is not ASCII they count different things.
fn length(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => Some(items.len().into()),
        Value::Object(members) => Some(members.len().into()),
        Value::String(text) => text.is_ascii().then(|| text.len().into()),
        _ => None,
    }
}

/// A limit, unless it is no number, as that of a date.
fn number(expected: &str) -> Option<Value> {
    let integer = expected.parse::<i64>().map(Value::from);
    integer.or_else(|_| expected.parse::<f64>().map(Value::from)).ok()
}

/// The words of fastest-validator.
fn message_of(kind: &str, field: &str, expected: &str) -> String {
    let (start, end) = match kind {
        "required" => ("field is required.", ""),
        "stringMin" => ("field length must be greater than or equal to ", " characters long."),
        "stringMax" => ("field length must be less than or equal to ", " characters long."),
        "arrayMin" => ("field must contain at least ", " items."),
        "arrayMax" => ("field must contain less than or equal to ", " items."),
        "objectMinProps" => {
            return format!("The object '{field}' must contain at least {expected} properties.");
        }
        "objectMaxProps" => {
            return format!("The object '{field}' must contain {expected} properties at most.");
        }
        "numberMin" => ("field must be greater than or equal to ", "."),
        "numberMax" => ("field must be less than or equal to ", "."),
        "stringContains" => ("field must contain the '", "' text."),
        "equalField" => ("field value must be equal to '", "' field value."),
        "stringPattern" => {
            return format!("The '{field}' field fails to match the required pattern.");
        }
        "stringAlphanum" => ("field must be an alphanumeric string.", ""),
        "email" => ("field must be a valid e-mail.", ""),
        "url" => ("field must be a valid URL.", ""),
        "luhn" => ("field must be a valid checksum luhn.", ""),
        _ => ("field must ", "."),
    };
    format!("The '{field}' {start}{expected}{end}")
}

/// What a message of ours begins with, and what stands before what is expected.
const OURS: char = '\u{1}';
const MIN: &str = "min";
const MAX: &str = "max";

/// garde tells of broken rules in words only: these say which rule it was.
struct Rules;

fn broken(rule: &str, expected: impl Display) -> Cow<'static, str> {
    format!("{OURS}{rule}{OURS}{expected}").into()
}

impl I18n for Rules {
    fn length_lower_than(&self, min: usize) -> Cow<'static, str> {
        broken(MIN, min)
    }
    fn length_greater_than(&self, max: usize) -> Cow<'static, str> {
        broken(MAX, max)
    }
    fn range_lower_than(&self, min: &dyn Display) -> Cow<'static, str> {
        broken("numberMin", min)
    }
    fn range_greater_than(&self, max: &dyn Display) -> Cow<'static, str> {
        broken("numberMax", max)
    }
    fn credit_card_invalid(&self, _: InvalidCreditCard) -> Cow<'static, str> {
        broken("luhn", "")
    }
    fn pattern_no_match(&self, pattern: &dyn Display) -> Cow<'static, str> {
        broken("stringPattern", format_args!("/{pattern}/"))
    }
    fn contains_missing(&self, pattern: &dyn Display) -> Cow<'static, str> {
        broken("stringContains", pattern)
    }
    fn url_invalid(&self, _: InvalidUrl) -> Cow<'static, str> {
        broken("url", "")
    }
    fn prefix_missing(&self, pattern: &dyn Display) -> Cow<'static, str> {
        broken("custom", format_args!("begin with '{pattern}'"))
    }
    fn suffix_missing(&self, pattern: &dyn Display) -> Cow<'static, str> {
        broken("custom", format_args!("end with '{pattern}'"))
    }
    fn phone_number_invalid(&self, _: InvalidPhoneNumber) -> Cow<'static, str> {
        broken("custom", "be a valid phone number")
    }
    fn ip_invalid(&self, kind: IpKind) -> Cow<'static, str> {
        broken("custom", format_args!("be a valid {kind} address"))
    }
    fn matches_field_mismatch(&self, field: &dyn Display) -> Cow<'static, str> {
        broken("equalField", field)
    }
    fn email_invalid(&self, _: InvalidEmail) -> Cow<'static, str> {
        broken("email", "")
    }
    fn ascii_invalid(&self) -> Cow<'static, str> {
        broken("custom", "be ASCII")
    }
    fn alphanumeric_invalid(&self) -> Cow<'static, str> {
        broken("stringAlphanum", "")
    }
    fn required_not_set(&self) -> Cow<'static, str> {
        broken("required", "")
    }
}
