// Shows that the JS nodes work among themselves, before other implementations
// are driven against them. Each protocol version has a test file, and so a
// process, of its own: both packages change the global Promise, and the one
// loaded second no longer recognises its timeouts.
import { after, before, describe } from "node:test";

import { calls } from "./cases/calls.js";
import { events } from "./cases/events.js";
import { failures } from "./cases/failures.js";
import { features } from "./cases/features.js";
import { lifeCycle } from "./cases/life-cycle.js";
import { streams } from "./cases/streams.js";
import { values } from "./cases/values.js";
import { Cluster } from "./cluster.js";

/** Runs all cases over JSON, and those about values over the other `serializers`. */
export function suite(protocol, serializers) {
  run(protocol, "JSON", [values, calls, failures, events, streams, features, lifeCycle]);
  for (const serializer of serializers) run(protocol, serializer, [values]);
}

function run(protocol, serializer, cases) {
  describe(`protocol ${protocol} with ${serializer}`, () => {
    const cluster = new Cluster(protocol, serializer);
    before(() => cluster.start());
    after(() => cluster.stop());
    for (const define of cases) define(cluster);
  });
}
