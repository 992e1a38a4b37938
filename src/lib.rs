//! `tcpctl`: find, talk to, measure and flash small TCP servers on microcontrollers.
//!
//! A command goes one way through this house, and never turns round:
//! [`cli`] says what can be written (clap types, no logic); [`config`] fills in what was left out
//! and [`target`] says what a TARGET is. The command's own folder, [`discover`], [`send`],
//! [`mod@bench`], [`flash`] or [`monitor`], turns arguments into a plan, carries it out, and makes a
//! report. [`transport`] gives it connections, over the operating system's sockets or over the cable
//! of a virtual board, [`sim`], which runs the firmware's own server; [`console`] reads what boards
//! print on their serial line. Only [`output`] prints, for people or as JSON;
//! [`sanitize`] is what stands between a peer's bytes and a terminal, and [`schema`] what a program
//! may count on. A [`failure`] has a kind,
//! and with it the [`exit`] code. [`completions`] and [`man`] tell shells and
//! readers what [`cli`] says. [`interrupt`] is Ctrl-C as something to wait for, [`serial`]
//! lists the serial ports, [`units`] reads quantities, [`timestamp`]
//! writes moments, [`pattern`] what a reply is to match, and
//! [`sys`] is all that differs between systems, with the only unsafe code.

pub mod app;
pub mod atomic_file;
pub mod bench;
pub mod board;
pub mod cli;
pub mod completions;
pub mod config;
pub mod config_command;
pub mod connect;
pub mod dirs;
pub mod discover;
pub mod esp;
pub mod exit;
pub mod failure;
pub mod flash;
pub mod interrupt;
pub mod man;
pub mod mdns;
pub mod monitor;
pub mod net;
pub mod output;
pub mod pattern;
pub mod runtime;
pub mod sanitize;
pub mod schema;
pub mod send;
pub mod serial;
pub mod sim;
pub mod sys;
pub mod target;
pub mod timestamp;
pub mod units;
