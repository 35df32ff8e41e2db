import buffer from "node:buffer";
import { inspect } from "node:util";

buffer.INSPECT_MAX_BYTES = Infinity;

const WHOLE = { depth: null, maxArrayLength: null, maxStringLength: null, breakLength: Infinity };

/** A text that tells all values apart: -0 from 0 too, and the order of members. */
export function text(value) {
  return inspect(value, WHOLE);
}
