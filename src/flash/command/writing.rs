//! Erases and writes with a progress display.

use std::io::{self, IsTerminal};
use std::time::Instant;

use espflash::target::ProgressCallbacks;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

use super::{Flash, blocking};
use crate::esp::image::{Part, hex};
use crate::failure::Failure;
use crate::flash::event::FlashEvent;
use crate::flash::loader::Device;
use crate::flash::repair::Stage;
use crate::output::human;
use crate::units;

impl Flash<'_> {
    pub(super) async fn confirm_erase(&self) -> Result<(), Failure> {
        if self.args.yes {
            return Ok(());
        }
        let refused = |what: &str| Failure::usage(what).hint("--yes skips the question");
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(refused(
                "--erase needs a terminal to confirm; nothing was erased",
            ));
        }
        self.output
            .prompt("erase the whole flash, settings included? [y/N] ");
        let answer = blocking(|| {
            let mut answer = String::new();
            let _ = io::stdin().read_line(&mut answer);
            answer
        });
        match answer.await?.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(refused("aborted; nothing was erased")),
        }
    }

    pub(super) async fn erase(&self, mut device: Device) -> anyhow::Result<Device> {
        let start = Instant::now();
        self.stage.set(Stage::Erasing);
        self.output.note("erasing the whole flash (up to a minute)");
        let erased;
        (device, erased) = blocking(move || {
            let erased = device.erase();
            (device, erased)
        })
        .await?;
        erased.map_err(|failure| self.with_state(failure))?;
        self.emit(FlashEvent::Erased {
            elapsed_us: units::microseconds(start.elapsed()),
        });
        Ok(device)
    }

    /// Writes and verifies the parts with progress.
    pub(super) async fn write(
        &self,
        mut device: Device,
        parts: Vec<Part>,
    ) -> anyhow::Result<Device> {
        if parts.is_empty() {
            return Ok(device);
        }
        let (sender, mut steps) = mpsc::unbounded_channel();
        let labels: Vec<_> = parts
            .iter()
            .map(|part| {
                (
                    part.name,
                    part.offset,
                    part.len(),
                    hex(&Md5::digest(&part.data)),
                )
            })
            .collect();
        let writing = blocking(move || {
            let written = device.write(&parts, &mut Steps { sender, total: 0 });
            (device, written)
        });
        let mut at = 0;
        let mut begun = Instant::now();
        let finished = loop {
            // The thread has ended once its sender is dropped.
            let Some(step) = steps.recv().await else {
                break writing.await;
            };
            let Some((name, offset, bytes, md5)) = labels.get(at) else {
                continue;
            };
            match step {
                WriteProgress::Started(when) => {
                    self.stage.set(Stage::Writing(name));
                    begun = when;
                    let bar = self.output.progress(name, (*bytes).into());
                    if !bar.is_shown() && !self.output.is_json() {
                        self.output.note(&format!(
                            "writing    {name}, {}",
                            human::count((*bytes).into(), "byte")
                        ));
                    }
                    *self.bar.borrow_mut() = Some(bar);
                }
                WriteProgress::Blocks { blocks, total } => {
                    let done = u64::from(*bytes) * blocks as u64 / total.max(1) as u64;
                    if let Some(bar) = &*self.bar.borrow() {
                        bar.set(done);
                    }
                    self.emit(FlashEvent::Progress {
                        part: name,
                        done,
                        total: (*bytes).into(),
                    });
                }
                WriteProgress::Verifying(when) => {
                    self.bar.take();
                    self.emit(FlashEvent::Written {
                        part: name,
                        offset: *offset,
                        bytes: *bytes,
                        elapsed_us: units::microseconds(when.duration_since(begun)),
                    });
                }
                WriteProgress::Verified => {
                    self.emit(FlashEvent::Verified {
                        part: name,
                        md5: md5.clone(),
                    });
                    at += 1;
                }
            }
        };
        let (device, written) = finished?;
        self.bar.take();
        written.map_err(|failure| self.with_state(failure))?;
        Ok(device)
    }
}

/// Progress of the writing thread, with the times that it measured.
enum WriteProgress {
    Started(Instant),
    Blocks { blocks: usize, total: usize },
    Verifying(Instant),
    Verified,
}

/// Sends espflash's progress as messages.
struct Steps {
    sender: mpsc::UnboundedSender<WriteProgress>,
    total: usize,
}

impl ProgressCallbacks for Steps {
    fn init(&mut self, _addr: u32, total: usize) {
        self.total = total;
        let _ = self.sender.send(WriteProgress::Started(Instant::now()));
    }

    fn update(&mut self, current: usize) {
        let _ = self.sender.send(WriteProgress::Blocks {
            blocks: current,
            total: self.total,
        });
    }

    fn verifying(&mut self) {
        let _ = self.sender.send(WriteProgress::Verifying(Instant::now()));
    }

    fn finish(&mut self, _skipped: bool) {
        let _ = self.sender.send(WriteProgress::Verified);
    }
}
