//! The records: a number, a name and whether Avro has a union with null.

use super::Field;

const fn field(number: u8, name: &'static str) -> Field {
    Field { number, name, nullable: false }
}

const fn nullable(number: u8, name: &'static str) -> Field {
    Field { number, name, nullable: true }
}

/// Params or data, and the type of their bytes.
pub(super) struct Carried(pub(super) Field, pub(super) Field);

/// Whether a stream goes on, and the place in it.
pub(super) struct Stream(pub(super) Field, pub(super) Field);

pub(super) const VER: Field = field(1, "ver");
pub(super) const SENDER: Field = field(2, "sender");

pub(super) mod event {
    use super::{Carried, Field, Stream, field, nullable};

    pub(crate) const ID: Field = field(3, "id");
    pub(crate) const EVENT: Field = field(4, "event");
    pub(crate) const DATA: Carried = Carried(nullable(5, "data"), field(6, "dataType"));
    pub(crate) const GROUPS: Field = nullable(7, "groups");
    pub(crate) const BROADCAST: Field = field(8, "broadcast");
    pub(crate) const META: Field = field(9, "meta");
    pub(crate) const LEVEL: Field = field(10, "level");
    pub(crate) const TRACING: Field = nullable(11, "tracing");
    pub(crate) const PARENT_ID: Field = nullable(12, "parentID");
    pub(crate) const REQUEST_ID: Field = nullable(13, "requestID");
    pub(crate) const STREAM: Stream = Stream(nullable(14, "stream"), nullable(15, "seq"));
    pub(crate) const CALLER: Field = nullable(16, "caller");
    pub(crate) const NEED_ACK: Field = nullable(17, "needAck");
}

pub(super) mod request {
    use super::{Carried, Field, Stream, field, nullable};

    pub(crate) const ID: Field = field(3, "id");
    pub(crate) const ACTION: Field = field(4, "action");
    pub(crate) const PARAMS: Carried = Carried(nullable(5, "params"), field(6, "paramsType"));
    pub(crate) const META: Field = field(7, "meta");
    pub(crate) const TIMEOUT: Field = nullable(8, "timeout");
    pub(crate) const LEVEL: Field = field(9, "level");
    pub(crate) const TRACING: Field = nullable(10, "tracing");
    pub(crate) const PARENT_ID: Field = nullable(11, "parentID");
    pub(crate) const REQUEST_ID: Field = nullable(12, "requestID");
    pub(crate) const STREAM: Stream = Stream(nullable(13, "stream"), nullable(14, "seq"));
    pub(crate) const CALLER: Field = nullable(15, "caller");
}

pub(super) mod response {
    use super::{Carried, Field, Stream, field, nullable};

    pub(crate) const ID: Field = field(3, "id");
    pub(crate) const SUCCESS: Field = field(4, "success");
    pub(crate) const DATA: Carried = Carried(nullable(5, "data"), field(6, "dataType"));
    pub(crate) const ERROR: Field = nullable(7, "error");
    pub(crate) const META: Field = field(8, "meta");
    pub(crate) const STREAM: Stream = Stream(nullable(9, "stream"), nullable(10, "seq"));
}

pub(super) mod info {
    use super::{Field, field};

    pub(crate) const SERVICES: Field = field(3, "services");
    pub(crate) const CONFIG: Field = field(4, "config");
    pub(crate) const IP_LIST: Field = field(5, "ipList");
    pub(crate) const HOSTNAME: Field = field(6, "hostname");
    pub(crate) const CLIENT: Field = field(7, "client");
    pub(crate) const SEQ: Field = field(8, "seq");
    pub(crate) const INSTANCE_ID: Field = field(9, "instanceID");
    pub(crate) const METADATA: Field = field(10, "metadata");
}

/// HEARTBEAT, PING, PONG and the packets of TCP gossip.
pub(super) mod plain {
    use super::{Field, field, nullable};

    pub(crate) const CPU: Field = field(3, "cpu");
    pub(crate) const TIME: Field = field(3, "time");
    pub(crate) const PING_ID: Field = nullable(4, "id");
    pub(crate) const ARRIVED: Field = field(4, "arrived");
    pub(crate) const PONG_ID: Field = nullable(5, "id");
    pub(crate) const HOST: Field = field(3, "host");
    pub(crate) const PORT: Field = field(4, "port");
    pub(crate) const ONLINE: Field = nullable(3, "online");
    pub(crate) const OFFLINE: Field = nullable(4, "offline");
}
