//! A reply on standard output, as it comes.

use super::Output;
use super::hexdump::Hexdump;
use crate::sanitize::{self, Sanitizer};
use clap::ValueEnum;

/// The values of `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReplyForm {
    /// As it came; on a terminal, what could harm it is escaped.
    #[default]
    Text,
    /// Offset, hexadecimal and ASCII, as `hexdump -C` prints.
    Hex,
    /// As it came, even on a terminal.
    Raw,
}

/// The longest part of a line that is held back until its end comes, where replies to several
/// targets share the output.
const LONGEST_LINE: usize = 64 * 1024;

/// Prints one reply: byte for byte in a pipe, escaped on a terminal, as a hexdump, or not at all
/// where a report will tell it.
#[derive(Debug)]
pub struct ReplyPrinter<'a> {
    output: &'a Output,
    form: Form,
    label: Option<Label>,
    last: Option<u8>,
}

/// How a reply is shown.
#[derive(Debug)]
enum Form {
    /// In a report.
    Reported,
    /// As it is.
    Bytes,
    /// Safe for a terminal.
    Escaped(Sanitizer),
    /// As a hexdump.
    Hex(Hexdump),
}

/// What begins each line, and the line that is not yet whole.
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

    /// Whether the reply is to be kept for a report.
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

    /// No more will come: prints what was held back, and on a terminal a line end if the reply
    /// has none.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        let mut text = String::new();
        match &mut self.form {
            Form::Reported | Form::Bytes => {}
            Form::Escaped(sanitizer) => sanitizer.finish(&mut text),
            Form::Hex(hexdump) => hexdump.finish(&mut text),
        }
        self.print(text.as_bytes())?;
        let shown_to_a_person = matches!(self.form, Form::Escaped(_)) || self.label.is_some();
        if shown_to_a_person && self.last.is_some_and(|last| last != b'\n') {
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
            } else if label.line.len() > LONGEST_LINE {
                // Memory is bounded; a line end keeps the next label at the start of a line.
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
