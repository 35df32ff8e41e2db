// From the start of a process to its first calls, and what it holds when idle: node start.mjs <0.14|0.15>
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { emit, loadMoleculer } from "./lib.mjs";

const [version, mode] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

if (mode === "alone") {
	const broker = new ServiceBroker({ nodeID: "alone", logger: false });
	broker.createService({ name: "math", actions: { double: ctx => ctx.params.n * 2 } });
	await broker.start();
	console.log(await broker.call("math.double", { n: 4 }));
	process.stdin.on("end", () => process.exit(0)).resume();
} else {
	await measure();
	process.exit(0);
}

async function measure() {
	let started = performance.now();
	const alone = node(["start.mjs", version, "alone"]);
	await once(alone.stdout, "data");
	emit("start/first-local-call", "ms", performance.now() - started);
	alone.stdin.end();
	await once(alone, "exit");

	const ports = { cli: await freePort(), srv: await freePort() };
	const urls = Object.entries(ports).map(([id, port]) => `tcp://127.0.0.1:${port}/${id}`);
	const options = nodeID => ({
		nodeID,
		logger: false,
		transporter: { type: "TCP", options: { port: ports[nodeID], urls, udpDiscovery: false, useHostname: false } }
	});
	started = performance.now();
	const server = node(["echo-node.mjs", version, JSON.stringify(options("srv"))]);
	const broker = new ServiceBroker(options("cli"));
	await broker.start();
	await broker.waitForServices("echo", 20_000, 2);
	await broker.call("echo.small", { id: 100 });
	emit("start/first-remote-call-tcp", "ms", performance.now() - started);
	await delay(500);
	const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
	const memory = line => Number(status.match(new RegExp(`${line}:\\s+(\\d+)`))[1]) / 1024;
	emit("start/idle-memory-tcp", "MiB", memory("VmRSS"));
	emit("start/idle-memory-tcp", "MiB without the program's file", memory("RssAnon"));
	server.kill();
}

function node(args) {
	return spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ["pipe", "pipe", "inherit"] });
}

async function freePort() {
	const listener = createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	const { port } = listener.address();
	listener.close();
	await once(listener, "close");
	return port;
}
