//! Prints a reply as it arrives.

use clap::ValueEnum;

use super::Output;
use super::hexdump::Hexdump;
use crate::sanitize::{self, Sanitizer};

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReplyForm {
    /// As received; control characters are escaped on a terminal
    #[default]
    Text,
    /// Offset, hexadecimal and ASCII, like `hexdump -C`
    Hex,
    /// As received, even on a terminal
    Raw,
}

/// Maximum bytes of an unfinished line to keep when replies of several targets share the output.
const MAX_PENDING_LINE: usize = 64 * 1024;

/// Prints one reply: byte for byte in a pipe, escaped on a terminal, as a hexdump, or not at all if
/// the report contains it.
#[derive(Debug)]
pub struct ReplyPrinter<'a> {
    output: &'a Output,
    form: Form,
    label: Option<Label>,
    last: Option<u8>,
}

/// How to show a reply.
#[derive(Debug)]
enum Form {
    /// Not shown; the report contains it.
    Reported,
    /// Unchanged.
    Bytes,
    /// Escaped for a terminal.
    Escaped(Sanitizer),
    /// As a hexdump.
    Hex(Hexdump),
}

/// The prefix of each line, and the unfinished line.
#[derive(Debug)]
struct Label {
    prefix: Vec<u8>,
    line: Vec<u8>,
}

impl<'a> ReplyPrinter<'a> {
    pub(super) fn new(output: &'a Output, form: ReplyForm, label: Option<&str>) -> Self {
        let form = match form {
            _ if output.is_json() => Form::Reported,
            ReplyForm::Hex => Form::Hex(Hexdump::default()),
            ReplyForm::Text if output.is_terminal() => Form::Escaped(Sanitizer::default()),
            ReplyForm::Text | ReplyForm::Raw => Form::Bytes,
        };
        Self {
            output,
            form,
            label: label.map(|label| Label {
                prefix: format!("{}: ", sanitize::one_line(label)).into_bytes(),
                line: Vec::new(),
            }),
            last: None,
        }
    }

    /// Whether the reply must be kept for the report.
    pub fn captures(&self) -> bool {
        matches!(self.form, Form::Reported)
    }

    /// Prints the next bytes.
    pub fn reply(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut text = String::new();
        match &mut self.form {
            Form::Reported => return Ok(()),
            Form::Bytes => return self.print(bytes),
            Form::Escaped(sanitizer) => sanitizer.push(bytes, &mut text),
            Form::Hex(hexdump) => hexdump.push(bytes, &mut text),
        }
        self.print(text.as_bytes())
    }

    /// Ends the reply: prints pending bytes, and on a terminal a newline if the reply has none.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        let mut text = String::new();
        match &mut self.form {
            Form::Reported | Form::Bytes => {}
            Form::Escaped(sanitizer) => sanitizer.finish(&mut text),
            Form::Hex(hexdump) => hexdump.finish(&mut text),
        }
        self.print(text.as_bytes())?;
        let needs_newline = matches!(self.form, Form::Escaped(_)) || self.label.is_some();
        if needs_newline && self.last.is_some_and(|last| last != b'\n') {
            self.print(b"\n")?;
        }
        Ok(())
    }

    fn print(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(last) = bytes.last() else {
            return Ok(());
        };
        self.last = Some(*last);
        let Some(label) = &mut self.label else {
            return self.output.write(bytes);
        };
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            label.line.extend_from_slice(piece);
            if label.line.last() == Some(&b'\n') {
                label.flush(&mut lines);
            } else if label.line.len() > MAX_PENDING_LINE {
                // Bounds memory; the newline keeps the next label at the start of a line.
                label.line.push(b'\n');
                label.flush(&mut lines);
            }
        }
        self.output.write(&lines)
    }
}

impl Label {
    fn flush(&mut self, lines: &mut Vec<u8>) {
        lines.extend_from_slice(&self.prefix);
        lines.append(&mut self.line);
    }
}
