//! Completions beyond options and fixed values: boards, ports, interfaces, report fields.
//!
//! Names come from the network, so names that a shell could interpret are left out.

use std::ffi::OsStr;
use std::time::SystemTime;

use clap_complete::engine::CompletionCandidate;

use crate::bench::fail_if;
use crate::discover::cache::Cache;
use crate::net::interfaces;
use crate::serial;
use crate::sim::spec::{self, Profile};

/// Completions of a TARGET: boards found in the last day, and virtual boards.
pub fn targets(begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else {
        return Vec::new();
    };
    let seen = Cache::for_user().names(SystemTime::now());
    let mut found: Vec<_> = seen
        .into_iter()
        .filter(|name| name.starts_with(begun) && is_plain(name))
        .map(|name| proposal(name, "found in the last day"))
        .collect();
    found.extend(virtual_boards(begun));
    found
}

/// `sim`, its profiles, and the keys after a comma.
fn virtual_boards(begun: &str) -> Vec<CompletionCandidate> {
    let profiles = Profile::ALL.map(|profile| format!("sim:{profile}"));
    let mut found = Vec::new();
    if let Some((before, key)) = begun.rsplit_once(',')
        && before.starts_with("sim")
    {
        let given = |key: &str| before.contains(&format!(",{key}="));
        let keys = spec::keys().filter(|key| !given(key));
        found.extend(
            keys.filter(|it| it.starts_with(key))
                .map(|key| proposal(format!("{before},{key}="), "option of tcpctl sim")),
        );
    } else if begun.starts_with("sim:") {
        let matching = profiles.into_iter().filter(|it| it.starts_with(begun));
        found.extend(matching.map(|it| proposal(it, "virtual board with this profile")));
    } else if "sim".starts_with(begun) {
        found.push(proposal("sim".to_owned(), "virtual board"));
        found.push(proposal("sim:".to_owned(), "virtual board with a profile"));
    }
    found
}

/// Completions of `--fail-if`: the fields of a report, short names first.
pub fn conditions(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    // There are hundreds of full paths: propose them only after a dot.
    let mut fields = fail_if::fields(begun.contains('.'));
    fields.retain(|field| field.starts_with(&*begun));
    if let [field] = fields[..] {
        // Propose two candidates, so that no shell completes the condition and closes its quotes.
        return fail_if::operators(field)
            .map(|operator| proposal(format!("{field}{operator}"), "and a value, e.g. 50ms"))
            .into();
    }
    let of = |field: &str| proposal(field.to_owned(), "");
    fields.into_iter().map(of).collect()
}

/// This computer's network interfaces.
pub fn network_interfaces() -> Vec<CompletionCandidate> {
    let listed = interfaces::list().unwrap_or_default();
    let addresses = |it: &interfaces::Interface| {
        let v4 = it.v4.iter().map(|(address, _)| address.to_string());
        v4.collect::<Vec<_>>().join(" ")
    };
    listed
        .into_iter()
        .map(|it| proposal(it.name.clone(), &addresses(&it)))
        .collect()
}

/// This computer's addresses.
pub fn own_addresses() -> Vec<CompletionCandidate> {
    let listed = interfaces::list().unwrap_or_default();
    listed
        .into_iter()
        .flat_map(|it| {
            let v4 = it.v4.iter().map(|(address, _)| address.to_string());
            let v6 = it.v6.iter().map(ToString::to_string);
            v4.chain(v6)
                .map(|address| proposal(address, &it.name))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Serial ports, boards first. Opens no port.
pub fn serial_ports() -> Vec<CompletionCandidate> {
    let mut listed = serial::list().unwrap_or_default();
    listed.sort_by_key(|port| port.adapter().is_none());
    listed
        .into_iter()
        .map(|port| {
            let product = port.usb.and_then(|usb| usb.product_name);
            proposal(port.path, &product.unwrap_or_default())
        })
        .collect()
}

/// Chips for which firmware can be built.
pub fn chips() -> Vec<CompletionCandidate> {
    ["esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61"]
        .map(|chip| proposal(chip.to_owned(), ""))
        .into()
}

fn proposal(value: String, help: &str) -> CompletionCandidate {
    let help = (!help.is_empty()).then(|| help.to_owned().into());
    CompletionCandidate::new(value).help(help)
}

/// Whether shells treat the name as plain text, apart from spaces.
fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|character| character.is_alphanumeric() || "-._ ".contains(character))
        && !name.starts_with(['-', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(found: Vec<CompletionCandidate>) -> Vec<String> {
        found
            .into_iter()
            .map(|it| it.get_value().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn virtual_boards_complete_step_by_step() {
        assert_eq!(values(virtual_boards("s")), ["sim", "sim:"]);
        assert_eq!(values(virtual_boards("sim:l")), ["sim:lossy"]);
        assert_eq!(
            values(virtual_boards("sim:esp32,wor")),
            ["sim:esp32,workers="]
        );
        let second = values(virtual_boards("sim:esp32,workers=2,"));
        assert!(second.contains(&"sim:esp32,workers=2,backlog=".to_owned()));
        assert!(!second.contains(&"sim:esp32,workers=2,workers=".to_owned()));
        assert!(virtual_boards("10.0.0.1").is_empty());
    }

    #[test]
    fn conditions_start_with_aliases() {
        let short = values(conditions(OsStr::new("p9")));
        assert_eq!(short, ["p90", "p99", "p99_9"]);
        let one = values(conditions(OsStr::new("err")));
        assert_eq!(one, ["errors<", "errors>"]);
        let text = values(conditions(OsStr::new("environment.vir")));
        assert_eq!(text, ["environment.virtual==", "environment.virtual!="]);
        let long = values(conditions(OsStr::new("latency.first_byte_us.p")));
        assert!(
            long.contains(&"latency.first_byte_us.p99".to_owned()),
            "{long:?}"
        );
    }

    #[test]
    fn names_with_shell_syntax_are_left_out() {
        assert!(is_plain("greeter-1a2b.local"));
        assert!(is_plain("büro"));
        assert!(is_plain("board of the kitchen"));
        for name in ["$(reboot)", "a;b", "`x`", "--erase", "a'b", "a\nb"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
