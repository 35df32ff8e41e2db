import { setTimeout as delay } from "node:timers/promises";

import { text } from "../text.js";

const TIMEOUT = 5000;

/**
 * Judges how values arrive that only JavaScript can compare. Drivers name the
 * values by their source, such as `{ v: new Date(0) }`.
 */
export function judge({ Errors }) {
  return {
    name: "judge",

    created() {
      // One of the codecs warns of each Map.
      console.warn = () => {};
    },

    actions: {
      make: (ctx) => evaluate(ctx.params.source),

      /** Whether the params are the value whose source is in the meta. */
      same(ctx) {
        return this.verdict(evaluate(ctx.meta.source), ctx.params);
      },

      /** Sends a value to a node which gives it back, read or unread. */
      async through(ctx) {
        const { source, node } = ctx.params;
        const value = evaluate(source);
        const meta = { forward: { action: "probe.echo", nodeID: this.broker.nodeID } };
        const verdict = (action) =>
          this.broker
            .call(action, value, { nodeID: node, meta, timeout: TIMEOUT })
            .then((found) => this.verdict(value, found))
            .catch((error) => `${error}`);
        if (this.refuses(value)) return { refused: true };
        return { echo: await verdict("probe.echo"), forward: await verdict("probe.forward") };
      },

      /** Sends a value to all places of the packets; the places where it is wrong. */
      async places(ctx) {
        const { source, node } = ctx.params;
        const value = { kinds: evaluate(source) };
        const seen = {
          ...(await this.throughCall(value, node)),
          ...(await this.throughError(value, node)),
          ...(await this.throughEvent(value, node)),
        };
        const expected = text(this.faithful(value).kinds);
        const wrong = Object.entries(seen)
          .filter(([, found]) => text(found) !== expected)
          .map(([place, found]) => `${place}: ${difference(text(found), expected)}`);
        return { seen: Object.keys(seen), wrong };
      },

      witness(ctx) {
        this.witnessed = { params: ctx.params, meta: { ...ctx.meta }, headers: ctx.headers };
        ctx.meta.answer = ctx.params.kinds;
        return ctx.params;
      },

      refuse(ctx) {
        throw new Errors.MoleculerClientError("No.", 499, "REFUSED", ctx.params);
      },

      ping(ctx) {
        return this.broker.ping(ctx.params.node, TIMEOUT);
      },
    },

    events: {
      "judge.told"(ctx) {
        this.told?.({ params: ctx.params, meta: ctx.meta });
      },
    },

    methods: {
      verdict(value, found) {
        const actual = text(found);
        if (actual === text(value)) return "exact";
        const expected = text(this.faithful(value));
        return actual === expected ? "faithful" : difference(actual, expected);
      },

      // What two nodes of the reference would make of it.
      faithful(value) {
        const { serializer } = this.broker;
        const packet = { ver: "0", sender: "", id: "", event: "", data: value, meta: {} };
        const rest = { groups: null, broadcast: false, level: 1, needAck: false };
        return serializer.deserialize(serializer.serialize({ ...packet, ...rest }, "EVENT"), "EVENT")
          .data;
      },

      refuses(value) {
        try {
          this.faithful(value);
          return false;
        } catch {
          return true;
        }
      },

      forward(value, node, forward, meta = {}) {
        meta.forward = { nodeID: this.broker.nodeID, ...forward };
        const options = { nodeID: node, meta, headers: value, timeout: TIMEOUT };
        return this.broker.call("probe.forward", value, options);
      },

      async throughCall(value, node) {
        const meta = { ...value };
        const result = await this.forward(value, node, { action: "judge.witness" }, meta);
        const { params, meta: sent, headers } = this.witnessed;
        const seen = {
          params: params.kinds,
          meta: sent.kinds,
          result: result.kinds,
          "meta of the response": meta.answer,
        };
        // Protocol 4 knows no headers.
        return headers ? { ...seen, headers: headers.kinds } : seen;
      },

      async throughError(value, node) {
        const error = await this.forward(value, node, { action: "judge.refuse" }).then(
          () => ({}),
          (error) => error,
        );
        return { error: error.code === 499 ? error.data?.kinds : error };
      },

      async throughEvent(value, node) {
        const told = new Promise((resolve) => (this.told = resolve));
        await this.forward(value, node, { event: "judge.told" }, { ...value });
        const { params, meta } = await Promise.race([told, delay(TIMEOUT, {})]);
        return { event: params?.kinds, "meta of the event": meta?.kinds };
      },
    },
  };
}

function evaluate(source) {
  return new Function(`return (${source});`)();
}

// Both may be long; what differs is near the first different character.
function difference(actual, expected) {
  let at = 0;
  while (actual[at] === expected[at]) at++;
  const part = (text) => text.slice(Math.max(0, at - 40), at + 100);
  return `${part(actual)} instead of ${part(expected)}`;
}
