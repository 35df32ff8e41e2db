// Their constructors read members of `data`, which therefore must be there.
const NEED_DATA = [
  "MaxCallLevelError",
  "QueueIsFullError",
  "RequestRejectedError",
  "RequestSkippedError",
  "RequestTimeoutError",
  "ServiceNotAvailableError",
];

/** Actions that fail. */
export function errors({ Errors }) {
  return {
    actions: {
      fail(ctx) {
        const error = build(Errors, ctx.params);
        if (ctx.params.retryable !== undefined) error.retryable = ctx.params.retryable;
        throw error;
      },

      // The nearest thing to a panic: something is thrown that is no error.
      panic() {
        throw "The handler panicked.";
      },
    },
  };
}

function build(Errors, { name = "MoleculerError", message, code, type, data }) {
  if (name === "BrokerDisconnectedError") return new Errors.BrokerDisconnectedError();
  if (data === undefined && NEED_DATA.includes(name)) data = {};
  const known = Errors.recreateError({ name, message, code, type, data });
  return known ?? custom({ name, message, code, type, data });
}

// Like a TypeError or any error of a library: it has just what it was given.
function custom({ message, ...members }) {
  const error = new Error(message);
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) error[name] = value;
  }
  return error;
}
