// Reads packets as a node of the reference would, and compares. Each line of
// the input is `{type, theirs, ours}`, the bytes of one packet as the
// reference and as we wrote it, in hexadecimal; each line of the output is
// `{theirs, ours}`, what is read from them, as text.
import { createInterface } from "node:readline";

import { packageName } from "./options.js";
import { text } from "./text.js";

const { default: moleculer } = await import(packageName(process.env));
const serializer = moleculer.Serializers.resolve(process.env.SERIALIZER);
serializer.init({
  fatal(message, error) {
    throw error;
  },
});

for await (const line of createInterface({ input: process.stdin })) {
  const { type, theirs, ours } = JSON.parse(line);
  console.log(JSON.stringify({ theirs: read(theirs, type), ours: read(ours, type) }));
}

function read(hex, type) {
  try {
    const packet = serializer.deserialize(Buffer.from(hex, "hex"), type);
    for (const members of [packet, packet.error ?? {}]) dropUndefined(members);
    return text(packet);
  } catch (error) {
    return `${error}`;
  }
}

// The reference takes an undefined member for an absent one.
function dropUndefined(members) {
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined) delete members[name];
  }
}
