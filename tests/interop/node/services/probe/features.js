/** Actions that use caching, validation, retries and services made at run time. */
export function features({ Errors }) {
  return {
    created() {
      this.cacheMisses = 0;
      this.flakyRuns = 0;
      this.flakyFailures = new Map();
    },

    actions: {
      cached: {
        cache: { keys: ["key"] },
        handler(ctx) {
          return { key: ctx.params.key, run: ++this.cacheMisses };
        },
      },

      checked: {
        params: {
          email: "email",
          age: { type: "number", integer: true, min: 18 },
          nick: { type: "string", trim: true, min: 3, max: 8, optional: true },
        },
        handler: (ctx) => ctx.params,
      },

      flaky(ctx) {
        const { times, code } = ctx.params;
        const failures = this.flakyFailures.get(ctx.requestID) ?? 0;
        this.flakyRuns++;
        if (failures < times) {
          this.flakyFailures.set(ctx.requestID, failures + 1);
          throw new Errors.MoleculerRetryableError("Not this time.", code, "FLAKY");
        }
        return { attempts: this.flakyRuns };
      },

      async addService(ctx) {
        const { name } = ctx.params;
        const nodeID = this.broker.nodeID;
        const service = this.broker.createService({
          name,
          actions: { hello: () => ({ nodeID }) },
        });
        // Creating returns before the service is registered.
        await this.broker.waitForServices(service.fullName, 5000, 5);
        return true;
      },

      async removeService(ctx) {
        await this.broker.destroyService(ctx.params.name);
        return true;
      },
    },
  };
}
