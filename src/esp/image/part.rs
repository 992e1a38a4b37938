//! Parts of a flash image.

/// Bytes at a flash offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name in messages.
    pub name: &'static str,
    /// Offset in flash.
    pub offset: u32,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Part {
    /// A part, padded to whole words as loaders require.
    pub fn new(name: &'static str, offset: u32, mut data: Vec<u8>) -> Self {
        data.resize(data.len().next_multiple_of(4), 0xff);
        Self { name, offset, data }
    }

    /// Length in bytes.
    pub fn len(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The offset after its last byte.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + self.data.len() as u64
    }
}

/// Merges parts into one image that starts at offset 0.
pub fn merge<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<u8> {
    let mut merged = Vec::new();
    for part in parts {
        let start = part.offset as usize;
        let end = start + part.data.len();
        if merged.len() < end {
            merged.resize(end, 0xff);
        }
        merged[start..end].copy_from_slice(&part.data);
    }
    merged
}
