import { suite } from "./suite.js";

suite(4, ["Avro", "MsgPack", "Notepack", "ProtoBuf", "Thrift", "CBOR"]);
