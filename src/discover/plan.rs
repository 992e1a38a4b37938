//! The plan of `discover`.

use std::time::Duration;

use super::probe::MAX_UNFORCED;
use crate::cli::DiscoverArgs;
use crate::failure::Failure;
use crate::mdns;
use crate::mdns::SERVICE_TYPE;
use crate::mdns::message::DnsName;
use crate::net::cidr::Cidr;
use crate::output::human;
use crate::sanitize;
use crate::sys;

/// Sources to search, and for how long.
#[derive(Debug, Clone)]
pub struct DiscoverPlan {
    /// Service type with `.local`; `None` if mDNS is off.
    pub service_type: Option<DnsName>,
    /// Port of mDNS. Tests use another one.
    pub mdns_port: u16,
    /// Which serial ports to list.
    pub serial: SerialPorts,
    /// Whether to try the address of boards in AP mode.
    pub gateway: bool,
    /// Network to probe.
    pub probe: Option<Cidr>,
    /// Interface to use; `None` for all.
    pub interface: Option<String>,
    /// When the search ends.
    pub ending: Ending,
}

/// Which serial ports are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialPorts {
    /// None.
    None,
    /// Ports with a USB adapter that boards use.
    Boards,
    /// All.
    All,
}

/// When a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After a time, or once enough boards are found.
    After {
        /// Length of the search.
        timeout: Duration,
        /// Number of boards after which the search ends.
        enough: Option<usize>,
    },
    /// When interrupted.
    Never,
}

impl DiscoverPlan {
    /// The plan for these arguments. `ports` are listed unless `--no-serial` is given.
    ///
    /// # Errors
    /// Invalid options.
    pub fn new(args: &DiscoverArgs, ports: SerialPorts) -> Result<Self, Failure> {
        let service_type = service_type(&args.service_type)?;
        if let Some(interface) = &args.interface
            && sys::interface_index(interface).is_none()
        {
            let name = sanitize::one_line(interface);
            return Err(Failure::usage(format!(
                "--interface: this computer has no network interface '{name}'"
            ))
            .hint(format!("list them with `{}`", sys::LIST_INTERFACES)));
        }
        if let Some(network) = args.probe
            && network.count() > MAX_UNFORCED.into()
            && !args.force
        {
            let count = match u32::try_from(network.count()) {
                Ok(count) => format!("{} addresses,", human::grouped(count.into())),
                Err(_) => "far".to_owned(),
            };
            return Err(Failure::usage(format!(
                "--probe: {count} more than the {} addresses of a /20",
                human::grouped(MAX_UNFORCED)
            ))
            .hint("probe a smaller network, or add --force if the whole network is yours"));
        }
        if let Some(network) = args.probe
            && network.needs_interface()
            && args.interface.is_none()
        {
            return Err(
                Failure::usage("--probe: link-local addresses need an interface")
                    .hint("add --interface NAME"),
            );
        }
        if args.timeout.is_zero() {
            return Err(Failure::usage("--timeout: must be greater than 0").hint("try 2s"));
        }
        let enough = match (args.first, args.expect_count) {
            (true, _) => Some(1),
            (false, count) => count.map(|count| count.get().into()),
        };
        // Boards of another service type may not greet.
        let gateway =
            DnsName::of_text(&format!("{SERVICE_TYPE}.local")).as_ref() == Some(&service_type);
        Ok(Self {
            service_type: (!args.no_mdns).then_some(service_type),
            mdns_port: mdns::PORT,
            serial: if args.no_serial {
                SerialPorts::None
            } else {
                ports
            },
            gateway,
            probe: args.probe,
            interface: args.interface.clone(),
            ending: if args.watch {
                Ending::Never
            } else {
                Ending::After {
                    timeout: args.timeout,
                    enough,
                }
            },
        })
    }
}

/// Parses a service type: `_tcpctl._tcp`, with or without `.local`.
fn service_type(text: &str) -> Result<DnsName, Failure> {
    let plain = text.trim_end_matches('.');
    let plain = plain.strip_suffix(".local").unwrap_or(plain);
    let labels: Vec<_> = plain.split('.').collect();
    // RFC 6335 §5.1: a service name has up to 15 letters, digits and hyphens.
    let is_service = |label: &str| {
        label.strip_prefix('_').is_some_and(|name| {
            (1..=15).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    };
    match labels[..] {
        [service, "_tcp"] if is_service(service) => DnsName::of_text(&format!("{plain}.local")),
        _ => None,
    }
    .ok_or_else(|| {
        let text = sanitize::one_line(text);
        Failure::usage(format!("--type: '{text}' is not a TCP service type"))
            .hint("a type looks like _tcpctl._tcp or _http._tcp")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_types_are_checked() {
        for text in ["_tcpctl._tcp", "_http._tcp.local", "_http._tcp.local."] {
            assert!(service_type(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "http",
            "_http",
            "_http._udp",
            "http._tcp",
            "_._tcp",
            "_a_b._tcp",
            "_sixteen-letters-._tcp",
            "_a._b._tcp",
            "_\u{1b}[2J._tcp",
        ] {
            let failure = service_type(text).unwrap_err();
            assert!(failure.message.starts_with("--type: "), "{failure}");
            assert!(!failure.message.contains('\u{1b}'), "{failure}");
        }
    }

    #[test]
    fn the_gateway_is_tried_for_our_service_type_only() {
        use clap::Parser;

        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            discover: DiscoverArgs,
        }

        for (service_type, gateway) in [
            ("_tcpctl._tcp", true),
            ("_tcpctl._tcp.local", true),
            ("_TCPCTL._tcp.local.", true),
            ("_http._tcp", false),
        ] {
            let line = Line::parse_from(["discover", "--type", service_type]);
            let plan = DiscoverPlan::new(&line.discover, SerialPorts::Boards).unwrap();
            assert_eq!(plan.gateway, gateway, "{service_type}");
        }
    }
}
