// Calls and events between two processes:
// node remote.mjs <0.14|0.15> <tcp|nats://...> <workload of events> '[["workload", "action", "params as JSON text"], ...]'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { closedLoop, countSystemCalls, cpuTime, emit, loadMoleculer, median, percentile } from "./lib.mjs";

const OUTSTANDING = 64;
const EVENTS_AHEAD = 4096;
const EVENT_BATCH = 256;
const WARM_UP_MS = 600;
const WINDOW_MS = 800;

const [version, medium, eventWorkload, workloads] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

const ports = { cli: await freePort(), srv: await freePort() };
const urls = Object.entries(ports).map(([id, port]) => `tcp://127.0.0.1:${port}/${id}`);
const transporter = nodeID =>
	medium === "tcp"
		? { type: "TCP", options: { port: ports[nodeID], urls, udpDiscovery: false, useHostname: false } }
		: medium;
const brokerOptions = nodeID => ({ nodeID, logger: false, requestTimeout: 0, transporter: transporter(nodeID) });

const server = spawn(process.execPath, ["echo-node.mjs", version, JSON.stringify(brokerOptions("srv"))], {
	cwd: import.meta.dirname,
	stdio: ["pipe", "pipe", "inherit"]
});
await once(server.stdout, "data");
const broker = new ServiceBroker(brokerOptions("cli"));
await broker.start();
await broker.waitForServices("echo", 20_000, 20);

const calls = JSON.parse(workloads).map(([workload, action, json]) => ({ workload, action, params: JSON.parse(json) }));
for (const { workload, action, params } of calls) await measure(workload, () => broker.call(action, params));
await events();
await packets();
process.exit(0);

async function measure(workload, call) {
	await closedLoop(call, OUTSTANDING, WARM_UP_MS);
	const one = await closedLoop(call, 1, WINDOW_MS);
	emit(workload, "p50 us", median(one.latencies));

	const before = cpuTime(process.pid, server.pid);
	const many = await closedLoop(call, OUTSTANDING, WINDOW_MS);
	const cpu = cpuTime(process.pid, server.pid) - before;
	emit(workload, "req/s", many.requests / many.seconds);
	if (!Number.isNaN(cpu)) emit(workload, "CPU us/req", cpu / many.requests);
	emit(workload, "p99.9 us of 64", percentile(many.latencies, 99.9));

	// Apart from the others, since counting takes time.
	const counting = countSystemCalls(process.pid, server.pid);
	const counted = await closedLoop(call, OUTSTANDING, WINDOW_MS);
	const perSecond = await counting;
	if (!perSecond) return;
	const requests = counted.requests / counted.seconds;
	emit(workload, "system calls/req", perSecond.all / requests);
	emit(workload, "socket writes/req", perSecond.writes / requests);
}

async function events() {
	const count = () => broker.call("echo.count");
	const first = await count();
	const before = cpuTime(process.pid, server.pid);
	const start = performance.now();
	let sent = 0;
	while (performance.now() - start < WINDOW_MS) {
		for (let i = 0; i < EVENT_BATCH; i++) broker.emit("echo.event", { id: 100 });
		sent += EVENT_BATCH;
		while ((await count()) - first + EVENTS_AHEAD < sent) await turn();
	}
	while ((await count()) - first < sent) await turn();
	emit(eventWorkload, "events/s", sent / ((performance.now() - start) / 1e3));
	const cpu = cpuTime(process.pid, server.pid) - before;
	if (!Number.isNaN(cpu)) emit(eventWorkload, "CPU us/event", cpu / sent);
}

/** Bytes of a request and its response, without what the medium adds. */
async function packets() {
	let bytes = 0;
	const { serialize, deserialize } = broker.serializer;
	broker.serializer.serialize = function (...args) {
		const packet = serialize.apply(this, args);
		bytes += packet.length;
		return packet;
	};
	broker.serializer.deserialize = function (packet, ...args) {
		bytes += packet.length;
		return deserialize.call(this, packet, ...args);
	};
	for (const { workload, action, params } of calls) {
		let least = Infinity;
		// A heartbeat may fall between.
		for (let i = 0; i < 5; i++) {
			bytes = 0;
			await broker.call(action, params);
			least = Math.min(least, bytes);
		}
		emit(workload, "packet bytes/req", least);
	}
}

async function freePort() {
	const listener = createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	const { port } = listener.address();
	listener.close();
	await once(listener, "close");
	return port;
}
