// A Moleculer JS node that joins the Rust nodes. It installs Moleculer by npm
// when it is started for the first time.
const { execSync } = require("node:child_process");
const { existsSync } = require("node:fs");

if (!existsSync(`${__dirname}/node_modules/moleculer`)) {
  console.log("js       installing Moleculer JS with npm");
  execSync("npm ci --silent", { cwd: __dirname, stdio: "inherit" });
}
const { ServiceBroker } = require("moleculer");

const broker = new ServiceBroker({
  nodeID: "js",
  logger: false,
  transporter: {
    type: "TCP",
    options: { udpDiscovery: false, useHostname: false, gossipPeriod: 1, urls: process.env.PEER },
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
