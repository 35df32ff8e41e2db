// Calls between two processes over TCP: node remote.mjs <0.14|0.15> '[["workload", "params as JSON text"], ...]'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { closedLoop, cpuTime, emit, loadMoleculer, median } from "./lib.mjs";

const OUTSTANDING = 64;
const WARM_UP_MS = 600;
const WINDOW_MS = 800;

const [version, workloads] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

const ports = { cli: await freePort(), srv: await freePort() };
const urls = Object.entries(ports).map(([id, port]) => `tcp://127.0.0.1:${port}/${id}`);
const brokerOptions = nodeID => ({
	nodeID,
	logger: false,
	requestTimeout: 0,
	transporter: { type: "TCP", options: { port: ports[nodeID], urls, udpDiscovery: false, useHostname: false } }
});

const server = spawn(process.execPath, ["echo-node.mjs", version, JSON.stringify(brokerOptions("srv"))], {
	cwd: import.meta.dirname,
	stdio: ["pipe", "pipe", "inherit"]
});
await once(server.stdout, "data");
const broker = new ServiceBroker(brokerOptions("cli"));
await broker.start();
await broker.waitForServices("echo", 20_000, 20);

for (const [workload, json] of JSON.parse(workloads)) {
	const params = JSON.parse(json);
	const call = () => broker.call("echo.reply", params);
	await closedLoop(call, OUTSTANDING, WARM_UP_MS);
	const one = await closedLoop(call, 1, WINDOW_MS);
	emit(workload, "p50 us", median(one.latencies));

	const before = cpuTime(process.pid, server.pid);
	const many = await closedLoop(call, OUTSTANDING, WINDOW_MS);
	const cpu = cpuTime(process.pid, server.pid) - before;
	emit(workload, "req/s", many.requests / many.seconds);
	if (!Number.isNaN(cpu)) emit(workload, "CPU us/req", cpu / many.requests);
}
process.exit(0);

async function freePort() {
	const listener = createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	const { port } = listener.address();
	listener.close();
	await once(listener, "close");
	return port;
}
