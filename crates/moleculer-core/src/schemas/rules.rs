//! JSON Schema in the rule language of the reference's validator: spec
//! "Schema language". What cannot be said in it is `any`.

use moleculer_protocol::{Object, Value};
use serde_json::{Map, Value as Json};

/// The rules of params; `None` where they would say nothing.
pub(super) fn of(schema: &Json) -> Option<Object> {
    let mut reader = Reader { root: schema, left: MOST_RULES };
    let mut alternatives = reader.read(schema, 0);
    let rule = match alternatives.len() {
        1 => alternatives.swap_remove(0),
        _ => {
            let rules: Vec<_> = alternatives.into_iter().map(Value::from).collect();
            Object::from([("type", Value::from("multi")), ("rules", rules.into())])
        }
    };
    match rule.get("type").and_then(Value::as_str) {
        Some("any") | None => None,
        Some("object") => Some(object_root(rule)),
        Some(_) => {
            let mut root = Object::from([("$$root", true)]);
            root.extend(rule);
            Some(root)
        }
    }
}

/// An object's rules stand at the top.
fn object_root(mut rule: Object) -> Object {
    let mut root = match rule.remove("props") {
        Some(Value::Object(props)) => props,
        _ => Object::new(),
    };
    if let Some(strict) = rule.remove("strict") {
        root.insert("$$strict", strict);
    }
    root
}

/// Types refer to themselves, and to others many times.
const MOST_RULES: usize = 512;
const DEEPEST: usize = 5;

struct Reader<'a> {
    root: &'a Json,
    /// How many rules may still be made.
    left: usize,
}

impl<'a> Reader<'a> {
    /// The rules of which one has to hold.
    fn read(&mut self, schema: &Json, depth: usize) -> Vec<Object> {
        let Some(members) = schema.as_object() else { return vec![any()] };
        if depth > DEEPEST || self.left == 0 {
            return vec![any()];
        }
        self.left -= 1;
        if let Some(target) = members.get("$ref") {
            return match self.resolve(target) {
                Some(schema) => self.read(schema, depth),
                None => vec![any()],
            };
        }
        if let Some(value) = members.get("const") {
            return vec![one_of(std::slice::from_ref(value))];
        }
        if let Some(values) = members.get("enum").and_then(Json::as_array) {
            return vec![one_of(values)];
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(alternatives) = members.get(key).and_then(Json::as_array) {
                return self.alternatives(alternatives, depth);
            }
        }
        match members.get("type") {
            Some(Json::String(name)) => vec![self.typed(name, members, depth)],
            Some(Json::Array(names)) => {
                let names: Vec<_> = names.iter().filter_map(Json::as_str).collect();
                let types = names.iter().filter(|name| **name != "null");
                let rules = types.map(|name| self.typed(name, members, depth)).collect();
                nullable(rules, names.contains(&"null"))
            }
            _ => vec![any()],
        }
    }

    /// What a reference within the schema points to.
    fn resolve(&self, target: &Json) -> Option<&'a Json> {
        self.root.pointer(target.as_str()?.strip_prefix('#')?)
    }

    fn alternatives(&mut self, schemas: &[Json], depth: usize) -> Vec<Object> {
        let is_null = |schema: &&Json| schema.get("type").is_some_and(|name| name == "null");
        let has_null = schemas.iter().any(|schema| is_null(&schema));
        // An enum whose variants have descriptions is a list of constants.
        let mut constants = Vec::new();
        let mut rules = Vec::new();
        for schema in schemas.iter().filter(|schema| !is_null(schema)) {
            match (schema.get("const"), schema.get("enum").and_then(Json::as_array)) {
                (Some(value), _) => constants.push(value.clone()),
                (_, Some(values)) => constants.extend_from_slice(values),
                _ => rules.extend(self.read(schema, depth)),
            }
        }
        if !constants.is_empty() {
            rules.insert(0, one_of(&constants));
        }
        if rules.iter().any(is_any) {
            rules = vec![any()];
        }
        nullable(rules, has_null)
    }

    fn typed(&mut self, name: &str, schema: &Map<String, Json>, depth: usize) -> Object {
        match name {
            "string" => string(schema),
            "integer" | "number" => number(name, schema),
            "boolean" => rule("boolean"),
            "array" => self.array(schema, depth),
            "object" => self.object(schema, depth),
            _ => any(),
        }
    }

    fn array(&mut self, schema: &Map<String, Json>, depth: usize) -> Object {
        if let Some(items) = schema.get("prefixItems").and_then(Json::as_array) {
            let items: Vec<_> = items.iter().map(|item| self.field(item, depth)).collect();
            return with(rule("tuple"), "items", items);
        }
        let mut array = rule("array");
        copy(schema, &mut array, &[("minItems", "min"), ("maxItems", "max")]);
        copy(schema, &mut array, &[("uniqueItems", "unique")]);
        match schema.get("items") {
            Some(items @ Json::Object(_)) => with(array, "items", self.field(items, depth)),
            _ => array,
        }
    }

    fn object(&mut self, schema: &Map<String, Json>, depth: usize) -> Object {
        let additional = schema.get("additionalProperties");
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            return match additional {
                Some(values @ Json::Object(_)) => {
                    with(rule("record"), "value", self.field(values, depth))
                }
                _ => rule("object"),
            };
        };
        let required = schema.get("required").and_then(Json::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|n| n == name));
        let members = properties.iter().map(|(name, schema)| {
            let mut rules = self.read(schema, depth + 1);
            for rule in rules.iter_mut().filter(|_| !is_required(name)) {
                rule.insert("optional", true);
                if let Some(default) = schema.get("default") {
                    rule.insert("default", default.clone());
                }
            }
            (name.clone(), field(rules))
        });
        let members: Object = members.collect();
        let object = with(rule("object"), "props", members);
        match additional {
            Some(Json::Bool(false)) => with(object, "strict", true),
            _ => object,
        }
    }

    fn field(&mut self, schema: &Json, depth: usize) -> Value {
        field(self.read(schema, depth + 1))
    }
}

/// One rule, or a list of which one has to hold.
fn field(mut rules: Vec<Object>) -> Value {
    match rules.len() {
        1 => rules.swap_remove(0).into(),
        _ => rules.into(),
    }
}

fn rule(name: &str) -> Object {
    Object::from([("type", name)])
}

fn any() -> Object {
    rule("any")
}

fn is_any(rule: &Object) -> bool {
    rule.get("type").and_then(Value::as_str) == Some("any")
}

fn with(mut rule: Object, key: &str, value: impl Into<Value>) -> Object {
    rule.insert(key, value);
    rule
}

fn nullable(mut rules: Vec<Object>, nullable: bool) -> Vec<Object> {
    if rules.is_empty() {
        rules.push(any());
    }
    for rule in rules.iter_mut().filter(|_| nullable) {
        rule.insert("nullable", true);
    }
    rules
}

fn one_of(values: &[Json]) -> Object {
    let values: Vec<Value> = values.iter().cloned().map(Value::from).collect();
    with(rule("enum"), "values", values)
}

fn string(schema: &Map<String, Json>) -> Object {
    let format = schema.get("format").and_then(Json::as_str);
    let name = format.filter(|name| ["uuid", "email"].contains(name)).unwrap_or("string");
    let mut string = rule(name);
    let limits = [("minLength", "min"), ("maxLength", "max"), ("pattern", "pattern")];
    copy(schema, &mut string, if name == "uuid" { &[] } else { &limits });
    string
}

fn number(name: &str, schema: &Map<String, Json>) -> Object {
    let mut number = rule("number");
    if name == "integer" {
        number.insert("integer", true);
    }
    copy(schema, &mut number, &[("minimum", "min"), ("maximum", "max")]);
    // The rules have no other open limits.
    for (key, sign) in [("exclusiveMinimum", "positive"), ("exclusiveMaximum", "negative")] {
        if schema.get(key).and_then(Json::as_f64) == Some(0.0) {
            number.insert(sign, true);
        }
    }
    number
}

fn copy(schema: &Map<String, Json>, rule: &mut Object, keys: &[(&str, &str)]) {
    for (from, to) in keys {
        if let Some(value) = schema.get(*from) {
            rule.insert(*to, value.clone());
        }
    }
}
