import { reportEvent } from "./report.js";

const RESPONSE = { a: "Hey", b: 3333, c: true, d: { e: 122.34, f: [1, 2, 3], g: null } };

export function echo() {
  return {
    name: "echo",
    actions: {
      reply: (ctx) => ({ params: ctx.params, meta: ctx.meta, response: RESPONSE }),
    },
    events: {
      "sample.event": (ctx) => reportEvent(ctx),
    },
  };
}
