//! Bytes and their place in flash.

/// Bytes and their place in flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Where it goes.
    pub offset: u32,
    /// What goes there.
    pub data: Vec<u8>,
}

impl Part {
    /// A part, filled up to whole words as the loaders want them.
    pub fn new(name: &'static str, offset: u32, mut data: Vec<u8>) -> Self {
        data.resize(data.len().next_multiple_of(4), 0xff);
        Self { name, offset, data }
    }

    /// Its length.
    pub fn len(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The first byte beyond it.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + self.data.len() as u64
    }
}

/// All parts as one image of the flash from its first byte on.
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
