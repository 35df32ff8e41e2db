import assert from "node:assert/strict";
import { test } from "node:test";

import { waitFor } from "../processes.js";

/** Events reach those that they should. */
export function events(cluster) {
  test("events go both ways", async () => {
    for (const [from, to] of cluster.pairs()) {
      await cluster.forget();
      const event = { kind: "broadcast", event: "probe.news.today", payload: { n: 5 } };
      assert.equal(await cluster.call(from, "probe.send", event, { meta: { m: 1 } }), true);
      const [seen] = await cluster.seen(to, 1);
      assert.deepEqual(seen, {
        event: "probe.news.today",
        type: "broadcast",
        group: "probe",
        groups: null,
        payload: { n: 5 },
        sender: from,
        meta: { m: 1 },
      });
    }
  });

  test("an emitted event reaches one node of each group", async () => {
    await cluster.forget();
    for (let n = 0; n < 4; n++) {
      const params = { kind: "emit", event: "probe.once", payload: n };
      await cluster.call("node-a", "probe.send", params);
    }
    const all = await waitFor("8 deliveries", async () => {
      const lists = await Promise.all(
        ["node-a", "node-b"].map((id) => cluster.call(id, "probe.seen")),
      );
      return lists.flat().length >= 8 && lists.flat();
    });
    const inGroup = (group) =>
      all.filter((seen) => seen.group === group).map((seen) => seen.payload);
    assert.deepEqual(inGroup("probe").sort(), [0, 1, 2, 3]);
    assert.deepEqual(inGroup("once").sort(), [0, 1, 2, 3]);
  });

  test("a group filter is kept", async () => {
    await cluster.forget();
    const params = { kind: "broadcast", event: "probe.once", groups: ["once"] };
    await cluster.call("node-a", "probe.send", params);
    const seen = await cluster.seen("node-b", 1);
    assert.deepEqual(
      seen.map(({ group, groups, payload }) => ({ group, groups, payload })),
      [{ group: "once", groups: ["once"], payload: null }],
    );
  });

  test("a local broadcast stays at home", async () => {
    await cluster.forget();
    const params = { kind: "broadcastLocal", event: "probe.x" };
    await cluster.call("node-a", "probe.send", params, { meta: { m: 1 } });
    const [seen] = await cluster.seen("node-a", 1);
    assert.deepEqual([seen.type, seen.meta], ["broadcastLocal", { m: 1 }]);
    // What follows on the same connection has overtaken nothing.
    await cluster.relay("node-a", "node-b", "probe.echo", {});
    assert.deepEqual(await cluster.call("node-b", "probe.seen"), []);
  });

  test("user.created reaches the three listeners, sample.event the two", async () => {
    cluster.reports.length = 0;
    await cluster.driver.broadcast("user.created", { id: 1 });
    await cluster.driver.emit("sample.event", { id: 2 });
    await waitFor("8 reports", () => cluster.reports.length === 8);
    const reported = cluster.reports.map(({ event, service }) => `${event}>${service}`).sort();
    const created = ["mail", "payment", "users"].flatMap((name) =>
      Array(2).fill(`user.created>${name}`),
    );
    assert.deepEqual(reported, ["sample.event>echo", "sample.event>test", ...created]);
  });
}
