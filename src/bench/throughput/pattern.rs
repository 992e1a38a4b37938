//! The bytes that uploads and echoes send, and the pattern of chargen.

use std::sync::LazyLock;

/// Period of the filler, and the maximum length of one write. Larger writes cost less per byte, up
/// to about this length.
pub(super) const FILLER_LENGTH: usize = 1 << 20;

/// The filler that uploads and echoes send: random, so that a compressing link gains little, and
/// printable, so that a board's console can show it.
pub(super) static FILLER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // xorshift64 (Marsaglia 2003).
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut filler = Vec::with_capacity(FILLER_LENGTH);
    while filler.len() < FILLER_LENGTH {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        filler.extend(
            state
                .to_le_bytes()
                .map(|byte| ALPHABET[usize::from(byte % 64)]),
        );
    }
    filler
});

/// The filler at `position` of a stream, up to where it repeats.
pub(super) fn filler_at(position: u64) -> &'static [u8] {
    let length = FILLER_LENGTH as u64;
    // Below the length, so it fits.
    &FILLER[usize::try_from(position % length).unwrap_or_default()..]
}

/// The position of the first byte in `bytes` that differs from the filler. They were received at
/// `position` of the stream.
pub(super) fn first_wrong(mut position: u64, mut bytes: &[u8]) -> Option<u64> {
    while !bytes.is_empty() {
        let expected = filler_at(position);
        let length = expected.len().min(bytes.len());
        let (here, rest) = bytes.split_at(length);
        if here != &expected[..length] {
            let same = here.iter().zip(expected).take_while(|(a, b)| a == b);
            return Some(position + same.count() as u64);
        }
        position += length as u64;
        bytes = rest;
    }
    None
}

/// Bytes checked at the start of a download.
pub(super) const CHECKED: usize = 1024;

/// Printable characters, space included (RFC 864, "one popular pattern").
const PRINTABLE: u8 = 95;
/// Characters per line (RFC 864).
const LINE: usize = 72;

/// Whether this is chargen's pattern, starting anywhere in it: each line is a run of consecutive
/// characters and starts one character after the line before it.
pub(super) fn is_chargen(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    let mut starts: Option<u8> = None;
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if text.is_empty() {
            // The next line has not arrived.
            return is_last && starts.is_some();
        }
        let whole = if is_last {
            text.len() <= LINE
        } else {
            text.len() == LINE
        };
        let starts_right = starts.is_none_or(|start| text[0] == start);
        let is_run = text.windows(2).all(|pair| pair[1] == after(pair[0]));
        if !(whole && starts_right && is_run && (b' '..=b'~').contains(&text[0])) {
            return false;
        }
        starts = Some(after(text[0]));
    }
    starts.is_some()
}

/// The printable character after this one.
fn after(character: u8) -> u8 {
    let last = b' ' + PRINTABLE - 1;
    if character >= last {
        b' '
    } else {
        character + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chargen(first_line: usize, length: usize) -> Vec<u8> {
        let line = |start: usize| {
            let character = move |at| b' ' + u8::try_from((start + at) % 95).unwrap();
            (0..LINE).map(character).chain(*b"\r\n")
        };
        (first_line..).flat_map(line).take(length).collect()
    }

    #[test]
    fn chargen_is_recognized_wherever_it_starts() {
        for first_line in [0, 1, 40, 94] {
            for length in [1, 71, 72, 73, 74, 75, 500, 1024] {
                let bytes = chargen(first_line, length);
                assert!(is_chargen(&bytes), "{first_line} {length}");
            }
        }
    }

    #[test]
    fn other_data_is_not_chargen() {
        let mut spoiled = chargen(0, 1024);
        spoiled[700] = b'!';
        let texts: [&[u8]; 6] = [
            b"",
            b"Hello World",
            b"\r\n",
            b"SSH-2.0-x\r\n",
            &[0; 64],
            &spoiled,
        ];
        for bytes in texts {
            assert!(!is_chargen(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn position_of_a_wrong_byte_is_found() {
        let start = FILLER_LENGTH as u64 - 3;
        let mut bytes: Vec<u8> = filler_at(start)
            .iter()
            .chain(&FILLER[..7])
            .copied()
            .collect();
        assert_eq!(first_wrong(start, &bytes), None);
        bytes[5] = b' ';
        assert_eq!(first_wrong(start, &bytes), Some(start + 5));
        assert_eq!(first_wrong(start + 1, &bytes), Some(start + 1), "shifted");
    }

    #[test]
    fn filler_is_printable() {
        assert!(FILLER.iter().all(u8::is_ascii_graphic));
        assert_eq!(FILLER.len(), FILLER_LENGTH);
    }
}
