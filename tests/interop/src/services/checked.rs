//! What `probe` does by rules.

use moleculer::{Action, IntoService, Object, prelude::*};

/// The service with the action that has rules.
pub(crate) fn with_rules(service: impl IntoService) -> Service {
    let age: [(&str, Value); 3] =
        [("type", "number".into()), ("integer", true.into()), ("min", 18.into())];
    let rules = [
        ("email", Value::from("email")),
        ("age", Object::from(age).into()),
        ("nick", "string|trim|min:3|max:8|optional".into()),
    ];
    // In this order, which `json!` would not keep.
    let checked = Action::new("checked", checked).params(Object::from(rules));
    Service::builder("probe").mixin(service.into_service()).action(checked).build()
}

async fn checked(Params(params): Params<Value>) -> Result<Value> {
    Ok(params)
}
