//! Erasing and writing, and how far that is.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use espflash::target::ProgressCallbacks;
use md5::{Digest, Md5};
use tokio::sync::mpsc;

use super::{Flash, blocking, micros};
use crate::esp::image::{Part, hex};
use crate::failure::Failure;
use crate::flash::event::FlashEvent;
use crate::flash::loader::Device;
use crate::flash::repair::Stage;
use crate::output::human;

impl Flash<'_> {
    pub(super) async fn agree_to_erase(&self) -> Result<(), Failure> {
        if self.args.yes {
            return Ok(());
        }
        let refused = |what: &str| {
            Failure::usage(format!("--erase: {what}")).hint("nothing was erased; --yes agrees")
        };
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(refused("there is no terminal to ask at"));
        }
        let _ = io::stderr().write_all(b"erase the whole flash, settings included? [y/N] ");
        let answer = blocking(|| {
            let mut answer = String::new();
            let _ = io::stdin().read_line(&mut answer);
            answer
        });
        match answer.await?.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(refused("not agreed")),
        }
    }

    pub(super) async fn erase(&self, mut device: Device) -> anyhow::Result<Device> {
        let start = Instant::now();
        self.stage.set(Stage::Erasing);
        self.output
            .note("erasing the whole flash: this takes up to a minute");
        let erased;
        (device, erased) = blocking(move || {
            let erased = device.erase();
            (device, erased)
        })
        .await?;
        erased.map_err(|failure| self.half_way(failure))?;
        self.tell_later(FlashEvent::Erased {
            elapsed_us: micros(start.elapsed()),
        });
        Ok(device)
    }

    /// Writes and verifies, and tells how far it is.
    pub(super) async fn write(
        &self,
        mut device: Device,
        parts: Vec<Part>,
    ) -> anyhow::Result<Device> {
        if parts.is_empty() {
            return Ok(device);
        }
        let (sender, mut steps) = mpsc::unbounded_channel();
        let told: Vec<_> = parts
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
            // Without a sender the thread is done with the board.
            let Some(step) = steps.recv().await else {
                break writing.await;
            };
            let Some((name, offset, bytes, md5)) = told.get(at) else {
                continue;
            };
            match step {
                Written::Begun(when) => {
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
                Written::So { blocks, total } => {
                    let done = u64::from(*bytes) * blocks as u64 / total.max(1) as u64;
                    if let Some(bar) = &*self.bar.borrow() {
                        bar.set(done);
                    }
                    self.tell_later(FlashEvent::Progress {
                        part: name,
                        done,
                        total: (*bytes).into(),
                    });
                }
                Written::Verifying(when) => {
                    self.bar.take();
                    self.tell_later(FlashEvent::Written {
                        part: name,
                        offset: *offset,
                        bytes: *bytes,
                        elapsed_us: micros(when.duration_since(begun)),
                    });
                }
                Written::Verified => {
                    self.tell_later(FlashEvent::Verified {
                        part: name,
                        md5: md5.clone(),
                    });
                    at += 1;
                }
            }
        };
        let (device, written) = finished?;
        self.bar.take();
        written.map_err(|failure| self.half_way(failure))?;
        Ok(device)
    }
}

/// A step of a write, from the thread that writes: when it was there, not when it is heard of.
enum Written {
    Begun(Instant),
    So { blocks: usize, total: usize },
    Verifying(Instant),
    Verified,
}

/// The library's progress as messages.
struct Steps {
    sender: mpsc::UnboundedSender<Written>,
    total: usize,
}

impl ProgressCallbacks for Steps {
    fn init(&mut self, _addr: u32, total: usize) {
        self.total = total;
        let _ = self.sender.send(Written::Begun(Instant::now()));
    }

    fn update(&mut self, current: usize) {
        let _ = self.sender.send(Written::So {
            blocks: current,
            total: self.total,
        });
    }

    fn verifying(&mut self) {
        let _ = self.sender.send(Written::Verifying(Instant::now()));
    }

    fn finish(&mut self, _skipped: bool) {
        let _ = self.sender.send(Written::Verified);
    }
}
