import assert from "node:assert/strict";
import { test } from "node:test";

import { waitFor } from "../processes.js";

/** Nodes that die, come back, and go. Leaves no node behind. */
export function lifeCycle(cluster) {
  test("a killed node rejects its calls, and is found again after a restart", async () => {
    const pending = cluster.relay("node-a", "node-b", "probe.sleep", { ms: 60_000 });
    await waitFor("the sleeper", async () => (await cluster.call("node-b", "probe.running")) === 1);
    await cluster.nodes["node-b"].stop("SIGKILL");
    const { error } = await pending;
    assert.equal(error.type, "REQUEST_REJECTED");
    const gone = await cluster.relay("node-a", "node-b", "probe.echo", 1);
    assert.equal(gone.error.type, "SERVICE_NOT_FOUND");

    await cluster.startNode("node-b");
    await cluster.connected();
    const back = await cluster.relay("node-a", "node-b", "probe.running");
    assert.deepEqual(back, { ok: true, result: 0 });
  });

  test("$shutdown ends the nodes with the code it asks for", async () => {
    const exits = ["node-a", "node-b"].map((id) => cluster.nodes[id].exited());
    await cluster.driver.broadcast("$shutdown", { error: true });
    assert.deepEqual(await Promise.all(exits), [2, 2]);
    cluster.nodes = {};
  });

  test("signals end a node gracefully", async () => {
    for (const signal of ["SIGTERM", "SIGINT"]) {
      const node = await cluster.startNode("node-b");
      assert.equal(await node.stop(signal), 0);
    }
    cluster.nodes = {};
  });
}
