import { createHash } from "node:crypto";
import { Readable } from "node:stream";

import { pattern } from "./probe/values.js";

/** Exchanges streams with another node, and tells how that went. */
export function courier() {
  return {
    name: "courier",

    actions: {
      /** Sends bytes of the test pattern; with `fails` the source breaks at their end. */
      upload(ctx) {
        const { node, size, chunk, fails } = ctx.params;
        return this.send(node, "probe.upload", Readable.from(source(), { objectMode: false }));

        function* source() {
          for (let at = 0; at < size; at += chunk) yield pattern(at, Math.min(at + chunk, size));
          if (fails) throw new Error("The source broke.");
        }
      },

      /** Reads bytes to their end: how many, their hash, and the error. */
      async download(ctx) {
        const { node, ...params } = ctx.params;
        const stream = await this.broker.call("probe.download", params, { nodeID: node });
        const hash = createHash("sha1");
        let size = 0;
        let failed = null;
        try {
          for await (const chunk of stream) {
            hash.update(chunk);
            size += chunk.length;
          }
        } catch (error) {
          failed = { type: error.type, code: error.code, nodeID: error.nodeID };
        }
        return { size, sha1: hash.digest("hex"), error: failed };
      },

      /** Lets a node encrypt bytes of the test pattern, and decrypt them. */
      async duplex(ctx) {
        const { node, size, chunk } = ctx.params;
        const encrypted = await this.send(node, "aes.encrypt", chunked(pattern(0, size), chunk));
        const secret = Buffer.concat(await encrypted.toArray());
        const decrypted = await this.send(node, "aes.decrypt", chunked(secret, chunk));
        const bytes = Buffer.concat(await decrypted.toArray());
        const sha1 = createHash("sha1").update(bytes).digest("hex");
        return { size: bytes.length, sha1, changed: !secret.equals(bytes) };
      },

      /** Fetches objects and sends them back to be counted. */
      async objects(ctx) {
        const { node, count } = ctx.params;
        const stream = await this.broker.call("probe.objects", { count }, { nodeID: node });
        const objects = await stream.toArray();
        return this.send(node, "probe.countObjects", Readable.from(objects));
      },
    },

    methods: {
      // Protocol 4 sends the stream in the place of the params.
      send(node, action, stream) {
        return this.broker.PROTOCOL_VERSION === "4"
          ? this.broker.call(action, stream, { nodeID: node })
          : this.broker.call(action, { p: 1 }, { nodeID: node, stream });
      },
    },
  };
}

function chunked(bytes, size) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return Readable.from(chunks, { objectMode: false });
}
