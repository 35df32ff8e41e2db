//! The rules of transporters, over real sockets on the loopback interface.

use std::process::ExitCode;

use moleculer_testkit::transporter::{Subject, run};
use moleculer_transporter_tcp::TcpTransporter;

fn main() -> ExitCode {
    run(Subject::new(|| TcpTransporter::builder().udp_discovery(false)))
}
