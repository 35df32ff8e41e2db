// What lookups cost the more a node knows, and what knowing costs: node --expose-gc scale.mjs <0.14|0.15>
import { emit, loadMoleculer, median, sequential } from "./lib.mjs";

const [version] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);
const ALL_NODES = 1000;

await measured(0, true, async broker => {
	emit("scale/call-beside-0-nodes", "ns/op", await sequential(() => broker.call("users.empty")));
});
await measured(ALL_NODES, true, async (broker, added) => {
	report("scale/add-node-distinct", added);
	emit("scale/call-beside-1000-nodes", "ns/op", await sequential(() => broker.call("users.empty")));
});
for (const nodes of [10, 100, ALL_NODES])
	await measured(nodes, false, async (broker, added) => {
		if (nodes === ALL_NODES) report("scale/add-node-shared", added);
		// Without the call around it, which stands in ours and in the floor.
		const choose = () => broker.findNextActionEndpoint("svc.a25", {}, undefined);
		emit(`scale/choose-of-${nodes}-nodes`, "ns/op", await sequential(choose));
		const groups = () => broker.registry.events.getBalancedEndpoints("svc.changed", null, {});
		emit(`scale/groups-of-${nodes}-nodes`, "ns/op", await sequential(groups));
	});
process.exit(0);

/** Hands over a broker that knows so many other nodes, and what they took. */
async function measured(nodes, distinct, look) {
	const registry = { discoverer: { type: "Local", options: { heartbeatInterval: 600, disableHeartbeatChecks: true } } };
	const broker = new ServiceBroker({ logger: false, nodeID: "bench", transporter: "Fake", registry });
	broker.createService({ name: "users", actions: { empty: () => [] } });
	await broker.start();
	const packets = Array.from({ length: nodes }, (_, i) => packet(i, distinct ? `svc${i}` : "svc"));
	const micros = [];
	globalThis.gc();
	const before = process.memoryUsage().heapUsed;
	for (const text of packets) {
		const start = performance.now();
		broker.registry.nodes.processNodeInfo(JSON.parse(text));
		micros.push((performance.now() - start) * 1e3);
	}
	globalThis.gc();
	const bytes = (process.memoryUsage().heapUsed - before) / nodes;
	await look(broker, { micros, bytes });
	await broker.stop();
}

function report(workload, { micros, bytes }) {
	emit(workload, "us/node", median(micros));
	emit(workload, "KiB/node", bytes / 1024);
}

/** The INFO of a node with fifty actions. */
function packet(i, service) {
	const names = Array.from({ length: 50 }, (_, k) => [`${service}.a${k}`, `a${k}`]);
	const changed = `${service}.changed`;
	return JSON.stringify({
		ver: version === "0.14" ? "4" : "5",
		sender: `node-${i}`,
		instanceID: `inst-${i}`,
		seq: 1,
		ipList: ["10.0.0.1"],
		hostname: `host-${i}`,
		port: 0,
		config: {},
		metadata: {},
		client: { type: "nodejs", version: "x", langVersion: "x" },
		services: [
			{
				name: service,
				fullName: service,
				settings: {},
				metadata: {},
				dependencies: [],
				events: { [changed]: { name: changed } },
				actions: Object.fromEntries(names.map(([name, rawName]) => [name, { name, rawName, cache: false }]))
			}
		]
	});
}
