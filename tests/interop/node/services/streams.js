// Both protocol versions hand the request stream over in another place.

/** The request stream: `ctx.stream` with protocol 5, the params with protocol 4. */
export function requestStream(ctx, { MoleculerClientError }) {
  const stream = ctx.stream ?? ctx.params;
  if (typeof stream?.pipe !== "function") {
    throw new MoleculerClientError(
      `Action '${ctx.action.name}' needs a request stream.`,
      400,
      "STREAM_REQUIRED",
    );
  }
  return stream;
}

/** The params beside the stream; protocol 4 has none. */
export function streamParams(ctx) {
  return ctx.stream ? ctx.params : null;
}
