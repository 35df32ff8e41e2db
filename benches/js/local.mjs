// Calls and events inside one process: node local.mjs <0.14|0.15>
import { emit, loadMoleculer, sequential } from "./lib.mjs";

const [version] = process.argv.slice(2);
const { ServiceBroker } = loadMoleculer(version);

const empty = broker => broker.call("users.empty");
const safe = broker => broker.call("users.empty", null, { fallbackResponse: 1 });
const add = broker => broker.call("math.add", { a: 4, b: 2 });
const created = broker => broker.emit("order.created", ["param1", { a: 1, b: "Test" }, 500]);
const tolerant = {
	requestTimeout: 10_000,
	retryPolicy: { enabled: true },
	circuitBreaker: { enabled: true },
	bulkhead: { enabled: true }
};
const pass = { localAction: next => ctx => next(ctx).then(result => result) };

// A service of its own for each listener, so that each gets every event.
const listeners = count =>
	Array.from({ length: count }, (_, i) => ({ name: `listener${i}`, events: { "order.created"() {} } }));

await measure(["local/no-params"], empty);
// There are no types here: the same call stands against both of ours.
await measure(["local/typed-params", "local/value-params"], add);
await measure(["local/nested"], broker => broker.call("users.nested"));
await measure(["local/failing"], broker => broker.call("users.fail").catch(() => {}));
await measure(["local/three-middlewares"], empty, { middlewares: [pass, pass, pass] });
await measure(["local/timeout"], empty, { requestTimeout: 10_000 });
await measure(["local/retry"], empty, { retryPolicy: { enabled: true } });
await measure(["local/circuit-breaker"], empty, { circuitBreaker: { enabled: true } });
await measure(["local/bulkhead"], empty, { bulkhead: { enabled: true } });
await measure(["local/fallback"], safe);
await measure(["local/fault-tolerance"], safe, tolerant);
// Rules that check, and rules that convert.
await measure(["local/validation", "local/validation-value"], broker => broker.call("checked.add", { a: 4, b: 2 }));
await measure(["local/validation-conversion"], broker => broker.call("checked.convert", { a: "4", b: "2" }));
const cached = { cacher: "Memory" };
await measure(["local/cache-hit"], broker => broker.call("cached.add", { a: 4, b: 2 }), cached);
const everything = broker => broker.call("cached.checked", { a: 4, b: 2 }, { fallbackResponse: 1 });
await measure(["local/all-features"], everything, { ...tolerant, ...cached });
await measure(["local/emit-to-1"], created, {}, listeners(1));
await measure(["local/emit-to-20"], created, {}, listeners(20));
process.exit(0);

async function measure(workloads, operation, options = {}, services = []) {
	const broker = new ServiceBroker({ logger: false, nodeID: "bench", ...options });
	broker.createService({
		name: "users",
		actions: {
			empty: () => [],
			nested: ctx => ctx.call("math.add", { a: 4, b: 2 }),
			fail() {
				throw new Error("x");
			}
		}
	});
	broker.createService({ name: "math", actions: { add: ctx => ctx.params.a + ctx.params.b } });
	broker.createService({
		name: "checked",
		actions: {
			add: { params: { a: "number|min:1", b: "number" }, handler: ctx => ctx.params.a + ctx.params.b },
			convert: { params: { a: "number|convert", b: "number|convert" }, handler: ctx => ctx.params.a + ctx.params.b }
		}
	});
	const keys = { cache: { keys: ["a", "b"] }, handler: ctx => ctx.params.a + ctx.params.b };
	broker.createService({
		name: "cached",
		actions: { add: keys, checked: { ...keys, params: { a: "number|min:1", b: "number" } } }
	});
	services.forEach(service => broker.createService(service));
	await broker.start();
	const ns = await sequential(() => operation(broker));
	workloads.forEach(workload => emit(workload, "ns/op", ns));
	await broker.stop();
}
