import { reportEvent } from "./report.js";

/** A service that only listens to `user.created`. */
export function listener(name) {
  return {
    name,
    events: {
      "user.created": (ctx) => reportEvent(ctx),
    },
  };
}
