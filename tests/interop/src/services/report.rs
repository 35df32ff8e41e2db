//! Scenarios learn from these broadcasts which node did what.

use moleculer::{Object, prelude::*};

/// Tells everybody that the action of this context was called.
pub(crate) async fn action(ctx: &Context, params: Value) -> Result<()> {
    let mut data = subject(ctx, params)?;
    data.insert("action", ctx.action());
    ctx.broker()?.broadcast("$scenario.action.called", Value::from(data)).await
}

/// Tells everybody that the event of this context arrived here.
pub(crate) async fn event(ctx: &Context, params: Value) -> Result<()> {
    let mut data = subject(ctx, params)?;
    data.insert("event", ctx.event());
    ctx.broker()?.broadcast("$scenario.event.emitted", Value::from(data)).await
}

fn subject(ctx: &Context, params: Value) -> Result<Object> {
    Ok(Object::from([
        ("nodeID", Value::from(ctx.broker()?.node_id().as_str())),
        ("service", (&*ctx.service_name()).into()),
        ("params", params),
        ("meta", ctx.meta().into()),
    ]))
}
