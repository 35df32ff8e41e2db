//! Services that only listen to `user.created`.

use moleculer::{ServiceBuilder, prelude::*};

use super::report;

pub(crate) fn listener(name: &str) -> ServiceBuilder<()> {
    Service::builder(name).event(Event::new("user.created", created))
}

async fn created(ctx: Context, Params(data): Params<Value>) -> Result<()> {
    report::event(&ctx, data).await
}
