// Three services that need each other to start, and what happened on this
// node, in its order.
const steps = [];

/** Needs nobody. */
export function tenant() {
  return {
    name: "tenant",
    started() {
      steps.push("tenant started");
    },
    actions: {
      add() {
        steps.push("tenant.add called");
        return true;
      },
      steps: () => steps,
    },
  };
}

/** Calls the tenant while it starts. */
export function device() {
  return {
    name: "device",
    dependencies: ["tenant"],
    async started() {
      steps.push("device started");
      await this.broker.call("tenant.add");
      steps.push("tenant.add answered");
    },
    actions: {
      steps: () => steps,
    },
  };
}

/** Waits for the device, which waits for the tenant. */
export function location() {
  return {
    name: "location",
    dependencies: ["device"],
    started() {
      steps.push("location started");
    },
  };
}
