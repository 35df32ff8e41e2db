import { suite } from "./suite.js";

suite(5, ["JSONExt", "MsgPack", "Notepack", "CBOR"]);
