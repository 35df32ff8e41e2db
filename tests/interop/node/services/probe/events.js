/** Sends events, and keeps those that arrived. */
export function events({ Errors }) {
  return {
    created() {
      this.received = [];
    },

    events: {
      "probe.**": {
        group: "probe",
        handler(ctx) {
          this.record("probe", ctx);
        },
      },
      "probe.once": {
        group: "once",
        handler(ctx) {
          this.record("once", ctx);
        },
      },
    },

    actions: {
      async send(ctx) {
        const { kind, event, payload, groups } = ctx.params;
        const options = groups ? { groups } : {};
        switch (kind) {
          case "emit":
            await ctx.emit(event, payload, options);
            break;
          case "broadcast":
            await ctx.broadcast(event, payload, options);
            break;
          case "broadcastLocal":
            // The context offers no such method; this is what it would do.
            await this.broker.broadcastLocal(event, payload, { ...options, parentCtx: ctx });
            break;
          default:
            throw new Errors.MoleculerClientError(
              `The kind '${kind}' is none of emit, broadcast, broadcastLocal.`,
              400,
              "UNKNOWN_KIND",
            );
        }
        return true;
      },

      seen() {
        return this.received;
      },

      forget() {
        this.received = [];
        return true;
      },
    },

    methods: {
      record(group, ctx) {
        this.received.push({
          event: ctx.eventName,
          type: ctx.eventType,
          group,
          groups: ctx.eventGroups ?? null,
          payload: ctx.params ?? null,
          sender: ctx.nodeID,
          meta: { ...ctx.meta },
        });
      },
    },
  };
}
