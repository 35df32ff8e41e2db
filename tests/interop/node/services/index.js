import { actor } from "./actor.js";
import { aes } from "./aes.js";
import { beacon } from "./beacon.js";
import { courier } from "./courier.js";
import { device, location, tenant } from "./dependencies.js";
import { echo } from "./echo.js";
import { guarded } from "./guarded.js";
import { judge } from "./judge.js";
import { listener } from "./listener.js";
import { probe } from "./probe/index.js";
import { test } from "./test.js";

/** Every service by name, as a function of the Moleculer package in use. */
export const services = {
  actor,
  aes,
  courier,
  device,
  east: () => beacon("east"),
  echo,
  guarded,
  judge,
  location,
  mail: () => listener("mail"),
  payment: () => listener("payment"),
  probe,
  tenant,
  test,
  users: () => listener("users"),
  west: () => beacon("west"),
};
