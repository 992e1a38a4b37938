//! The address to measure, and the addresses to measure from.

use std::net::{SocketAddr, UdpSocket};

use crate::bench::plan::BenchPlan;
use crate::bench::throughput::{Ports, Service};
use crate::cli::BenchArgs;
use crate::connect::{self, Endpoint};
use crate::failure::{Failure, Kind, reason};
use crate::net::{Dialer, Family};
use crate::sanitize;
use crate::target::TargetKind;

/// Refuses source addresses that this computer does not have. The load would report each request as
/// "no local port".
pub(super) fn require_own_sources(plan: &BenchPlan, args: &BenchArgs) -> Result<(), Failure> {
    for source in &args.source {
        if let Err(error) = UdpSocket::bind((*source, 0)) {
            let target = sanitize::one_line(&plan.target.text);
            let message = format!(
                "cannot connect to {target} from {source}: {}",
                reason(&error)
            );
            return Err(Failure::new(Kind::Connect, message)
                .hint("check --source with `ip address`")
                .about(&plan.target.text));
        }
    }
    Ok(())
}

/// The first of several addresses that accepts a connection. If only throughput is measured, one of
/// its services may accept it.
pub(super) fn one_address(
    plan: &BenchPlan,
    args: &BenchArgs,
    endpoint: &Endpoint,
) -> Result<SocketAddr, Failure> {
    let refused = match dial(plan, args, endpoint) {
        Err(failure) if failure.kind == Kind::Connect => failure,
        result => return result,
    };
    if plan.parts.limits || plan.parts.latency {
        return Err(refused);
    }
    for service in Service::ALL {
        let mut endpoint = endpoint.clone();
        match &mut endpoint {
            Endpoint::Name { port, .. } => *port = Some(Ports::STANDARD.of(service)),
            Endpoint::Addresses(addresses) => {
                for address in addresses {
                    address.set_port(Ports::STANDARD.of(service));
                }
            }
            Endpoint::Virtual(_) => {}
        }
        if let Ok(mut address) = dial(plan, args, &endpoint) {
            let port = match &plan.target.kind {
                TargetKind::Name { port, .. } => *port,
                TargetKind::Addresses(addresses) => addresses.first().map(SocketAddr::port),
                TargetKind::Virtual(_) => None,
            };
            address.set_port(port.unwrap_or(crate::target::DEFAULT_PORT));
            return Ok(address);
        }
    }
    Err(refused)
}

fn dial(plan: &BenchPlan, args: &BenchArgs, endpoint: &Endpoint) -> Result<SocketAddr, Failure> {
    let dialer = Dialer {
        family: Family::Any,
        source: args.source.first().copied(),
        interface: None,
        timeout: args.connect_timeout,
    };
    let connection = crate::runtime::block_on(connect::connect(&dialer, endpoint))?
        .map_err(|error| error.into_failure(&plan.target.text))?;
    Ok(connection.address)
}
