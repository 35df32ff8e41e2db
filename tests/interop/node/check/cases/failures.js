import assert from "node:assert/strict";
import { test } from "node:test";

import { waitFor } from "../processes.js";

/** Errors keep their class, code, type, data and origin. */
export function failures(cluster) {
  const expectations = [
    {
      params: {
        name: "MoleculerClientError",
        message: "No tea.",
        code: 418,
        type: "TEA",
        data: { pot: 1 },
      },
      error: { message: "No tea.", code: 418, type: "TEA", data: { pot: 1 }, retryable: false },
    },
    {
      params: { name: "MoleculerRetryableError", message: "Later." },
      error: { message: "Later.", code: 500, retryable: true },
    },
    {
      params: {
        name: "ValidationError",
        message: "Bad.",
        code: 999,
        data: [{ field: "a" }],
        retryable: true,
      },
      error: {
        message: "Bad.",
        code: 422,
        type: "VALIDATION_ERROR",
        data: [{ field: "a" }],
        retryable: true,
      },
    },
    {
      params: { name: "ServiceNotFoundError", message: "ignored", data: { action: "a.b" } },
      error: {
        message: "Service 'a.b' is not found.",
        code: 404,
        type: "SERVICE_NOT_FOUND",
        data: { action: "a.b" },
        retryable: true,
      },
    },
    {
      params: {
        name: "CustomError",
        message: "Mine.",
        code: 12,
        type: "MINE",
        data: 1,
        retryable: true,
      },
      error: { message: "Mine.", code: 12, type: "MINE", data: 1, retryable: true },
    },
  ];

  for (const { params, error } of expectations) {
    test(`a ${params.name} arrives`, async () => {
      for (const [from, to] of cluster.pairs()) {
        const reply = await cluster.relay(from, to, "probe.fail", params);
        assert.deepEqual(reply, { ok: false, error: { name: params.name, nodeID: to, ...error } });
      }
    });
  }

  test("every error class can be raised without data", async () => {
    const classes = {
      MoleculerServerError: 500,
      ServiceNotAvailableError: 404,
      RequestTimeoutError: 504,
      RequestSkippedError: 514,
      RequestRejectedError: 503,
      QueueIsFullError: 429,
      MaxCallLevelError: 500,
      ServiceSchemaError: 500,
      BrokerOptionsError: 500,
      GracefulStopTimeoutError: 500,
      ProtocolVersionMismatchError: 500,
      InvalidPacketDataError: 500,
      BrokerDisconnectedError: 502,
    };
    for (const [name, code] of Object.entries(classes)) {
      const { error } = await cluster.relay("node-a", "node-b", "probe.fail", { name });
      assert.equal(error.name, name);
      assert.equal(error.code, code, name);
    }
  });

  test("a panic is an error, and the node lives on", async () => {
    for (const [from, to] of cluster.pairs()) {
      const { ok, error } = await cluster.relay(from, to, "probe.panic");
      assert.equal(ok, false);
      assert.deepEqual([error.name, error.code, error.nodeID], ["MoleculerError", 500, to]);
      assert.equal(await cluster.call(to, "probe.echo", "alive"), "alive");
    }
  });

  test("a missing action and a timeout are told apart", async () => {
    const missing = await cluster.relay("node-a", "node-b", "probe.nothing");
    assert.equal(missing.error.type, "SERVICE_NOT_FOUND");
    const late = await cluster.relay(
      "node-a",
      "node-b",
      "probe.sleep",
      { ms: 600 },
      { timeout: 100 },
    );
    assert.equal(late.error.type, "REQUEST_TIMEOUT");
    await waitFor("the sleeper", async () => (await cluster.call("node-b", "probe.running")) === 0);
  });

  test("a nested call gets what is left of the timeout", async () => {
    const options = { nodeID: "node-b", wait: 50 };
    const nested = { action: "probe.sleep", params: { ms: 5000 }, options };
    // Both timers end at the same moment, so either may come first.
    const { error } = await cluster
      .call("node-a", "probe.relay", nested, { timeout: 200 })
      .catch((outer) => ({ error: outer }));
    assert.equal(error.type, "REQUEST_TIMEOUT");
    assert.deepEqual(await cluster.call("node-b", "probe.sleep", { ms: 20 }), { ran: 20 });
  });
}
