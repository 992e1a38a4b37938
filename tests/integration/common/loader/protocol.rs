//! The loaders: the ROM's, and the stub after it is loaded.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Decompress, FlushDecompress, Status};
use md5::{Digest, Md5};

use super::boot::{self, App};
use super::chip::{Model, Registers};
use super::flash::SECTOR;
use super::line::Line;
use super::modem::{Modem, Start, Wiring};
use super::slip;
use super::{Fault, Kind, State};

const FLASH_BEGIN: u8 = 0x02;
const FLASH_DATA: u8 = 0x03;
const FLASH_END: u8 = 0x04;
const MEM_BEGIN: u8 = 0x05;
const MEM_END: u8 = 0x06;
const MEM_DATA: u8 = 0x07;
const SYNC: u8 = 0x08;
const WRITE_REG: u8 = 0x09;
const READ_REG: u8 = 0x0a;
const SPI_SET_PARAMS: u8 = 0x0b;
const SPI_ATTACH: u8 = 0x0d;
const READ_FLASH_SLOW: u8 = 0x0e;
const CHANGE_BAUD: u8 = 0x0f;
const DEFLATE_BEGIN: u8 = 0x10;
const DEFLATE_DATA: u8 = 0x11;
const DEFLATE_END: u8 = 0x12;
const FLASH_MD5: u8 = 0x13;
const SECURITY_INFO: u8 = 0x14;
const ERASE_FLASH: u8 = 0xd0;
const ERASE_REGION: u8 = 0xd1;
const READ_FLASH: u8 = 0xd2;

/// Error codes of the loaders: invalid message, wrong checksum, failed flash operation.
const INVALID: u8 = 0x05;
const BAD_CHECKSUM: u8 = 0x07;
const FLASH_FAILED: u8 = 0x08;

/// The receiver of bytes on the line.
enum Listener {
    Rom,
    Stub,
    /// The program in flash, which ignores them.
    App(Option<App>),
    /// Nothing.
    Dead,
}

struct Loader<'a> {
    line: Line,
    modem: Modem,
    state: &'a Mutex<State>,
    kind: Kind,
    registers: Registers,
    listener: Listener,
    /// The baud rate of the loader's UART.
    baud: u32,
    writing: Option<Writing>,
}

/// A write in progress.
struct Writing {
    offset: usize,
    /// End of the data. The padding of the last block is not written.
    end: usize,
    block_size: usize,
    inflater: Option<Decompress>,
    /// Bytes written so far, for a compressed write.
    done: usize,
    /// End of the erased range.
    erased_to: usize,
}

/// Runs the board until `stop`.
pub(crate) fn run(line: Line, modem: Modem, state: &Mutex<State>, stop: &AtomicBool) {
    let kind = state.lock().unwrap().kind.clone();
    let mut loader = Loader {
        line,
        modem,
        state,
        registers: Registers::of(&kind),
        kind,
        listener: Listener::Rom,
        baud: 115_200,
        writing: None,
    };
    if loader.kind.wiring != Wiring::None {
        loader.boot();
    }
    let mut decoder = slip::Decoder::default();
    while !stop.load(Ordering::Acquire) {
        loader.poll_buttons();
        loader.poll_modem_lines();
        loader.forward_output();
        let bytes = loader.line.read();
        let is_audible = loader.count(&bytes);
        for byte in bytes {
            if let Some(frame) = decoder.push(byte)
                && is_audible
            {
                loader.receive(&frame);
            }
        }
    }
}

impl Loader<'_> {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn poll_buttons(&mut self) {
        let pressed = std::mem::take(&mut self.state().press);
        if pressed {
            self.start_loader();
        }
    }

    fn start_loader(&mut self) {
        let kind = self.state().kind.clone();
        self.kind = kind;
        self.registers = Registers::of(&self.kind);
        self.listener = Listener::Rom;
        self.baud = 115_200;
        self.writing = None;
    }

    fn poll_modem_lines(&mut self) {
        let mut started = None;
        let state = self.state;
        self.modem.poll(|lines, start| {
            let mut state = state.lock().unwrap();
            state.lines.push(lines);
            state.starts.extend(start);
            started = start.or(started);
        });
        match started {
            Some(Start::Loader) => {
                self.start_loader();
                self.line.write(
                    b"ESP-ROM:esp32c3-api1-20210207\r\nrst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))\r\nwaiting for download\r\n",
                );
            }
            Some(Start::Program) => self.boot(),
            None => {}
        }
    }

    /// Forwards the program's output.
    fn forward_output(&mut self) {
        if let Listener::App(Some(app)) = &mut self.listener {
            let output = app.take_output();
            self.line.write(&output);
        }
    }

    /// Counts received bytes. Returns whether both ends use the same baud rate.
    fn count(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let baud = self.line.baud();
        let mut state = self.state();
        state.received += bytes.len() as u64;
        state.wire_ns += bytes.len() as u64 * 10_000_000_000 / u64::from(baud.max(1));
        drop(state);
        let deaf = self.kind.fault == Fault::DeafWhenFast && baud > 115_200;
        !deaf && baud == self.baud && matches!(self.listener, Listener::Rom | Listener::Stub)
    }

    fn receive(&mut self, frame: &[u8]) {
        match self.kind.fault {
            Fault::Silent => return,
            Fault::Garbage => {
                self.line
                    .write(b"\xc0\x01\x77\x00\xc0ets Jul 29\r\n\xfe\xc0\xc0\x55");
                return;
            }
            _ => {}
        }
        let Some((&[0, command, ..], data)) = frame.split_first_chunk::<8>() else {
            return;
        };
        let checksum = frame[4];
        self.state().commands.push(command);
        if let Some(answer) = self.execute(command, checksum, data) {
            self.answer(command, &answer);
        }
        self.after(command, data);
    }

    /// Executes a command; `None` if the reply was already sent, or is never sent.
    fn execute(&mut self, command: u8, checksum: u8, data: &[u8]) -> Option<Answer> {
        let word = |at: usize| {
            let bytes = data.get(at * 4..at * 4 + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().unwrap()))
        };
        let stub = matches!(self.listener, Listener::Stub);
        Some(match command {
            SYNC => {
                // The ROM returns its version, the stub a number that identifies it.
                let value = if stub { 0 } else { 0x2012_0707 };
                for _ in 0..7 {
                    self.answer(SYNC, &Answer::value(value));
                }
                Answer::value(value)
            }
            READ_REG => Answer::value(self.registers.read(word(0)?)),
            WRITE_REG => {
                if self.registers.write(word(0)?, word(1)?, word(2)?) {
                    self.answer(command, &Answer::done());
                    self.boot();
                    return None;
                }
                Answer::done()
            }
            SECURITY_INFO if Model::of(self.kind.chip_id).security_info == 0 => {
                Answer::error(INVALID)
            }
            SECURITY_INFO => {
                let mut info = self.kind.security_flags.to_le_bytes().to_vec();
                info.push(self.kind.crypt_count);
                info.extend([0; 7]);
                info.extend(self.kind.chip_id.to_le_bytes());
                info.extend(0_u32.to_le_bytes());
                info.truncate(Model::of(self.kind.chip_id).security_info);
                Answer::data(info)
            }
            MEM_BEGIN if self.kind.fault == Fault::RefusesStub || stub => Answer::error(INVALID),
            MEM_DATA => match payload(data, checksum) {
                Some(_) => Answer::done(),
                None => Answer::error(BAD_CHECKSUM),
            },
            CHANGE_BAUD if self.kind.fault == Fault::RefusesBaud => Answer::error(INVALID),
            SPI_ATTACH | SPI_SET_PARAMS | MEM_BEGIN | MEM_END | FLASH_END | DEFLATE_END
            | CHANGE_BAUD => Answer::done(),
            FLASH_BEGIN => self.begin(word(0)?, word(2)?, word(3)?, None),
            DEFLATE_BEGIN if stub => {
                self.begin(word(0)?, word(2)?, word(3)?, Some(Decompress::new(true)))
            }
            FLASH_DATA | DEFLATE_DATA => match payload(data, checksum) {
                Some(block) => return self.block(word(1)?, block),
                None => Answer::error(BAD_CHECKSUM),
            },
            FLASH_MD5 => match self.state().flash.read(word(0)?, word(1)?) {
                None => Answer::error(INVALID),
                Some(bytes) => {
                    let digest = Md5::digest(bytes);
                    if stub {
                        Answer::data(digest.to_vec())
                    } else {
                        let hex = u128::from_be_bytes(digest.into());
                        Answer::data(format!("{hex:032x}").into_bytes())
                    }
                }
            },
            READ_FLASH_SLOW if !stub => match self.state().flash.read(word(0)?, word(1)?.min(64)) {
                None => Answer::error(INVALID),
                Some(bytes) => {
                    let mut block = bytes.to_vec();
                    block.resize(64, 0);
                    Answer::data(block)
                }
            },
            READ_FLASH if stub => {
                self.answer(command, &Answer::done());
                self.stream(word(0)?, word(1)?, word(2)?);
                return None;
            }
            ERASE_FLASH if stub => {
                let mut state = self.state();
                let size = state.flash.bytes().len();
                state.flash.erase(0, size);
                Answer::done()
            }
            ERASE_REGION if stub => {
                let erased = self
                    .state()
                    .flash
                    .erase(word(0)? as usize, word(1)? as usize);
                Answer::done_if(erased)
            }
            _ => Answer::error(INVALID),
        })
    }

    /// Performs the action after the reply to a command.
    fn after(&mut self, command: u8, data: &[u8]) {
        let word = |at: usize| {
            data.get(at * 4..at * 4 + 4)
                .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
        };
        match (command, &self.listener) {
            (MEM_END, Listener::Rom) if word(0) == Some(0) => {
                if self.kind.fault == Fault::StubDies {
                    self.listener = Listener::Dead;
                } else {
                    self.listener = Listener::Stub;
                    self.line.write(&slip::encode(b"OHAI"));
                }
            }
            (CHANGE_BAUD, _) if self.kind.fault != Fault::RefusesBaud => {
                self.baud = word(0).unwrap_or_default();
            }
            // On a reboot command the ROM starts the program. The stub's reset keeps the sampled
            // boot pins, and so returns to the ROM's loader.
            (FLASH_END, Listener::Rom) if word(0) == Some(0) => self.boot(),
            (FLASH_END | DEFLATE_END, Listener::Stub) if word(0) == Some(0) => {
                self.listener = Listener::Rom;
                self.baud = 115_200;
            }
            _ => {}
        }
    }

    fn begin(
        &mut self,
        size: u32,
        block_size: u32,
        offset: u32,
        inflater: Option<Decompress>,
    ) -> Answer {
        let (offset, size) = (offset as usize, size as usize);
        if offset + size > self.state().flash.bytes().len() {
            return Answer::error(INVALID);
        }
        // The ROM erases at once, the stub as it writes.
        let mut erased_to = offset;
        if !matches!(self.listener, Listener::Stub) {
            self.state().flash.erase(offset, size);
            erased_to = (offset + size).next_multiple_of(SECTOR);
        }
        self.writing = Some(Writing {
            offset,
            end: offset + size,
            block_size: block_size as usize,
            inflater,
            done: 0,
            erased_to,
        });
        Answer::done()
    }

    fn block(&mut self, sequence: u32, block: &[u8]) -> Option<Answer> {
        let blocks = {
            let mut state = self.state();
            state.blocks += 1;
            state.blocks
        };
        match self.kind.fault {
            Fault::DiesAfter(limit) if blocks > limit => {
                self.listener = Listener::Dead;
                return None;
            }
            Fault::UnpluggedAfter(limit) if blocks > limit => {
                self.line.unplug();
                return None;
            }
            _ => {}
        }
        let Some(mut writing) = self.writing.take() else {
            return Some(Answer::error(INVALID));
        };
        let (at, bytes) = match &mut writing.inflater {
            None => (
                writing.offset + sequence as usize * writing.block_size,
                block.to_vec(),
            ),
            Some(inflater) => {
                let Some(bytes) = inflate(inflater, block) else {
                    return Some(Answer::error(FLASH_FAILED));
                };
                let at = writing.offset + writing.done;
                writing.done += bytes.len();
                (at, bytes)
            }
        };
        let bad_cell = match self.kind.fault {
            Fault::BadCell(address) => Some(address),
            _ => None,
        };
        let mut written = true;
        {
            let mut state = self.state();
            let end = (at + bytes.len()).min(writing.end);
            let bytes = &bytes[..end.saturating_sub(at)];
            if end > writing.erased_to {
                written &= state
                    .flash
                    .erase(writing.erased_to, end - writing.erased_to);
                writing.erased_to = end.next_multiple_of(SECTOR);
            }
            written &= state.flash.write(at, bytes, bad_cell);
        }
        self.writing = Some(writing);
        Some(Answer::done_if(written))
    }

    /// The stub's fast read: frames, each acknowledged, and a digest of all of it.
    fn stream(&mut self, offset: u32, length: u32, block_size: u32) {
        let bytes = {
            let state = self.state();
            state.flash.read(offset, length).map(<[u8]>::to_vec)
        };
        let bytes = bytes.unwrap_or_default();
        for block in bytes.chunks(block_size.max(1) as usize) {
            self.send(&slip::encode(block));
            // Each frame is acknowledged with the number of bytes so far. The next one is sent
            // after that.
            let mut decoder = slip::Decoder::default();
            let mut patience = 200;
            'acknowledged: while patience > 0 {
                patience -= 1;
                let bytes = self.line.read();
                self.count(&bytes);
                for byte in bytes {
                    if decoder.push(byte).is_some() {
                        break 'acknowledged;
                    }
                }
            }
        }
        self.send(&slip::encode(&Md5::digest(&bytes)));
    }

    fn answer(&mut self, command: u8, answer: &Answer) {
        let tail = match (&self.listener, answer.error) {
            (Listener::Stub, None) => vec![0, 0],
            (Listener::Stub, Some(error)) => vec![1, error],
            (_, None) => vec![0, 0, 0, 0],
            (_, Some(error)) => vec![1, error, 0, 0],
        };
        let length = u16::try_from(answer.data.len() + tail.len()).unwrap();
        let mut frame = vec![1, command];
        frame.extend(length.to_le_bytes());
        frame.extend(answer.value.to_le_bytes());
        frame.extend(&answer.data);
        frame.extend(tail);
        let loses_byte = match self.kind.fault {
            Fault::LosesByte => answer.data.len() > 1 || command == READ_REG,
            Fault::LosesRegisterByte => command == READ_REG,
            _ => false,
        };
        if loses_byte {
            frame.remove(9);
        }
        self.send(&slip::encode(&frame));
    }

    fn send(&mut self, bytes: &[u8]) {
        {
            let baud = u64::from(self.baud.max(1));
            let mut state = self.state();
            state.sent += bytes.len() as u64;
            state.wire_ns += bytes.len() as u64 * 10_000_000_000 / baud;
        }
        if self.kind.fault == Fault::DeafWhenFast && self.baud > 115_200 {
            return;
        }
        if self.kind.fault == Fault::NoisyWhenFast && self.baud > 115_200 {
            let noise: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x5a).collect();
            self.line.write(&noise);
        } else {
            self.line.write(bytes);
        }
    }

    fn boot(&mut self) {
        self.baud = 115_200;
        let flash = self.state().flash.bytes().to_vec();
        self.listener = Listener::App(boot::boot(&self.kind, &flash));
    }
}

/// An answer of a loader.
struct Answer {
    value: u32,
    data: Vec<u8>,
    error: Option<u8>,
}

impl Answer {
    fn value(value: u32) -> Self {
        Self {
            value,
            data: Vec::new(),
            error: None,
        }
    }

    fn done() -> Self {
        Self::value(0)
    }

    fn done_if(done: bool) -> Self {
        if done {
            Self::done()
        } else {
            Self::error(FLASH_FAILED)
        }
    }

    fn data(data: Vec<u8>) -> Self {
        Self {
            data,
            ..Self::done()
        }
    }

    fn error(code: u8) -> Self {
        Self {
            error: Some(code),
            ..Self::done()
        }
    }
}

/// The data of a block, if its checksum matches.
fn payload(data: &[u8], checksum: u8) -> Option<&[u8]> {
    let block = data.get(16..)?;
    let length = u32::from_le_bytes(data.get(..4)?.try_into().unwrap()) as usize;
    let sum = block.iter().fold(0xef, |sum, byte| sum ^ byte);
    (length == block.len() && sum == checksum).then_some(block)
}

fn inflate(inflater: &mut Decompress, block: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut rest = block;
    loop {
        let mut out = vec![0; 65_536];
        let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
        let status = inflater
            .decompress(rest, &mut out, FlushDecompress::None)
            .ok()?;
        let read = usize::try_from(inflater.total_in() - before_in).unwrap();
        let made = usize::try_from(inflater.total_out() - before_out).unwrap();
        all.extend(&out[..made]);
        rest = &rest[read..];
        if status == Status::StreamEnd || (rest.is_empty() && made < out.len()) {
            return Some(all);
        }
    }
}
