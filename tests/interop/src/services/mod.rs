//! The services that a node can host.

mod echo;
mod listener;
mod probe;
mod report;
mod shutdown;
mod streams;
mod test;

use moleculer::{BrokerBuilder, prelude::*};

pub(crate) use self::shutdown::Shutdown;

/// Adds the service of this name.
pub(crate) fn add(builder: BrokerBuilder, name: &str) -> Result<BrokerBuilder> {
    Ok(match name {
        "echo" => builder.service(echo::Echo),
        "test" => builder.service(test::Test),
        "users" | "payment" | "mail" => builder.service(listener::listener(name)),
        "probe" => builder.service(probe::Probe::default()),
        other => {
            return Err(Error::options(format!(
                "SERVICES names '{other}', known are: echo, test, users, payment, mail, probe"
            )));
        }
    })
}
