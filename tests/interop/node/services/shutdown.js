/** Ends the process one second after somebody broadcast `$shutdown`. */
export function shutdownListener(stop) {
  return {
    name: "$shutdown-listener",
    events: {
      $shutdown(ctx) {
        setTimeout(() => stop(ctx.params?.error ? 2 : 0), 1000);
      },
    },
  };
}
