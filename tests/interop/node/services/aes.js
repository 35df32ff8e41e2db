import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { pipeline } from "node:stream";

import { requestStream } from "./streams.js";

const ALGORITHM = "aes-256-ctr";

export function aes({ Errors }) {
  const key = randomBytes(32);
  const iv = randomBytes(16);

  // An error of the source destroys the cipher, and so ends the response stream.
  const through = (ctx, cipher) => pipeline(requestStream(ctx, Errors), cipher, () => {});

  return {
    name: "aes",
    actions: {
      encrypt: (ctx) => through(ctx, createCipheriv(ALGORITHM, key, iv)),
      decrypt: (ctx) => through(ctx, createDecipheriv(ALGORITHM, key, iv)),
    },
  };
}
