/** A service whose callers look for the node that is least busy, or nearest. */
export function beacon(name) {
  function handler() {
    return this.broker.nodeID;
  }
  return {
    name,
    actions: {
      nearest: {
        strategy: "Latency",
        strategyOptions: { pingInterval: 0.2, collectCount: 2 },
        handler,
      },
      idlest: { strategy: "CpuUsage", strategyOptions: { lowCpuUsage: -100 }, handler },
    },
  };
}
