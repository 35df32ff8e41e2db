// Scenarios learn from these broadcasts which node did what.

/** Tells everybody that the action of this context was called. */
export function reportAction(ctx) {
  return ctx.broker.broadcast("$scenario.action.called", {
    nodeID: ctx.broker.nodeID,
    service: ctx.service.fullName,
    action: ctx.action.name,
    params: ctx.params,
    meta: ctx.meta,
  });
}

/** Tells everybody that the event of this context arrived here. */
export function reportEvent(ctx) {
  return ctx.broker.broadcast("$scenario.event.emitted", {
    nodeID: ctx.broker.nodeID,
    event: ctx.eventName,
    service: ctx.service.fullName,
    params: ctx.params,
    meta: ctx.meta,
  });
}
