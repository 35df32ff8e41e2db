//! The checks of fastest-validator, done again: see `vectors/make.mjs`.

use moleculer_protocol::{Date, Object, Value};
use moleculer_validator_fastest::{FastestConfig, FastestValidator};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    version: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    options: Value,
    rules: Value,
    refused: Option<String>,
    #[serde(default)]
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    params: Value,
    items: Option<Vec<Value>>,
    after: Option<Value>,
}

#[test]
fn checks_find_what_the_reference_finds() {
    let text = include_str!("vectors/cases.json");
    let vectors: Vectors = serde_json::from_str(text).expect("the vectors");
    assert_eq!(vectors.version, "1.19.1");
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in &vectors.cases {
        count += case.results.len();
        case.check(&mut wrong);
    }
    assert!(count > 3000, "{count} checks");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

impl Case {
    fn check(&self, wrong: &mut Vec<String>) {
        let config: FastestConfig = self.options.clone().into_type().expect("the options");
        let validator = FastestValidator::builder().config(config).build();
        let rules = match (validator.compile_rules(&decode(&self.rules)), &self.refused) {
            (Ok(rules), None) => rules,
            (Err(error), Some(refused)) => {
                // Of an unknown type the reference says which; other texts are ours.
                let unknown = refused.ends_with("type in validator schema.");
                if unknown && !error.to_string().contains(refused) {
                    wrong.push(format!("{:?}: {error} instead of {refused}", self.rules));
                }
                return;
            }
            (Ok(_), Some(refused)) => return wrong.push(format!("{:?}: {refused}", self.rules)),
            (Err(error), None) => return wrong.push(format!("{:?}: {error}", self.rules)),
        };
        for outcome in &self.results {
            let mut params = decode(&outcome.params);
            let before = params.clone();
            let result = rules.check(&mut params);
            let mut tell = |found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
                wrong.push(format!(
                    "{:?} {:?} on {:?}:\n   found {found:?}\nexpected {expected:?}",
                    self.options, self.rules, outcome.params
                ));
            };
            let items = result
                .clone()
                .err()
                .map(|items| items.into_iter().map(|item| item.into_object().into()).collect());
            let items = items.map(Value::Array);
            let expected = outcome.items.as_ref().map(|items| {
                Value::Array(items.iter().map(decode).map(without_undefined).collect())
            });
            let both = (items.clone().unwrap_or_default(), expected.clone().unwrap_or_default());
            if !same(&both.0, &both.1) {
                tell(&items, &expected);
            } else if let Some(after) = outcome.after.as_ref().map(decode)
                && (!same(&params, &after) || result == Ok(same(&before, &after)))
            {
                tell(&(&params, &result), &after);
            }
            let only = rules.check_only(&before);
            if !rules.sanitizes() && format!("{only:?}") != format!("{:?}", result.map(drop)) {
                tell(&"another result when params are only read", &());
            }
        }
    }
}

/// As equality, but NaN is NaN.
fn same(a: &Value, b: &Value) -> bool {
    format!("{:?}", sorted(a)) == format!("{:?}", sorted(b))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> =
                object.iter().map(|(k, v)| (k.to_owned(), sorted(v))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().collect::<Object>().into()
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Float(n) if n.fract() == 0.0 && n.abs() < 1e15 => Value::Int(*n as i64),
        other => other.clone(),
    }
}

/// Members that are undefined do not travel.
fn without_undefined(item: Value) -> Value {
    match item {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_undefined());
            members.collect::<Object>().into()
        }
        other => other,
    }
}

/// Reads what the script marked because JSON has no form for it.
fn decode(json: &Value) -> Value {
    match json {
        Value::Array(items) => Value::Array(items.iter().map(decode).collect()),
        Value::Object(members) => match members.iter().next() {
            Some(("$undefined", _)) => Value::Undefined,
            Some(("$date", ms)) => Value::Date(Date(ms.as_f64().unwrap_or(f64::NAN))),
            Some(("$float", text)) => {
                Value::Float(text.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN))
            }
            _ => members.iter().map(|(key, value)| (key, decode(value))).collect::<Object>().into(),
        },
        other => other.clone(),
    }
}
