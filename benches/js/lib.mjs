// Timing loops and CPU accounting, the counterpart of `src/measure.rs`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// The packages are those of the interop tests.
const require = createRequire(new URL("../../tests/interop/node/package.json", import.meta.url));

export const loadMoleculer = version => require(`moleculer-${version}`);

export const emit = (workload, metric, value) => console.log(JSON.stringify({ workload, metric, value }));

/** Awaits one operation after the other; median ns over five windows, after a warm-up. */
export async function sequential(operation) {
	await window(operation, 250);
	const windows = [];
	for (let i = 0; i < 5; i++) windows.push(await window(operation, 100));
	return median(windows);
}

async function window(operation, ms) {
	const start = performance.now();
	let count = 0;
	for (;;) {
		for (let i = 0; i < 256; i++) await operation();
		count += 256;
		const elapsed = performance.now() - start;
		if (elapsed >= ms) return (elapsed * 1e6) / count;
	}
}

/** Keeps `outstanding` requests under way for `ms`. Latencies are in us. */
export async function closedLoop(call, outstanding, ms) {
	const latencies = [];
	let requests = 0;
	let stop = false;
	const caller = async () => {
		while (!stop) {
			const start = performance.now();
			await call();
			latencies.push((performance.now() - start) * 1e3);
			requests++;
		}
	};
	const start = performance.now();
	setTimeout(() => (stop = true), ms);
	await Promise.all(Array.from({ length: outstanding }, caller));
	return { requests, seconds: (performance.now() - start) / 1e3, latencies };
}

/** CPU microseconds that processes have used, to 10 ms each; NaN where there is no /proc. */
export function cpuTime(...pids) {
	try {
		return pids.map(processCpuTime).reduce((sum, us) => sum + us);
	} catch {
		return NaN;
	}
}

function processCpuTime(pid) {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** System calls a second, and those that write to sockets; undefined where `perf` is missing or not allowed to. */
export async function countSystemCalls(...pids) {
	const seconds = 0.4;
	const names = ["raw_syscalls:sys_enter", "syscalls:sys_enter_write", "syscalls:sys_enter_writev"];
	const args = ["stat", "-x", ";", "-e", names.join(), "-p", pids.join(), "--", "sleep", String(seconds)];
	const perf = spawn("perf", args, { stdio: ["ignore", "ignore", "pipe"] });
	let report = "";
	perf.stderr.on("data", text => (report += text));
	try {
		await once(perf, "close");
	} catch {
		return undefined;
	}
	const counts = report
		.split("\n")
		.filter(line => line.includes("sys_enter"))
		.map(line => Number.parseFloat(line) / seconds);
	if (counts.length !== names.length || counts.some(Number.isNaN)) return undefined;
	return { all: counts[0], writes: counts[1] + counts[2] };
}

/** The smallest value that so many in a hundred do not exceed. */
export function percentile(values, percent) {
	values.sort((a, b) => a - b);
	return values[Math.max(0, Math.ceil((values.length * percent) / 100) - 1)];
}

export function median(values) {
	values.sort((a, b) => a - b);
	return (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2;
}
