//! Lines from a serial port, and their form on a terminal.

use tcpctl::board::console;
use tcpctl::board::console::LineSplitter;
use tcpctl::sanitize::{self, Sanitizer};

/// Lines do not depend on how the bytes are split, and contain no terminal control sequences.
pub fn holds(data: &[u8]) {
    let (&split, data) = data.split_first().unwrap_or((&0, data));
    let at = usize::from(split).min(data.len());
    let (start, end) = data.split_at(at);

    let mut whole = LineSplitter::default();
    let mut lines = whole.push(data);
    lines.push(whole.take());
    let mut parts = LineSplitter::default();
    let mut split = parts.push(start);
    split.extend(parts.push(end));
    split.push(parts.take());
    assert_eq!(lines, split);

    for line in lines {
        let text = String::from_utf8_lossy(&line);
        console::parse(&text);
        let shown = sanitize::one_line(&text);
        assert!(
            super::is_harmless(&shown) && !shown.contains('\n'),
            "{shown:?}"
        );
    }
    stream(data, start, end);
}

fn stream(data: &[u8], start: &[u8], end: &[u8]) {
    let shown = |parts: &[&[u8]]| {
        let (mut sanitizer, mut shown) = (Sanitizer::default(), String::new());
        for part in parts {
            sanitizer.push(part, &mut shown);
        }
        sanitizer.finish(&mut shown);
        shown
    };
    let whole = shown(&[data]);
    assert!(super::is_harmless(&whole), "{whole:?}");
    assert_eq!(whole, shown(&[start, end]));
}
