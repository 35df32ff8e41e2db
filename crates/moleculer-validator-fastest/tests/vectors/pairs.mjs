// Rules and the params that they are tried on.
const D = ms => new Date(ms);
const scalars = [undefined, null, true, false, 0, 1, -1, 1.5, -0.5, NaN, Infinity, "", " ", "a", "1", "0", "true", "false", "on", "off", "-1.5", "0x10", "1e3", " 12 ", [], [1], ["a", "b"], {}, { x: 1 }, D(5), D(NaN)];
const members = values => values.map(a => ({ a }));
const rule = (rule, values = scalars, options) => ({ options, rules: { a: rule }, params: [...members(values), {}] });
const texts = ["", "a", "ab", "abc", "abcd", "ABC", "añb", "😀", "😀😀", "12", "-1.5", "1.", "a1", "a_b-c", "a b", " ab ", "\u00a0ab\ufeff", "a\nb", "ff", "fff", "YWI=", "YWJj", "YQ==", "a\\b=", "zz", "héllo", "ΑΣ", "ß"];
const uuids = ["00000000-0000-0000-0000-000000000000", "10ba038e-48da-487b-96e8-8d3b99b6d18a", "10BA038E-48DA-487B-96E8-8D3B99B6D18A", "10ba038e-48da-187b-96e8-8d3b99b6d18a", "10ba038e-48da-487b-c6e8-8d3b99b6d18a", "10ba038e-48da-987b-96e8-8d3b99b6d18a", "10ba038e-48da-787b-96e8-8d3b99b6d18a", "10ba038e48da487b96e88d3b99b6d18a", "", 5];
const emails = ["", "a@b.c", "a@b", "abc.def@example.com", " A@B.CO ", "a b@c.de", "\"x y\"@ex.com", "a@[1.2.3.4]", "a..b@ex.com", "a@ex.c", 5, null];
const urls = ["", "http://a", "https://a.b/c?d=e", "ftp://a", "http:// a", "xhttp://a", "HTTP://a", 5];
const lists = [undefined, null, [], [1], [1, 2], [1, 2, 3], ["a"], ["a", "b", "a"], ["a", null], [1, 1, 1, "1", null, null], [true, "x", {}], [[1], [2]], "a", 5, { a: 1 }, [undefined]];
const objects = [undefined, null, {}, { x: 1 }, { x: "1" }, { x: 1, y: 2 }, { y: 2 }, { x: null }, { x: 1, y: 2, z: 3 }, [], "x", 5];
const post = [
	{ title: "ab", tags: ["x", 5], extra: 1 },
	{ title: "abc", author: { name: "x" } },
	{ title: "abc", author: { name: "x", age: "7" } },
	{ title: "abc", author: { name: 5, age: "7.5" }, tags: [] },
	{ title: "abc", author: null },
	{},
];

export default [
	// basic types and what counts as missing
	...["any", "boolean", "boolean|convert", "number", "number|convert", "string", "string|convert:true", "date", "forbidden", "forbidden|remove", "object", "array", "record", "tuple"].map(one => rule(one, /^object|^record|string.convert/.test(one) ? scalars.filter(value => !(value instanceof Date)) : scalars)),
	rule("date|convert", [undefined, null, true, 0, 1.9, "", "5", "1577934245678", "2020-01-02T03:04:05.678Z", "2020-01-02", "2020-01", "soon", D(5), D(NaN), 9e15]),
	...["optional", "nullable", "optional|nullable", "no-optional", "default:5", "optional|default:5", "nullable|default:5", "optional|nullable|default:5", "optional:false|nullable:false"].flatMap(flags => [
		rule(`number|${flags}`, [undefined, null, 0, "x"]),
		rule(`number|${flags}`, [undefined, null, 0, "x"], { considerNullAsAValue: true }),
	]),
	rule("forbidden|default:5", [undefined, null, 1]),
	rule({ type: "forbidden", nullable: false }, [undefined, null, 1], { considerNullAsAValue: true }),
	rule({ type: "string", default: "x|y" }, [undefined, null, 5]),
	rule({ type: "object", default: { b: [1] } }, [undefined, null, {}]),
	rule({ type: "number", default: "not checked again" }, [undefined, null]),
	rule({ type: "number", default: null }, [undefined, null]),

	// shorthand
	rule("number | min : 5 | max:10|integer", [4, 5, 7.5, 10, 11]),
	rule("string|min:", ["", "a"]),
	rule("string|min:0x2", ["a", "ab"]),
	rule("string[]", lists),
	rule("string[]|optional|min:2", lists),
	rule("number[]|no-empty", lists),
	rule("number[][]", [[], [[1]], [[1, "a"], 5], [[null]]]),
	rule("string|label:My Field", [undefined, 5]),

	// number
	...[{ min: 5 }, { max: 5 }, { min: 0 }, { equal: 5 }, { notEqual: 5 }, { integer: true }, { positive: true }, { negative: true }, { min: "3" }, { min: 1.5, max: 1e21 }, { min: 3, max: 1, integer: true, positive: true, negative: true, equal: 9 }].map(options => rule({ type: "number", ...options }, [undefined, 0, 3, 4.5, 5, 6, -2, -2.5, "5"])),
	rule({ type: "number", convert: true, min: 5, integer: true }, ["4.5", "5", "", "x", true, [7], null, D(9), "Infinity", "1_000"]),
	rule({ type: "number", convert: true, optional: true }, [undefined, null, "12"]),

	// string
	...[{ empty: false }, { empty: true, min: 3 }, { min: 2 }, { max: 2 }, { length: 2 }, { min: 3, max: 1, length: 7, empty: false }, { contains: "b" }, { contains: 1 }, { enum: ["a", "ab", 12] }, { numeric: true }, { alpha: true }, { alphanum: true }, { alphadash: true }, { hex: true }, { singleLine: true }, { base64: true }, { trim: true }, { trimLeft: true }, { trimRight: true }, { trim: true, min: 3 }, { padStart: 3 }, { padEnd: 4, padChar: "*" }, { padStart: 5, padChar: "xyz" }, { padStart: 5, padChar: "" }, { padStart: 6, padChar: 0 }, { lowercase: true }, { uppercase: true }, { localeLowercase: true }, { localeUppercase: true }, { lowercase: true, uppercase: true, trim: true, padEnd: 5 }, { trim: true, pattern: "^\\w+$" }, { pattern: "^[a-c]+$" }, { pattern: "^[a-c]+$", patternFlags: "i" }, { pattern: "a/b\"\\d\\.\\x41[/]" }, { pattern: "" }, { alpha: true, numeric: true, hex: true, contains: "q", enum: [] }].map(options => rule({ type: "string", ...options }, texts)),
	rule({ type: "string", convert: true, min: 2, trim: true }, [5, 55, true, [1, [2, null]], {}, -0, 1e21, 1.5e-7, null]),

	// texts with a form
	...["email", "email|mode:precise", "email|empty", "email|normalize", "email|min:6|max:8"].map(one => rule(one, emails)),
	...["url", "url|empty", "url|empty:false"].map(one => rule(one, urls)),
	...["uuid", "uuid|version:4", "uuid|version:0", "uuid|version:7"].map(one => rule(one, uuids)),
	rule({ type: "uuid", version: "4" }, uuids),
	rule("mac", ["", "01:C8:95:4B:65:FE", "01:c8:95:4b:65:fe", "01-C8-95-4B-65-FE", "01c8.954b.65fe", "01C8954B65FE", "01:C8:95:4B:65", 5, "012:c8:95:4b:65:fe"]),
	rule("luhn", ["", "4242424242424242", "4242-4242-4242-4242", "4242424242424241", "0", "00", "18", "x", 5, "３３"]),
	...[{}, { currencySymbol: "$" }, { currencySymbol: "$", symbolOptional: true }, { thousandSeparator: ".", decimalSeparator: "," }, { customRegex: "/^12$/i" }].map(options => rule({ type: "currency", ...options }, ["", "1", "12", "-12", "1,234", "1,234.5", "1,234.567", "$12", "-$12", "$-12", "12$", "0", ".5", "1.234,56", "abc", "12,34"])),

	// enum, equal
	rule({ type: "enum", values: ["a", 1, true, null, 1.5] }, ["a", "b", 1, "1", true, false, null, undefined, 1.5]),
	rule({ type: "enum", values: [] }, ["a"]),
	...[5, "5", true, "", 0, "a"].flatMap(value => [false, true].map(strict => rule({ type: "equal", value, strict }, [5, "5", true, 1, "1", "", 0, "a", [5], [], {}, false]))),
	{ rules: { a: "string", b: { type: "equal", field: "a" }, c: { type: "equal", field: "a", strict: true, optional: true } }, params: [{ a: "x", b: "x" }, { a: "1", b: 1, c: 1 }, { a: "x", b: "y", c: "z" }, { b: "x" }, { a: "x" }] },
	{ rules: { a: "string|trim", b: { type: "equal", field: "a" } }, params: [{ a: " x ", b: "x" }, { a: " x ", b: " x " }] },
	{ rules: { b: { type: "equal", field: "a" }, a: "string|trim" }, params: [{ a: " x ", b: " x " }] },
	{ rules: { a: "number", l: { type: "array", items: { type: "equal", field: "a" } } }, params: [{ a: 1, l: [1, "1", 2] }] },

	// array, tuple
	...[{}, { empty: false }, { empty: true }, { min: 2 }, { max: 1 }, { length: 2 }, { min: 5, max: 0, length: 7, empty: false }, { contains: "a" }, { contains: 1 }, { contains: [1] }, { unique: true }, { enum: ["a", 1] }, { convert: true }, { convert: true, items: "number|convert" }, { items: "string" }, { items: "string|optional" }, { items: "number|default:7" }, { items: "number|convert", min: 2 }, { items: { type: "object", props: { x: "number" } } }, { items: ["string", "number"] }, { items: "string|trim|label:L", label: "Items" }].map(options => rule({ type: "array", ...options }, lists)),
	...[{}, { empty: false }, { items: ["number", "string"] }, { empty: false, items: ["number"] }, { items: ["number|convert", "string|optional"], label: "T" }, { items: ["number|default:3", { type: "object", props: { x: "number" } }] }].map(options => rule({ type: "tuple", ...options }, [...lists, [1, "a"], ["1", null], [null, null], [null, { x: "a" }], [1, "a", 2]])),

	// object
	...[{}, { minProps: 1 }, { maxProps: 1 }, { minProps: 2, maxProps: 0 }, { props: { x: "number" } }, { properties: { x: "number" } }, { strict: true }, { strict: true, props: { x: "number" } }, { strict: "remove", props: { x: "number" } }, { strict: "remove", props: { x: "number" }, minProps: 2 }, { strict: "remove", props: { x: "number|optional", q: "string|default:z" }, maxProps: 1 }, { props: { x: "number|convert", y: "forbidden|remove" } }, { label: "Obj", props: { x: "number|label:Eks", y: { type: "number", optional: true } }, strict: true, minProps: 4 }, { label: "Obj", props: { y: "number|optional", x: { type: "number", label: "Eks" } }, strict: true, maxProps: 0 }, { props: {}, strict: true }].map(options => rule({ type: "object", ...options }, objects)),
	{ rules: { $$strict: true, a: "number" }, params: [{ a: 1 }, { a: 1, b: 2, c: 3 }, {}, { b: 1 }] },
	{ rules: { $$strict: "remove", a: "number|optional" }, params: [{ a: 1 }, { a: 1, b: 2, c: 3 }, { b: 2, a: "x" }] },
	{ rules: { o: { $$type: "object", x: "number", $$strict: true } }, params: [{ o: { x: 1, y: 2 } }, { o: {} }, { o: 5 }, {}] },
	{ rules: { o: { $$type: "object|strict", x: "number", $$note: "n" } }, params: [{ o: { x: 1, y: 2 } }, { o: { x: 1 } }] },
	{ rules: { o: { $$type: "object|optional|strict:remove", x: { $$type: "object|nullable", y: "string" } } }, params: [{}, { o: null }, { o: { x: null, z: 1 } }, { o: { x: { y: 5 } } }, { o: { x: {} } }] },
	{ rules: { o: { $$type: { type: "object", minProps: 2 }, x: "number|optional" } }, params: [{ o: { x: 1 } }, { o: { x: 1, y: 2 } }] },
	{ rules: { title: "string|min:3", tags: { type: "array", items: "string", optional: true }, author: { $$type: "object", name: "string", age: "number|integer|convert|default:5" }, $$strict: true }, params: post },
	{ rules: { "x-y": "number", "o-o": { $$type: "object", "a-b": "number", "c d": { $$type: "object", $e: "number", "it's": "number", "1": "string[]" } } }, params: [{}, { "o-o": {} }, { "x-y": 1, "o-o": { "a-b": "x", "c d": {} } }, { "x-y": 1, "o-o": { "a-b": 1, "c d": { $e: 1, "it's": "x", 1: [5] } } }] },
	{ rules: { l: { type: "array", items: { type: "object", props: { o: { type: "object", props: { n: "number[]" } } } } } }, params: [{ l: [{ o: { n: [1, "x"] } }, {}, 5, { o: null }] }] },
	{ rules: {}, params: [{}, { a: 1 }, null, 5, []] },
	{ rules: { a: "number" }, params: [null, undefined, 5, "x", []] },

	// record
	...[{}, { key: "string|min:2" }, { key: "string|uppercase", value: "number|convert" }, { value: "number" }, { key: "string|alpha", value: { type: "object", props: { n: "number" } } }, { key: "email", label: "R" }, { value: "number|optional" }, { value: "number|default:3" }, { key: { type: "string", numeric: true, messages: { stringNumeric: "bad field {field}" } }, value: "string[]" }, { value: { type: "record", value: "boolean" } }].map(options => rule({ type: "record", ...options }, [{}, { ab: 1 }, { a: "1" }, { ab: null, c1: "x" }, { ab: { n: 1 } }, { ab: { n: "x" }, "k-1": 5 }, { 12: ["x", 5] }, { x: { y: true, z: 5 } }, [], "a", null, undefined])),

	// multi
	...[["string", "boolean"], ["string|optional", "number|optional"], ["string|optional", "number"], ["string|nullable", "number|nullable"], ["number|convert", "boolean|convert"], [{ type: "object", props: { x: "number" } }, { type: "object", props: { y: "string" } }], ["string|min:3|label:S", { type: "number", min: 3, label: "N" }], [["string", "number"], "boolean"], [{ type: "array", items: "number" }, "string[]"], ["forbidden", "string"]].map(one => rule(one, [undefined, null, 5, "ab", "abcd", true, "7", "on", {}, { x: 1 }, { y: "s" }, { x: "s", y: 1 }, [1, "a"], ["a"], [1]])),
	rule(["string|nullable:false", "number|nullable:false"], [undefined, null, 5], { considerNullAsAValue: true }),
	rule({ type: "multi", rules: ["string", "number"], optional: true, default: 5 }, [undefined, null, true]),
	rule({ type: "multi", rules: ["string", "number"], label: "M" }, [undefined, null, true]),
	{ rules: { a: "number", b: ["string", { type: "object", strict: "remove", props: { x: "number" } }] }, params: [{ a: "x", b: { x: 1, y: 2 } }, { a: 1, b: { x: 1, y: 2 } }] },

	// roots that are no objects
	{ rules: { $$root: true, type: "string", min: 3 }, params: ["ab", "abc", 5, null, undefined] },
	{ rules: { $$root: true, type: "string", min: 3, label: "Root" }, params: ["ab", null] },
	{ rules: { $$root: true, type: "array", items: "number" }, params: [[1, "x", null], 5, []] },
	{ rules: { $$root: true, type: "object", props: { a: "number" }, strict: true }, params: [{ a: 1, b: 2 }, { a: "x" }, 5] },
	{ rules: { $$root: true, type: "record", key: "string|alpha", value: "number" }, params: [{ a: 1 }, { a1: "x" }] },
	{ rules: { $$root: true, $$type: "object", a: "number" }, params: [{ a: 1 }, { a: "x" }] },
	{ rules: ["string", { type: "object", props: { a: "number" } }], params: ["x", { a: 1 }, { a: "x" }, 5, null] },
	{ rules: { a: "number", $$async: false }, params: [{ a: 1 }] },

	// messages, labels
	{ rules: { a: { type: "number", min: 5, label: "The A", messages: { numberMin: "{field} < {expected}: {actual} {actual}", required: "give me {field}" } } }, params: [{ a: 1 }, {}, { a: "x" }] },
	{ options: { messages: { required: "need '{field}'", string: "not text: {actual}", numberMin: "small" } }, rules: { a: "string", b: { type: "number", min: 3, messages: { numberMin: "own {field}" } }, c: "number|min:3" }, params: [{}, { a: 5, b: 1, c: 1 }, { a: [1, [2, null], { x: 1 }], b: 5, c: 5 }] },
	{ rules: { o: { type: "object", label: "Outer", props: { x: { type: "number", label: "" }, l: { type: "array", label: "List", items: { type: "number", label: "Item" } } } } }, params: [{}, { o: {} }, { o: { x: "s", l: ["s", null] } }, { o: 5 }] },

	// options of the validator
	...[{ haltOnFirstError: true }].flatMap(options => [
		{ options, rules: { a: "number", b: "string", o: { $$type: "object|strict", c: "number", d: "number" }, l: "number[]", $$strict: true }, params: [{}, { a: 1 }, { a: 1, b: "x", o: {}, z: 1 }, { a: 1, b: "x", o: { c: 1, d: 1, e: 1 }, l: ["a", "b"] }, { a: 1, b: "x", o: { c: 1, d: 1 }, l: ["a", "b"], z: 1 }] },
		{ options, rules: { a: "string|alpha|min:5" }, params: [{ a: "1" }] },
		{ options, rules: { m: [{ type: "object", props: { a: "number", b: "number" } }, "string"] }, params: [{ m: {} }] },
	]),
	{ options: { considerNullAsAValue: true }, rules: { a: "string", b: "string|nullable:false", c: ["string", "number"], l: "number[]" }, params: [{ a: null, b: null, c: null, l: [null] }, {}] },
	{ options: { defaults: { object: { strict: true }, string: { trim: true, empty: false }, array: { min: 1 } } }, rules: { a: "string", o: { $$type: "object", b: "string|no-trim" }, l: "string[]" }, params: [{ a: " x ", o: { b: " y " }, l: ["z"] }, { a: " ", o: { b: "", q: 1 }, l: [] , w: 1 }] },
	{ options: { aliases: { username: { type: "string", min: 4, max: 6, messages: { stringMin: "short" } }, pair: { type: "tuple", items: ["username", "number"] }, obj: { type: "object", props: { u: "username" }, strict: true } } }, rules: { a: "username", b: "username|max:5|optional", c: { type: "username", min: 1 }, d: "username[]", p: "pair|optional", o: { type: "obj", optional: true } }, params: [{ a: "abcd", c: "x", d: [] }, { a: "abc", b: "abcdef", c: "", d: ["x", 5], p: ["x", "y"], o: { u: "x", v: 1 } }] },

	// refused
	...["nothing", "", "string|x|[]", "nothing[]", { type: "nothing" }, { a: "string" }, [], { type: "tuple", items: [] }, { type: "tuple", items: "string" }, "enum", { type: "array", items: "no" }].map(one => ({ rules: { a: one }, params: [{ a: 1 }] })),
];
