import { setTimeout as delay } from "node:timers/promises";

/** Actions that are kept from harm, by options that travel to their callers. */
export function guarded({ Errors }) {
  return {
    name: "guarded",

    created() {
      this.attempts = new Map();
      // Calls of `narrow` that wait, and those that need not.
      this.waiting = [];
      this.permits = 0;
      this.inside = 0;
      this.mostInside = 0;
    },

    actions: {
      late: {
        timeout: 150,
        handler: () => delay(10_000, true),
      },

      refused: {
        retryPolicy: { enabled: true, retries: 3, delay: 10 },
        handler(ctx) {
          const { nodeID } = this.broker;
          this.attempts.set(ctx.requestID, (this.attempts.get(ctx.requestID) ?? 0) + 1);
          if (ctx.params.nodes.includes(nodeID)) {
            throw new Errors.MoleculerRetryableError("Not here.", 503, "REFUSED");
          }
          return { nodeID };
        },
      },

      attempts(ctx) {
        return this.attempts.get(ctx.params.request) ?? 0;
      },

      brittle: {
        circuitBreaker: {
          enabled: true,
          threshold: 0.5,
          minRequestCount: 3,
          halfOpenTime: 1000,
        },
        handler(ctx) {
          if (ctx.params.fails) throw new Errors.MoleculerError("Broken.", 500, "BROKEN");
          return true;
        },
      },

      narrow: {
        bulkhead: { enabled: true, concurrency: 1, maxQueueSize: 1 },
        async handler() {
          this.inside++;
          this.mostInside = Math.max(this.mostInside, this.inside);
          await new Promise((resolve) => this.waiting.push(resolve) && this.admit());
          this.inside--;
          return this.mostInside;
        },
      },

      open(ctx) {
        this.permits += ctx.params.calls;
        this.admit();
        return true;
      },

      soft: {
        fallback: "instead",
        handler() {
          throw new Errors.MoleculerClientError("Too soft.", 418, "SOFT");
        },
      },

      keyed: {
        strategy: "Shard",
        strategyOptions: { shardKey: "key" },
        handler() {
          return this.broker.nodeID;
        },
      },

      keyedByMeta: {
        strategy: "Shard",
        strategyOptions: { shardKey: "#user.id", vnodes: 3, ringSize: 1000 },
        handler() {
          return this.broker.nodeID;
        },
      },
    },

    methods: {
      admit() {
        while (this.permits > 0 && this.waiting.length > 0) {
          this.permits--;
          this.waiting.shift()();
        }
      },

      instead: (ctx, error) => ({ instead: error.type }),
    },
  };
}
