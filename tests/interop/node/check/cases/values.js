import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { pattern } from "../../services/probe/values.js";

const WITHOUT_BINARY = ["JSON"];
const JSON_INSIDE = ["JSON", "Avro", "ProtoBuf", "Thrift"];

/** Values of every kind survive the way there and back. */
export function values(cluster) {
  test("values come back as they were sent", async () => {
    // Avro refuses params that are false in a condition.
    const list = [null, -1.5, "é€😀", true, [], [1, [null]], {}, { a: { b: [{}, 0, ""] } }];
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
    const whole = WITHOUT_BINARY.includes(cluster.serializer) ? bytes.toJSON() : bytes;
    const inside = JSON_INSIDE.includes(cluster.serializer) ? bytes.toJSON() : bytes;
    for (const nodeID of ["node-a", "node-b"]) {
      assert.deepEqual(await cluster.call(nodeID, "probe.binary", { size: 1000 }), whole);
      assert.deepEqual(await cluster.call(nodeID, "probe.digest", bytes), digest);
      assert.deepEqual(await cluster.call(nodeID, "probe.digest", { data: bytes }), digest);
      assert.deepEqual(await cluster.call(nodeID, "probe.echo", { b: bytes }), { b: inside });
    }
  });
}

function sha1(bytes) {
  return createHash("sha1").update(bytes).digest("hex");
}
