import { createHash } from "node:crypto";

/** Actions about what params and results look like after the transfer. */
export function values({ Errors }) {
  return {
    actions: {
      echo: (ctx) => ctx.params,

      binary: (ctx) => pattern(0, ctx.params.size),

      digest(ctx) {
        const bytes = bytesOf(ctx.params);
        if (!bytes) {
          throw new Errors.MoleculerClientError(
            "The params must be binary or {data: binary}.",
            400,
            "NOT_BINARY",
          );
        }
        return { size: bytes.length, sha1: createHash("sha1").update(bytes).digest("hex") };
      },
    },
  };
}

/** The bytes `from` to `to` of the endless test pattern: byte i is i mod 251. */
export function pattern(from, to) {
  const bytes = Buffer.allocUnsafe(to - from);
  for (let i = from; i < to; i++) bytes[i - from] = i % 251;
  return bytes;
}

// JSON has no binary values: there they arrive as {"type":"Buffer","data":[..]}.
function bytesOf(value) {
  if (value instanceof Uint8Array) return value;
  if (value?.type === "Buffer" && Array.isArray(value.data)) return Buffer.from(value.data);
  return value?.data ? bytesOf(value.data) : null;
}
