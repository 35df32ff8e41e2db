// Environment variables of the interop node and what they mean for the broker.

const PACKAGES = { 4: "moleculer-0.14", 5: "moleculer-0.15" };

/** The npm package that speaks the protocol version asked for by `PROTOCOL`. */
export function packageName(env) {
  const protocol = env.PROTOCOL || "5";
  const name = PACKAGES[protocol];
  if (!name) throw new Error(`PROTOCOL is '${protocol}', but must be 4 or 5`);
  return name;
}

/** The services to host, checked against the `known` ones. */
export function serviceNames(env, known) {
  const names = (env.SERVICES ?? "echo,probe")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names) {
    if (!known.includes(name)) {
      throw new Error(`SERVICES names '${name}', known are: ${known.join(", ")}`);
    }
  }
  return names;
}

/** The broker options: variables, then `BROKER_OPTIONS` and `MORE_OPTIONS` merged over them. */
export function brokerOptions(env) {
  if (!env.NODEID) throw new Error("NODEID is not set, it must name this node");
  const options = {
    nodeID: env.NODEID,
    namespace: env.NAMESPACE || "",
    logLevel: env.LOGLEVEL || "warn",
    transporter: env.TRANSPORTER || "TCP",
    serializer: env.SERIALIZER || "JSON",
    cacher: "Memory",
    disableBalancer: flag(env, "DISABLEBALANCER", false),
    registry: {
      discoverer: env.DISCOVERER || "Local",
      preferLocal: flag(env, "PREFER_LOCAL", true),
    },
    transit: { disableVersionCheck: flag(env, "DISABLE_VERSION_CHECK", false) },
    // The node handles signals itself, so that they also work before the start.
    skipProcessEventRegistration: true,
  };
  return ["BROKER_OPTIONS", "MORE_OPTIONS"].reduce(
    (merged, name) => (env[name] ? merge(merged, parseOptions(name, env[name])) : merged),
    options,
  );
}

/** The middlewares that the options name as `{type, options}`. */
export function middlewares({ middlewares = [] }, { Middlewares: { Transmit } }) {
  const known = {
    "Transmit.Compression": (options) => Transmit.Compression(options),
    "Transmit.Encryption": ({ password, algorithm, iv }) =>
      Transmit.Encryption(password, algorithm, iv),
  };
  return middlewares.map(({ type, options = {} }) => {
    if (!known[type]) {
      throw new Error(`middlewares names '${type}', known are: ${Object.keys(known).join(", ")}`);
    }
    return known[type](options);
  });
}

function flag(env, name, fallback) {
  const value = env[name];
  if (value === undefined || value === "") return fallback;
  if (value !== "true" && value !== "false") {
    throw new Error(`${name} is '${value}', but must be true or false`);
  }
  return value === "true";
}

function parseOptions(name, text) {
  let options;
  try {
    options = JSON.parse(text);
  } catch (error) {
    throw new Error(`${name} is not valid JSON: ${error.message}`);
  }
  if (!isObject(options)) throw new Error(`${name} must be a JSON object`);
  return options;
}

// Objects are merged key by key, everything else replaces what was there.
function merge(base, over) {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    merged[key] = isObject(base[key]) && isObject(value) ? merge(base[key], value) : value;
  }
  return merged;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
