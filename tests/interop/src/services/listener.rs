//! Services that only listen to `user.created`.

use moleculer::{Object, ServiceBuilder, prelude::*};
use serde_json::json;

use super::report;

pub(crate) fn listener(name: &str) -> ServiceBuilder<()> {
    let limits = json!({ "most": (1_u64 << 53) - 1, "names": ["é", null, "[[DT]]0"] });
    let nested = json!({ "empty": {}, "list": [], "ключ": "" });
    Service::builder(name)
        .settings(Object::from([("limits", limits), ("flag", json!(false))]))
        .metadata(Object::from([("since", json!(-1.5)), ("nested", nested)]))
        .event(Event::new("user.created", created))
}

async fn created(ctx: Context, Params(data): Params<Value>) -> Result<()> {
    report::event(&ctx, data).await
}
