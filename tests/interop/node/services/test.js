import { setTimeout as delay } from "node:timers/promises";

import { reportAction, reportEvent } from "./report.js";

export function test() {
  return {
    name: "test",
    actions: {
      async work(ctx) {
        await reportAction(ctx);
        return true;
      },

      async hello(ctx) {
        if (ctx.params.crash && this.broker.nodeID === "node1") {
          this.broker.stop();
          // The request stays unanswered, as with a node that died.
          return new Promise(() => {});
        }
        await delay(ctx.params.delay ?? 0);
        await reportAction(ctx);
        return { i: ctx.params.i, nodeID: this.broker.nodeID };
      },
    },
    events: {
      "sample.event": (ctx) => reportEvent(ctx),
    },
  };
}
