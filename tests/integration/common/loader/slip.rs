//! SLIP (RFC 1055), the framing of the loaders.

const END: u8 = 0xc0;
const ESC: u8 = 0xdb;
const ESC_END: u8 = 0xdc;
const ESC_ESC: u8 = 0xdd;

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    frame: Vec<u8>,
    inside: bool,
    escaped: bool,
}

impl Decoder {
    /// Returns the frame that this byte completes.
    pub(crate) fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        match (byte, self.inside) {
            (END, true) if !self.frame.is_empty() => {
                self.inside = false;
                return Some(std::mem::take(&mut self.frame));
            }
            (END, _) => self.inside = true,
            (_, false) => {}
            (ESC, true) => self.escaped = true,
            (byte, true) => {
                let plain = match (byte, self.escaped) {
                    (ESC_END, true) => END,
                    (ESC_ESC, true) => ESC,
                    (byte, _) => byte,
                };
                self.escaped = false;
                self.frame.push(plain);
            }
        }
        None
    }
}

pub(crate) fn encode(frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![END];
    for byte in frame {
        match *byte {
            END => bytes.extend([ESC, ESC_END]),
            ESC => bytes.extend([ESC, ESC_ESC]),
            byte => bytes.push(byte),
        }
    }
    bytes.push(END);
    bytes
}
