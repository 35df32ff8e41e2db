//! The services that a node can host.

mod aes;
mod beacon;
mod dependencies;
mod echo;
mod fail;
mod guarded;
mod listener;
mod probe;
mod report;
mod shutdown;
mod streams;
mod test;
mod values;

use moleculer::{BrokerBuilder, prelude::*};

use self::dependencies::{Device, Location, Tenant};
pub(crate) use self::{dependencies::Steps, shutdown::Shutdown};

/// Adds the service of this name.
pub(crate) fn add(builder: BrokerBuilder, name: &str, steps: &Steps) -> Result<BrokerBuilder> {
    Ok(match name {
        "aes" => builder.service(aes::Aes::default()),
        "device" => builder.service(Device(steps.clone())),
        "east" | "west" => builder.service(beacon::beacon(name)),
        "echo" => builder.service(echo::Echo),
        "guarded" => builder.service(guarded::Guarded::default()),
        "location" => builder.service(Location(steps.clone())),
        "tenant" => builder.service(Tenant(steps.clone())),
        "test" => builder.service(test::Test),
        "users" | "payment" | "mail" => builder.service(listener::listener(name)),
        "probe" => builder.service(probe::Probe::default()),
        other => {
            return Err(Error::options(format!(
                "SERVICES names '{other}', known are: aes, device, east, echo, \
                 guarded, location, mail, payment, probe, tenant, test, users, west"
            )));
        }
    })
}
