// The answering node: node echo-node.mjs <0.14|0.15> '<broker options as JSON>'
import { loadMoleculer } from "./lib.mjs";

const [version, options] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

const broker = new ServiceBroker(JSON.parse(options));
const same = ctx => ctx.params;
let events = 0;
broker.createService({
	name: "echo",
	actions: { small: same, page: same, count: () => events },
	events: {
		"echo.event"() {
			events++;
		}
	}
});
await broker.start();
console.log("ready");
// The caller holds the other end of standard input, so this process does not outlive it.
process.stdin.on("end", () => process.exit(0)).resume();
