import { reportEvent } from "./report.js";

/** A service that only listens to `user.created`. */
export function listener(name) {
  return {
    name,
    settings: { limits: { most: 2 ** 53 - 1, names: ["é", null, "[[DT]]0"] }, flag: false },
    metadata: { since: -1.5, nested: { empty: {}, list: [], "ключ": "" } },
    events: {
      "user.created": (ctx) => reportEvent(ctx),
    },
  };
}
