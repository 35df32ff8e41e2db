import { createHash } from "node:crypto";
import { Readable } from "node:stream";

import { requestStream, streamParams } from "../streams.js";
import { pattern } from "./values.js";

/** Actions that take or return streams of bytes and of objects. */
export function streams({ Errors }) {
  return {
    actions: {
      async upload(ctx) {
        const hash = createHash("sha1");
        let size = 0;
        let chunks = 0;
        for await (const chunk of requestStream(ctx, Errors)) {
          hash.update(chunk);
          size += chunk.length;
          chunks++;
        }
        const params = streamParams(ctx);
        return { size, chunks, sha1: hash.digest("hex"), params, meta: ctx.meta };
      },

      download(ctx) {
        const { size, chunk = 65536, failAfter } = ctx.params;
        const failure = () =>
          new Errors.MoleculerError("The download failed.", 500, "DOWNLOAD_FAILED");
        return failAfter === undefined
          ? patternStream(size, chunk)
          : patternStream(failAfter, chunk, failure);
      },

      objects(ctx) {
        return Readable.from(numbered(ctx.params.count));
      },

      async countObjects(ctx) {
        let count = 0;
        let sum = 0;
        for await (const { n } of requestStream(ctx, Errors)) {
          count++;
          sum += n;
        }
        return { count, sum };
      },
    },
  };
}

function* numbered(count) {
  for (let n = 0; n < count; n++) yield { n };
}

// A stream made of a generator asks for the next chunk only when it hands one
// over, so a failure at the end throws no unread bytes away.
function patternStream(size, chunk, failure) {
  return Readable.from(chunks(), { objectMode: false });

  function* chunks() {
    for (let at = 0; at < size; at += chunk) yield pattern(at, Math.min(at + chunk, size));
    if (failure) throw failure();
  }
}
