// Starts interop nodes as processes, and a broker in this process to drive them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { brokerOptions, packageName } from "../options.js";

const NODE = [process.execPath, fileURLToPath(new URL("../interop-node.js", import.meta.url))];

/** Environment of TCP nodes that know each other by a static list of addresses. */
export async function tcpEnvironment(protocol, nodeIDs, serializer = "JSON") {
  const ports = await freePorts(nodeIDs.length);
  const urls = nodeIDs.map((id, i) => [id, `tcp://127.0.0.1:${ports[i]}`]);
  const options = {
    udpDiscovery: false,
    useHostname: false,
    gossipPeriod: 1,
    urls: Object.fromEntries(urls),
  };
  return {
    NAMESPACE: `check-${process.pid}`,
    PROTOCOL: String(protocol),
    SERIALIZER: serializer,
    BROKER_OPTIONS: JSON.stringify({ transporter: { type: "TCP", options } }),
  };
}

/** Starts an interop node and waits for its ready line. */
export async function startNode(nodeID, env, command = NODE) {
  const startedAt = performance.now();
  const child = spawn(command[0], command.slice(1), {
    env: { ...process.env, ...env, NODEID: nodeID },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const node = {
    nodeID,
    exited: () => deadline(exited, `the exit of ${nodeID}`).then(([code]) => code),
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return this.exited();
    },
  };
  try {
    await deadline(readyLine(child, nodeID, exited), `the ready line of ${nodeID}`);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  node.readyAfter = Math.round(performance.now() - startedAt);
  return node;
}

/** Starts a broker in this process, with `extra` services to listen by. */
export async function startDriver(nodeID, env, extra = []) {
  const { default: moleculer } = await import(packageName(env));
  const options = brokerOptions({ ...env, NODEID: nodeID });
  const broker = new moleculer.ServiceBroker(options);
  for (const schema of extra) broker.createService(schema);
  await broker.start();
  return broker;
}

/** Asks again until `probe` returns something true, and returns that. */
export async function waitFor(what, probe, timeout = 30000) {
  const end = performance.now() + timeout;
  for (;;) {
    const result = await probe();
    if (result) return result;
    if (performance.now() > end) throw new Error(`Waited ${timeout} ms in vain for ${what}`);
    await delay(20);
  }
}

async function deadline(promise, what, timeout = 30000) {
  const expired = new AbortController();
  const late = delay(timeout, null, { signal: expired.signal }).then(() => {
    throw new Error(`Waited ${timeout} ms in vain for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => {});
    expired.abort();
  }
}

async function readyLine(child, nodeID, exited) {
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise((resolve, reject) => {
    lines.on("line", (line) => line === `ready ${nodeID}` && resolve());
    exited.then(([code]) => reject(new Error(`${nodeID} ended with code ${code}`)), reject);
  });
  await ready;
}

// All are held at once, so that they differ, and released just before use.
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
