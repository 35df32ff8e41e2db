import { setTimeout as delay } from "node:timers/promises";

const CALL_OPTIONS = ["nodeID", "timeout", "retries", "meta", "headers", "fallbackResponse"];
const ERROR_FIELDS = ["name", "message", "code", "type", "data", "retryable", "nodeID"];

/** Actions about the context of a call, and calling others in its name. */
export function calls() {
  return {
    created() {
      this.sleeping = 0;
    },

    actions: {
      whoami(ctx) {
        const answer = {
          nodeID: this.broker.nodeID,
          sender: ctx.nodeID,
          requestID: ctx.requestID,
          parentID: ctx.parentID,
          level: ctx.level,
          caller: ctx.caller ?? null,
          meta: ctx.meta,
          eventsSeen: this.received.length,
        };
        // Protocol 4 knows no headers.
        return ctx.headers ? { ...answer, headers: ctx.headers } : answer;
      },

      setMeta(ctx) {
        Object.assign(ctx.meta, ctx.params);
        return true;
      },

      async sleep(ctx) {
        this.sleeping++;
        try {
          await delay(ctx.params.ms);
        } finally {
          this.sleeping--;
        }
        return { ran: ctx.params.ms };
      },

      running() {
        return this.sleeping;
      },

      async relay(ctx) {
        const { action, params, options = {} } = ctx.params;
        if (options.wait) await delay(options.wait);
        try {
          const result = await ctx.call(action, params, pick(options, CALL_OPTIONS));
          return result === undefined ? { ok: true } : { ok: true, result };
        } catch (error) {
          return { ok: false, error: pick(error, ERROR_FIELDS) };
        }
      },

      // As `relay`, but the params are wholly those of the call or the event.
      forward(ctx) {
        const { action, event, nodeID } = ctx.meta.forward;
        if (event) return ctx.broadcast(event, ctx.params).then(() => true);
        return ctx.call(action, ctx.params, { nodeID, headers: ctx.headers });
      },
    },
  };
}

// Absent members stay absent: some serializers would carry an `undefined`.
function pick(source, names) {
  const present = names.filter((name) => source[name] !== undefined);
  return Object.fromEntries(present.map((name) => [name, source[name]]));
}
