//! TARGET, as a user or a list of boards writes it.

use tcpctl::target::{Target, TargetKind};

/// A text is a target that can be connected to, or an error of one safe line.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Target::parse(text) {
        Ok(target) => {
            assert_eq!(target.text, text);
            match target.kind {
                TargetKind::Name { host, port } => {
                    assert!(!host.is_empty());
                    assert_ne!(port, Some(0));
                }
                TargetKind::Addresses(addresses) => {
                    assert!(!addresses.is_empty());
                    assert!(addresses.iter().all(|address| address.port() != 0));
                }
                TargetKind::Virtual(spec) => assert!(spec.server.workers().get() > 0),
            }
        }
        Err(failure) => {
            let shown = failure.to_string();
            assert!(super::is_harmless(&shown), "{shown:?}");
            assert!(!failure.message.contains('\n'), "{shown:?}");
            assert!(failure.hint.is_none_or(|hint| super::is_harmless(&hint)));
        }
    }
}
