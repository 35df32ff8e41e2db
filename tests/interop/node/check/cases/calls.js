import assert from "node:assert/strict";
import { test } from "node:test";

import { waitFor } from "../processes.js";

/** What a call carries, and what comes back. */
export function calls(cluster) {
  test("params, meta and the answer are transferred", async () => {
    const params = { a: "Hey", b: 3333, c: true, d: { e: 122.34, f: [1, 2, 3], g: null } };
    for (const nodeID of ["node-a", "node-b"]) {
      const answer = await cluster.call(nodeID, "echo.reply", params, { meta: { user: "x" } });
      assert.deepEqual(answer, { params, meta: { user: "x" }, response: params });
    }
  });

  test("a relayed call names its way", async () => {
    for (const [from, to] of cluster.pairs()) {
      const headers = { h: 1 };
      const params = { action: "probe.whoami", options: { nodeID: to, meta: { m: 2 }, headers } };
      const options = { requestID: "r-1", meta: { m: 1, k: 1 } };
      const { result } = await cluster.call(from, "probe.relay", params, options);
      assert.equal(typeof result.parentID, "string");
      delete result.parentID;
      const expected = { nodeID: to, sender: from, requestID: "r-1", level: 2, caller: "probe" };
      if (cluster.protocol === 5) expected.headers = headers;
      assert.deepEqual(result, { ...expected, meta: { m: 2, k: 1 }, eventsSeen: 0 });
    }
  });

  test("without a calling service there is no caller", async () => {
    const answer = await cluster.call("node-b", "probe.whoami");
    assert.deepEqual([answer.sender, answer.caller, answer.level], ["driver", null, 1]);
  });

  test("meta set by the callee comes back", async () => {
    const meta = { before: 1 };
    assert.equal(await cluster.call("node-b", "probe.setMeta", { after: 2 }, { meta }), true);
    assert.deepEqual(meta, { before: 1, after: 2 });
  });

  test("actions report that they were called", async () => {
    cluster.reports.length = 0;
    assert.equal(await cluster.call("node-b", "test.work", { n: 1 }, { meta: { m: 2 } }), true);
    const hello = await cluster.call("node-a", "test.hello", { i: 7, delay: 10 });
    assert.deepEqual(hello, { i: 7, nodeID: "node-a" });
    await waitFor("two reports", () => cluster.reports.length === 2);
    assert.deepEqual(cluster.reports[0], {
      nodeID: "node-b",
      service: "test",
      action: "test.work",
      params: { n: 1 },
      meta: { m: 2 },
    });
    assert.equal(cluster.reports[1].action, "test.hello");
  });
}
