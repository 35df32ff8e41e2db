import { startDriver, startNode, tcpEnvironment, waitFor } from "./processes.js";

const NODES = ["node-a", "node-b", "driver"];

// Path of another implementation's interop node, to be checked in the place of node-b.
const PEER = process.env.INTEROP_PEER ? [process.env.INTEROP_PEER] : undefined;

/** The processes node-a and node-b, and a broker in this process that drives them. */
export class Cluster {
  constructor(protocol, serializer = "JSON") {
    this.protocol = protocol;
    this.serializer = serializer;
    this.nodes = {};
    this.reports = [];
  }

  async start() {
    this.env = await tcpEnvironment(this.protocol, NODES, this.serializer);
    // Many of these calls are meant to fail; warnings about them tell nothing.
    this.env.LOGLEVEL = "fatal";
    this.env.SERVICES = "echo,aes,test,users,payment,mail,probe";
    const record = (ctx) => this.reports.push(ctx.params);
    const scenario = {
      name: "scenario",
      events: { "$scenario.action.called": record, "$scenario.event.emitted": record },
    };
    const starting = [
      startDriver("driver", this.env, [scenario]).then((broker) => (this.driver = broker)),
      this.startNode("node-a"),
      this.startNode("node-b"),
    ];
    // All must have settled, so that `stop` knows everyone who made it.
    await Promise.allSettled(starting);
    await Promise.all(starting);
    await this.connected();
  }

  async stop() {
    await Promise.all(Object.values(this.nodes).map((node) => node.stop()));
    await this.driver?.stop();
  }

  async startNode(nodeID) {
    const node = await startNode(nodeID, this.env, nodeID === "node-b" ? PEER : undefined);
    this.nodes[nodeID] = node;
    console.log(`${nodeID} was ready after ${node.readyAfter} ms`);
    return node;
  }

  // Everybody knows everybody's services. That a node is listed does not suffice:
  // over TCP, one that returns can be available before its services are.
  async connected() {
    const params = { onlyAvailable: true, grouping: false };
    const services = (nodeID) => this.driver.call("$node.services", params, { nodeID });
    for (const nodeID of ["driver", "node-a", "node-b"]) {
      await waitFor(`${nodeID} to know all nodes`, async () => {
        const list = await services(nodeID).catch(() => []);
        return new Set(list.map((service) => service.nodeID)).size === NODES.length;
      });
    }
  }

  pairs() {
    return [
      ["node-a", "node-b"],
      ["node-b", "node-a"],
    ];
  }

  call(nodeID, action, params, options = {}) {
    return this.driver.call(action, params, { ...options, nodeID });
  }

  relay(from, to, action, params, options = {}) {
    return this.call(from, "probe.relay", { action, params, options: { ...options, nodeID: to } });
  }

  // Protocol 4 sends the stream in the place of the params.
  upload(action, stream, params) {
    return this.protocol === 4
      ? this.call("node-b", action, stream)
      : this.call("node-b", action, params, { stream });
  }

  forget() {
    return Promise.all(["node-a", "node-b"].map((id) => this.call(id, "probe.forget")));
  }

  seen(nodeID, count) {
    return waitFor(`${count} events on ${nodeID}`, async () => {
      const list = await this.call(nodeID, "probe.seen");
      return list.length >= count && list;
    });
  }
}
