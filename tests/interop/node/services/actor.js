import { setTimeout as delay } from "node:timers/promises";

/** Lets the node pretend that it is busy, or far away on a host of its own. */
export function actor() {
  return {
    name: "actor",

    created() {
      const { broker } = this;
      this.away = 0;
      broker.registry.nodes.localNode.hostname = `host-of-${broker.nodeID}`;
      const sendPong = broker.transit.sendPong.bind(broker.transit);
      broker.transit.sendPong = (ping) => delay(this.away).then(() => sendPong(ping));
    },

    actions: {
      /** `cpu` in percent, `away` in ms. */
      play(ctx) {
        const { cpu, away } = ctx.params;
        if (cpu !== undefined) this.broker.getCpuUsage = async () => ({ avg: cpu, usages: [] });
        if (away !== undefined) this.away = away;
        return true;
      },
    },
  };
}
