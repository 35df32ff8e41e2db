import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { pattern } from "../../services/probe/values.js";

/** Values of every kind survive the way there and back. */
export function values(cluster) {
  test("values come back as they were sent", async () => {
    const list = [null, 0, -1.5, "", "é€😀", true, [], [1, [null]], {}, { a: { b: [{}] } }];
    for (const nodeID of ["node-a", "node-b"]) {
      for (const value of list) {
        assert.deepEqual(await cluster.call(nodeID, "probe.echo", value), value);
      }
    }
  });

  test("binary values arrive", async () => {
    const bytes = pattern(0, 1000);
    assert.deepEqual([bytes[250], bytes[251]], [250, 0]);
    const digest = { size: 1000, sha1: sha1(bytes) };
    const binary = cluster.serializer === "JSON" ? bytes.toJSON() : bytes;
    for (const nodeID of ["node-a", "node-b"]) {
      assert.deepEqual(await cluster.call(nodeID, "probe.binary", { size: 1000 }), binary);
      assert.deepEqual(await cluster.call(nodeID, "probe.digest", bytes), digest);
      assert.deepEqual(await cluster.call(nodeID, "probe.digest", { data: bytes }), digest);
      assert.deepEqual(await cluster.call(nodeID, "probe.echo", { b: bytes }), { b: binary });
    }
  });
}

function sha1(bytes) {
  return createHash("sha1").update(bytes).digest("hex");
}
