import assert from "node:assert/strict";
import { test } from "node:test";

import { waitFor } from "../processes.js";

/** Caching, validation, retries, and services made at run time. */
export function features(cluster) {
  test("results are cached by key", async () => {
    const runs = [];
    for (const key of ["a", "a", "b", "a"]) {
      const result = await cluster.call("node-b", "probe.cached", { key, noise: runs.length });
      assert.equal(result.key, key);
      runs.push(result.run);
    }
    assert.deepEqual(runs, [1, 1, 2, 1]);
  });

  test("params are checked on the callee", async () => {
    const good = { email: "a@b.cd", age: 18, nick: "  nick ", more: true };
    assert.deepEqual(await cluster.call("node-b", "probe.checked", good), {
      ...good,
      nick: "nick",
    });
    const { error } = await cluster.relay("node-a", "node-b", "probe.checked", {
      email: "a",
      age: 17,
    });
    assert.equal(error.code, 422);
    const items = error.data.map(({ type, field, nodeID, action }) => [
      type,
      field,
      nodeID,
      action,
    ]);
    assert.deepEqual(items, [
      ["email", "email", "node-a", "probe.checked"],
      ["numberMin", "age", "node-a", "probe.checked"],
    ]);
  });

  test("a flaky action recovers within its request", async () => {
    const params = { times: 1, code: 503 };
    const requestID = "flaky-request";
    await assert.rejects(cluster.call("node-b", "probe.flaky", params, { requestID }), {
      code: 503,
      retryable: true,
    });
    assert.deepEqual(await cluster.call("node-b", "probe.flaky", params, { requestID }), {
      attempts: 2,
    });
  });

  test("a service comes and goes at run time", async () => {
    assert.equal(await cluster.call("node-b", "probe.addService", { name: "late" }), true);
    const there = await waitFor("late.hello", async () => {
      const reply = await cluster.relay("node-a", "node-b", "late.hello");
      return reply.ok && reply.result;
    });
    assert.deepEqual(there, { nodeID: "node-b" });
    assert.equal(await cluster.call("node-b", "probe.removeService", { name: "late" }), true);
    await waitFor("the end of late", async () => {
      const reply = await cluster.relay("node-a", "node-b", "late.hello");
      return reply.error?.type === "SERVICE_NOT_FOUND";
    });
  });
}
