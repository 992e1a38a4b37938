//! `tcpctl man`: manual pages from the text of `--help`.

use std::io::{self, Write as _};
use std::process;

use anyhow::Context as _;
use clap::{ArgAction, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::{Cli, ManArgs};
use crate::exit::Exit;
use crate::output::Output;

/// Heading of related commands in a help text.
const SEE_ALSO: &str = "See also";
/// Heading of exit codes in a help text.
const CODES: &str = "Exit codes";
/// Heading of files in a help text, one per line.
const FILES: &str = "Files";
/// Release date of this version, or the date of the last change before the release. Not the build
/// date: builds must be reproducible.
const DATE: &str = "2026-11-26";
/// Definition of the apostrophe that `roff` writes before each section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
/// The empty line that `clap_mangen` writes before possible values. Its breaks have no effect.
const EMPTY_LINE: &str = "\n.br\n\n.br\n";

/// Prints a page.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &ManArgs, output: &Output) -> anyhow::Result<Exit> {
    let text = page(args.command.as_deref()).context("cannot render the manual page")?;
    if !output.is_terminal() || !open_reader(&text) {
        output.write(text.as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Shows the page with man(1). Returns false if the program does not exist or failed.
fn open_reader(page: &str) -> bool {
    let reader = process::Command::new("man")
        .args(["-l", "-"])
        .stdin(process::Stdio::piped())
        .spawn();
    let Ok(mut reader) = reader else {
        return false;
    };
    if let Some(mut stdin) = reader.stdin.take() {
        // A reader that quits early closes its input.
        let _ = stdin.write_all(page.as_bytes());
    }
    reader.wait().is_ok_and(|status| status.success())
}

/// The page of a command, or of tcpctl.
fn page(name: Option<&str>) -> io::Result<String> {
    let mut cli = Cli::command();
    cli.build();
    let command = name.and_then(|name| cli.find_subcommand(name)).cloned();
    // clap_mangen omits the help of options that `-h` hides.
    let command = command
        .unwrap_or(cli)
        .mut_args(|option| option.hide_short_help(false));
    let help = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let synopsis = synopsis(&command);
    let has_commands = command.has_subcommands();
    let man = Man::new(command)
        .title(title(name).to_uppercase())
        .date(DATE)
        .source(concat!("tcpctl ", env!("CARGO_PKG_VERSION")))
        .manual("tcpctl");

    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    synopsis.to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    sections(&help, name.is_some()).to_writer(&mut text)?;
    // Every section starts with the preamble; keep one.
    let text = String::from_utf8_lossy(&text)
        .replace(PREAMBLE, "")
        .replace(EMPTY_LINE, "\n\n");
    Ok(format!("{PREAMBLE}{text}"))
}

/// The synopsis. That of `clap_mangen` has no value names.
fn synopsis(command: &Command) -> Roff {
    let mut line = vec![bold(command.get_bin_name().unwrap_or(command.get_name()))];
    let shown = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    let options = shown().filter(|arg| !arg.is_positional());
    for arg in options.chain(shown().filter(|arg| arg.is_positional())) {
        let [open, close] = if arg.is_required_set() {
            ["", ""]
        } else {
            ["[", "]"]
        };
        line.push(roman(format!(" {open}")));
        let flags = [
            arg.get_short().map(|short| format!("-{short}")),
            arg.get_long().map(|long| format!("--{long}")),
        ];
        for (at, flag) in flags.into_iter().flatten().enumerate() {
            if at > 0 {
                line.push(roman("|"));
            }
            line.push(bold(flag));
        }
        let values = arg.get_num_args().unwrap_or_default();
        if values.takes_values() {
            let name = arg.get_value_names().unwrap_or_default().join(" ");
            let names = vec![name; values.min_values().max(1)].join(" ");
            line.push(roman(if arg.is_positional() { "" } else { " " }));
            line.push(italic(names));
        }
        line.push(roman(close));
        let repeats = matches!(arg.get_action(), ArgAction::Count | ArgAction::Append);
        if repeats || values.max_values() > values.min_values().max(1) {
            line.push(roman("..."));
        }
    }
    if command.has_subcommands() {
        line.extend([roman(" "), italic("COMMAND")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text(line);
    roff
}

/// The name of the page: `tcpctl`, `tcpctl-send`.
fn title(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("tcpctl-{name}"),
        None => "tcpctl".to_owned(),
    }
}

/// The sections after the options of a help text. Unindented lines are headings, lines with four
/// spaces are code, and other lines are prose.
fn sections(help: &str, of_command: bool) -> Roff {
    let mut roff = Roff::new();
    let mut section = "";
    for paragraph in help.split("\n\n") {
        let mut lines = paragraph.lines().peekable();
        let heading = lines.peek().filter(|line| !line.starts_with(' '));
        if let Some(heading) = heading.and_then(|line| line.strip_suffix(':')) {
            section = heading;
            let title = match heading {
                CODES => "EXIT STATUS".to_owned(),
                heading => heading.to_uppercase(),
            };
            roff.control("SH", [title.as_str()]);
            lines.next();
        } else {
            roff.control("PP", []);
        }
        let mut in_code = false;
        for (at, line) in lines.enumerate() {
            let is_code = line.starts_with("    ");
            if is_code != in_code {
                if is_code {
                    roff.control("RS", ["4"]);
                    roff.control("nf", []);
                } else {
                    roff.control("fi", []);
                    roff.control("RE", []);
                }
                in_code = is_code;
            }
            match section {
                SEE_ALSO => roff.text(pages(line.trim(), of_command)),
                _ if in_code => roff.text([roman(&line[4..])]),
                FILES if at > 0 => roff.control("br", []).text([roman(line.trim())]),
                // The help of tcpctl lists one exit code per line; commands use prose.
                CODES if !of_command => roff
                    .control("TP", ["8"])
                    .text([bold(codes(line).0)])
                    .text([roman(codes(line).1)]),
                _ => roff.text([roman(line.trim())]),
            };
        }
        if in_code {
            roff.control("fi", []);
            roff.control("RE", []);
        }
    }
    roff
}

/// Splits `130, 143 interrupted` into codes and meaning.
fn codes(line: &str) -> (&str, &str) {
    let line = line.trim();
    let meaning = line.find(|c: char| !(c.is_ascii_digit() || ", ".contains(c)));
    let (codes, meaning) = line.split_at(meaning.unwrap_or(line.len()));
    (codes.trim_end(), meaning)
}

/// `tcpctl send, tcpctl flash` as page names.
fn pages(line: &str, of_command: bool) -> Vec<Inline> {
    let names = line.split(", ").map(|command| {
        let words: Vec<_> = command.split(' ').take(2).collect();
        words.join("-")
    });
    let own = of_command.then(|| "tcpctl".to_owned());
    let mut inlines = Vec::new();
    for (at, name) in own.into_iter().chain(names).enumerate() {
        if at > 0 {
            inlines.push(roman(", "));
        }
        inlines.extend([bold(name), roman("(1)")]);
    }
    inlines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_text_becomes_sections() {
        let help = "Examples:\n  Say it:\n    $ tcpctl send x\n\n  Or not:\n    $ true\n\nSee also:\n  tcpctl \
                    discover --names, tcpctl man\n\nExit codes:\n  0 done, 2 usage";
        let roff = sections(help, true).to_roff();
        for part in [
            ".SH EXAMPLES\nSay it:\n.RS 4\n.nf\n$ tcpctl send x\n.fi\n.RE\n.PP\nOr not:\n",
            ".SH \"SEE ALSO\"\n\\fBtcpctl\\fR(1), \\fBtcpctl\\-discover\\fR(1), \\fBtcpctl\\-man\\fR(1)\n",
            ".SH \"EXIT STATUS\"\n0 done, 2 usage\n",
        ] {
            assert!(roff.contains(part), "{part}\nis not in\n{roff}");
        }
        let listed = "Files:\n  a\n  b\n\nExit codes:\n  0 done\n  130, 143 ended";
        let roff = sections(listed, false).to_roff();
        let end = ".TP 8\n\\fB0\\fR\ndone\n.TP 8\n\\fB130, 143\\fR\nended\n";
        assert!(roff.ends_with(end), "{roff}");
        assert!(roff.contains(".SH FILES\na\n.br\nb\n.SH"), "{roff}");
    }
}
