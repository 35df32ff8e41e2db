// Runs fastest-validator over pairs of rules and params and writes what it
// finds to cases.json. Run it with the packages of tests/interop/node:
//
//   node make.mjs ../../../../tests/interop/node
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import path from "node:path";

const here = path.dirname(new URL(import.meta.url).pathname);
const require = createRequire(path.resolve(process.argv[2], "package.json"));
const Validator = require("fastest-validator");
const { version } = require("fastest-validator/package.json");

const groups = (await import("./pairs.mjs")).default;
const clone = value => (value === undefined ? undefined : structuredClone(value));

// Vectors are JSON: what it cannot carry is marked.
const UNDEFINED = { $undefined: true };
const encode = value => {
	if (value === undefined) return UNDEFINED;
	if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.getTime() };
	if (typeof value === "number" && !Number.isFinite(value)) return { $float: String(value) };
	if (Array.isArray(value)) return value.map(encode);
	if (value === null || typeof value !== "object") return value;
	return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, encode(value)]));
};

const compile = (options, rules) => {
	try {
		return { check: new Validator({ useNewCustomCheckerFunction: true, ...clone(options) }).compile(clone(rules)) };
	} catch (error) {
		return { refused: error.message };
	}
};

// A changed scalar is lost in the reference, where nobody holds it.
const isKept = (rules, params) => params !== null && typeof params === "object" && !rules.$$root && !Array.isArray(rules);

const run = (check, rules, params) => {
	const after = clone(params);
	const found = check(after);
	if (found !== true) return { params: encode(params), items: encode(found) };
	return { params: encode(params), ...(isKept(rules, params) && { after: encode(after) }) };
};

let count = 0;
const cases = groups.map(({ options = {}, rules, params }) => {
	const { check, refused } = compile(options, rules);
	count += params.length;
	const results = refused === undefined && params.map(one => run(check, rules, one));
	return { options, rules: encode(rules), ...(results ? { results } : { refused }) };
});
const lines = cases.map(one => `\t\t${JSON.stringify(one)}`).join(",\n");
writeFileSync(path.join(here, "cases.json"), `{\n\t"version": "${version}",\n\t"cases": [\n${lines}\n\t]\n}\n`);
console.log(`${count} checks of ${cases.length} rules by fastest-validator ${version}`);
