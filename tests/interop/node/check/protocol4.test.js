import { suite } from "./suite.js";

suite(4, ["MsgPack", "Notepack", "CBOR"]);
