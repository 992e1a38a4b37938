//! One address of a name, or of several.

use std::net::SocketAddr;

use crate::bench::plan::Plan;
use crate::bench::throughput::{Ports, Service};
use crate::cli::BenchArgs;
use crate::connect::{self, Endpoint};
use crate::failure::{Failure, Kind};
use crate::net::{Dialer, Family};
use crate::target::TargetKind;

/// The address of a name, or of several the one that answers first: by one connection. Where only
/// the services are measured, one of those may answer for it.
pub(super) fn one_address(
    plan: &Plan,
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
            let asked = match &plan.target.kind {
                TargetKind::Name { port, .. } => *port,
                TargetKind::Addresses(addresses) => addresses.first().map(SocketAddr::port),
                TargetKind::Virtual(_) => None,
            };
            address.set_port(asked.unwrap_or(crate::target::DEFAULT_PORT));
            return Ok(address);
        }
    }
    Err(refused)
}

fn dial(plan: &Plan, args: &BenchArgs, endpoint: &Endpoint) -> Result<SocketAddr, Failure> {
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
