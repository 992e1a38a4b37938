//! Reads flash with the stub or the ROM loader. espflash's own ROM read is wrong beyond 128 bytes.

use espflash::command::{Command, CommandType};
use espflash::connection::Connection;
use espflash::flasher::Flasher;
use md5::{Digest, Md5};

/// Reads with the stub: acknowledged blocks, then a digest.
pub(super) fn read_by_stub(
    flasher: &mut Flasher,
    offset: u32,
    length: u32,
) -> Result<Vec<u8>, espflash::Error> {
    const BLOCK: u32 = 0x1000;
    let connection = flasher.connection();
    connection.with_timeout(CommandType::ReadFlash.timeout(), |connection| {
        connection.command(Command::ReadFlash {
            offset,
            size: length,
            block_size: BLOCK,
            max_in_flight: 64,
        })?;
        let mut data = Vec::new();
        let next = |connection: &mut Connection| -> Result<Vec<u8>, espflash::Error> {
            let response = connection.read_flash_response()?;
            let response = response.ok_or(espflash::Error::IncorrectResponse)?;
            response.value.try_into()
        };
        while data.len() < length as usize {
            data.extend(next(connection)?);
            connection.write_raw(u32::try_from(data.len()).unwrap_or(u32::MAX))?;
        }
        let digest = next(connection)?;
        let own = Md5::digest(&data);
        if digest[..] != own[..] {
            return Err(espflash::Error::DigestMismatch(digest, own.to_vec()));
        }
        Ok(data)
    })
}

/// Reads with the ROM loader: 64 bytes per command.
pub(super) fn read_by_rom(
    flasher: &mut Flasher,
    offset: u32,
    length: u32,
) -> Result<Vec<u8>, espflash::Error> {
    const BLOCK: u32 = 64;
    let connection = flasher.connection();
    let mut data = Vec::new();
    let mut at = 0;
    while at < length {
        let size = BLOCK.min(length - at);
        let command = Command::ReadFlashSlow {
            offset: offset + at,
            size,
            block_size: BLOCK,
            max_in_flight: 1,
        };
        let response = connection
            .with_timeout(CommandType::ReadFlashSlow.timeout(), |c| c.command(command))?;
        let block: Vec<u8> = response.try_into()?;
        let block = block
            .get(..size as usize)
            .ok_or(espflash::Error::IncorrectResponse)?;
        data.extend_from_slice(block);
        at += size;
    }
    Ok(data)
}
