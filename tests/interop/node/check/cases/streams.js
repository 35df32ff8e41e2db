import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";

import { pattern } from "../../services/probe/values.js";

/** Streams of bytes and of objects, in both directions. */
export function streams(cluster) {
  test("a byte stream is taken", async () => {
    const bytes = pattern(0, 300_000);
    const answer = await cluster.upload("probe.upload", chunked(bytes, 50_000), { p: 1 });
    const params = cluster.protocol === 5 ? { p: 1 } : null;
    assert.deepEqual(answer, { size: 300_000, chunks: 6, sha1: sha1(bytes), params, meta: {} });
  });

  test("an error of the source fails the upload", async () => {
    const source = Readable.from(failing(), { objectMode: false });
    await assert.rejects(cluster.upload("probe.upload", source), { message: "The source broke." });
  });

  test("a byte stream is returned", async () => {
    const stream = await cluster.call("node-b", "probe.download", { size: 200_000, chunk: 30_000 });
    const { bytes, error } = await drain(stream);
    assert.ok(bytes.equals(pattern(0, 200_000)));
    assert.equal(error, null);
  });

  test("a failing download delivers just what it said", async () => {
    for (const chunk of [100, 3_000, undefined]) {
      const params = { size: 200_000, failAfter: 100_001, chunk };
      const { bytes, error } = await drain(await cluster.call("node-b", "probe.download", params));
      assert.ok(bytes.equals(pattern(0, 100_001)), `${bytes.length} bytes`);
      assert.deepEqual([error.type, error.code, error.nodeID], ["DOWNLOAD_FAILED", 500, "node-b"]);
    }
  });

  test("object streams go both ways", async () => {
    const stream = await cluster.call("node-b", "probe.objects", { count: 50 });
    const objects = await stream.toArray();
    assert.deepEqual(
      objects,
      Array.from({ length: 50 }, (_, n) => ({ n })),
    );
    const counted = await cluster.upload("probe.countObjects", Readable.from(objects));
    assert.deepEqual(counted, { count: 50, sum: 1225 });
  });

  test("a duplex stream comes back encrypted, then decrypted", async () => {
    const bytes = pattern(0, 500_000);
    const encrypted = await drain(await cluster.upload("aes.encrypt", chunked(bytes, 64_000)));
    assert.equal(encrypted.bytes.length, bytes.length);
    assert.ok(!encrypted.bytes.equals(bytes));
    const back = await cluster.upload("aes.decrypt", chunked(encrypted.bytes, 64_000));
    assert.ok((await drain(back)).bytes.equals(bytes));
  });

  test("a missing stream is a clear error", async () => {
    const { error } = await cluster.relay("node-a", "node-b", "probe.upload");
    assert.equal(error.code, 400);
  });
}

function chunked(bytes, size) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks, { objectMode: false });
}

async function* failing() {
  yield pattern(0, 1000);
  throw new Error("The source broke.");
}

// The error may come before the last bytes are read, so wait for both ends.
function drain(stream) {
  return new Promise((resolve) => {
    const chunks = [];
    let error = null;
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("error", (e) => (error = e));
    stream.on("end", () => resolve({ bytes: Buffer.concat(chunks), error }));
  });
}

function sha1(bytes) {
  return createHash("sha1").update(bytes).digest("hex");
}
