// Calls inside one process: node local.mjs <0.14|0.15>
import { emit, loadMoleculer, sequential } from "./lib.mjs";

const [version] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

const broker = new ServiceBroker({ logger: false, nodeID: "bench" });
broker.createService({ name: "users", actions: { empty: () => [] } });
broker.createService({ name: "math", actions: { add: ctx => ctx.params.a + ctx.params.b } });
await broker.start();

emit("local/no-params", "ns/op", await sequential(() => broker.call("users.empty")));
emit("local/typed-params", "ns/op", await sequential(() => broker.call("math.add", { a: 4, b: 2 })));

await broker.stop();
process.exit(0);
