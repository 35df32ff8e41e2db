// Encoding and decoding of packets: node codec.mjs <0.14|0.15> '{name, type, packet, binary}' ...
import { emit, loadMoleculer, median } from "./lib.mjs";

const [version, ...packets] = process.argv.slice(2);
const { ServiceBroker, Serializers } = loadMoleculer(version);
const NAMES = {
	0.14: ["JSON", "MsgPack", "Notepack", "CBOR", "Avro", "ProtoBuf", "Thrift"],
	0.15: ["JSON", "JSONExt", "MsgPack", "Notepack", "CBOR"]
};
const broker = new ServiceBroker({ logger: false, nodeID: "bench" });

for (const name of NAMES[version]) {
	const serializer = new Serializers[name]();
	serializer.init(broker);
	for (const { name: content, type, packet, binary } of packets.map(text => JSON.parse(text))) {
		if (binary) packet.data = Buffer.alloc(binary, 0xa5);
		const workload = `codec/${name}: ${content}`;
		// Some serializers write into the packet that they are given.
		emit(workload, "encode, ns", measure(() => serializer.serialize({ ...packet }, type)));
		const bytes = serializer.serialize({ ...packet }, type);
		emit(workload, "decode, ns", measure(() => serializer.deserialize(bytes, type)));
	}
}
process.exit(0);

/** Median ns over five windows, after a warm-up. */
function measure(operation) {
	window(operation, 250);
	return median(Array.from({ length: 5 }, () => window(operation, 100)));
}

function window(operation, ms) {
	const start = performance.now();
	for (let count = 16; ; count += 16) {
		for (let i = 0; i < 16; i++) operation();
		const elapsed = performance.now() - start;
		if (elapsed >= ms) return (elapsed * 1e6) / count;
	}
}
