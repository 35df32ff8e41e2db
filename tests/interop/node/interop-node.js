#!/usr/bin/env node
// A Moleculer JS node with the fixed services of the interop tests. It is
// configured by environment variables (see options.js), prints one line
// `ready <nodeID>`, and stops gracefully on SIGTERM, SIGINT and the broadcast
// event `$shutdown`.
import { brokerOptions, middlewares, packageName, serviceNames } from "./options.js";
import { shutdownListener } from "./services/shutdown.js";
import { services } from "./services/index.js";

// Standard output carries nothing but the ready line.
console.log = console.error;

try {
  await run(process.env);
} catch (error) {
  console.error(`interop-node: ${error.message}`);
  process.exit(1);
}

async function run(env) {
  const options = brokerOptions(env);
  const names = serviceNames(env, Object.keys(services));
  const { default: moleculer } = await import(packageName(env));

  options.middlewares = middlewares(options, moleculer);
  const broker = new moleculer.ServiceBroker(options);
  let started = false;
  let stopping;
  const stop = (exitCode) => {
    // A broker that has not started yet has nobody to say goodbye to.
    stopping ??= started ? broker.stop() : Promise.resolve();
    return stopping.then(() => process.exit(exitCode));
  };
  process.on("SIGTERM", () => stop(0));
  process.on("SIGINT", () => stop(0));

  for (const name of names) broker.createService(services[name](moleculer));
  broker.createService(shutdownListener(stop));
  await broker.start();
  started = true;
  process.stdout.write(`ready ${broker.nodeID}\n`);
}
