//! `--output hex`: the format of `hexdump -C`.

use std::fmt::Write as _;

/// Bytes per line.
const WIDTH: usize = 16;

/// Formats a stream as lines of offset, hexadecimal and ASCII. Repeated lines collapse into `*`.
#[derive(Debug, Default)]
pub(super) struct Hexdump {
    /// The unfinished line.
    line: Vec<u8>,
    last: Option<[u8; WIDTH]>,
    repeating: bool,
    offset: u64,
}

impl Hexdump {
    pub(super) fn push(&mut self, mut bytes: &[u8], text: &mut String) {
        while !bytes.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(WIDTH - self.line.len()));
            self.line.extend_from_slice(head);
            bytes = tail;
            if let Ok(line) = <[u8; WIDTH]>::try_from(self.line.as_slice()) {
                self.full_line(line, text);
            }
        }
    }

    pub(super) fn finish(&mut self, text: &mut String) {
        if !self.line.is_empty() {
            let rest = std::mem::take(&mut self.line);
            show(self.offset, &rest, text);
            self.offset += rest.len() as u64;
        }
        if self.offset > 0 {
            let _ = writeln!(text, "{:08x}", self.offset);
        }
    }

    fn full_line(&mut self, line: [u8; WIDTH], text: &mut String) {
        self.line.clear();
        if self.last == Some(line) {
            if !self.repeating {
                text.push_str("*\n");
            }
            self.repeating = true;
        } else {
            self.repeating = false;
            self.last = Some(line);
            show(self.offset, &line, text);
        }
        self.offset += WIDTH as u64;
    }
}

fn show(offset: u64, line: &[u8], text: &mut String) {
    let _ = write!(text, "{offset:08x}");
    for at in 0..WIDTH {
        if at % 8 == 0 {
            text.push(' ');
        }
        match line.get(at) {
            Some(byte) => {
                let _ = write!(text, " {byte:02x}");
            }
            None => text.push_str("   "),
        }
    }
    text.push_str("  |");
    text.extend(line.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    }));
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(pieces: &[&[u8]]) -> String {
        let mut hexdump = Hexdump::default();
        let mut text = String::new();
        for piece in pieces {
            hexdump.push(piece, &mut text);
        }
        hexdump.finish(&mut text);
        text
    }

    #[test]
    fn output_matches_hexdump() {
        // printf 'Hello World\r\n\0\377 more' | hexdump -C
        assert_eq!(
            dump(&[b"Hello ", b"World\r\n\0\xff more"]),
            "00000000  48 65 6c 6c 6f 20 57 6f  72 6c 64 0d 0a 00 ff 20  |Hello World.... |\n\
             00000010  6d 6f 72 65                                       |more|\n\
             00000014\n"
        );
        assert_eq!(dump(&[]), "");
    }

    #[test]
    fn repeated_lines_collapse() {
        // head -c 70 /dev/zero | hexdump -C
        assert_eq!(
            dump(&[&[0; 33], &[0; 37]]),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n\
             *\n\
             00000040  00 00 00 00 00 00                                 |......|\n\
             00000046\n"
        );
    }
}
