import { calls } from "./calls.js";
import { errors } from "./errors.js";
import { events } from "./events.js";
import { features } from "./features.js";
import { streams } from "./streams.js";
import { values } from "./values.js";

/** The service through which a driver sees and controls everything on a node. */
export function probe(moleculer) {
  return {
    name: "probe",
    mixins: [calls, errors, events, features, streams, values].map((part) => part(moleculer)),
  };
}
