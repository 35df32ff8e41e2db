// A Moleculer JS node that joins the two Rust nodes.
const { ServiceBroker } = require("moleculer");

const broker = new ServiceBroker({
  nodeID: "js",
  logger: false,
  transporter: {
    type: "TCP",
    options: { udpDiscovery: false, useHostname: false, urls: process.env.PEERS },
  },
});

broker.createService({
  name: "greeter",
  actions: {
    async hello(ctx) {
      await this.broker.waitForServices("math");
      const sum = await ctx.call("math.add", { a: 1, b: 1 });
      return `Hello ${ctx.params.name}, 1 + 1 = ${sum}`;
    },
  },
});

broker.start();
