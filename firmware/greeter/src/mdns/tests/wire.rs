//! DNS messages for tests, built independently of the tested code.

use core::net::SocketAddrV4;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use edge_mdns::domain::base::rdata::UnknownRecordData;
use edge_mdns::domain::base::{Message, message::Section};

/// A message that a board sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) to: SocketAddrV4,
    pub(super) id: u16,
    pub(super) flags: u16,
    pub(super) len: usize,
    pub(super) questions: Vec<(String, u16, u16)>,
    pub(super) answers: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) owner: String,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: Vec<u8>,
}

impl Sent {
    /// Names and types of the answers, in order.
    pub(super) fn answered(&self) -> Vec<(&str, u16)> {
        self.answers
            .iter()
            .map(|record| (&*record.owner, record.rtype))
            .collect()
    }

    pub(super) fn added(&self) -> Vec<(&str, u16)> {
        self.additional
            .iter()
            .map(|record| (&*record.owner, record.rtype))
            .collect()
    }

    pub(super) fn answer(&self, rtype: u16) -> &Record {
        self.answers
            .iter()
            .find(|record| record.rtype == rtype)
            .expect("no answer of that type")
    }
}

pub(super) fn parse(packet: &[u8], to: SocketAddrV4) -> Sent {
    assert!(packet.len() <= 1472);
    let message = Message::from_octets(packet).unwrap();
    let question = |question: Result<edge_mdns::domain::base::Question<_>, _>| {
        let question: edge_mdns::domain::base::Question<
            edge_mdns::domain::base::ParsedName<&[u8]>,
        > = question.unwrap();
        (
            question.qname().to_string(),
            question.qtype().to_int(),
            question.qclass().to_int(),
        )
    };
    let section = |wanted: Section| {
        let records = message
            .iter()
            .map(Result::unwrap)
            .filter(|(_, section)| *section == wanted);
        records
            .map(|(record, _)| Record {
                owner: record.owner().to_string(),
                rtype: record.rtype().to_int(),
                class: record.class().to_int(),
                ttl: record.ttl().as_secs(),
                data: {
                    let record = record.to_record::<UnknownRecordData<&[u8]>>();
                    record.unwrap().unwrap().data().data().to_vec()
                },
            })
            .collect()
    };
    Sent {
        to,
        id: message.header().id(),
        flags: u16::from_be_bytes([packet[2], packet[3]]),
        len: packet.len(),
        questions: message.question().map(question).collect(),
        answers: section(Section::Answer),
        authority: section(Section::Authority),
        additional: section(Section::Additional),
    }
}

/// A message that a peer sends.
#[derive(Clone, Default)]
pub(super) struct Peer {
    header: [u16; 6],
    body: Vec<u8>,
}

impl Peer {
    pub(super) fn query() -> Self {
        Self::default()
    }

    pub(super) fn response() -> Self {
        let mut message = Self::default();
        message.header[1] = 0x8400;
        message
    }

    pub(super) fn id(mut self, id: u16) -> Self {
        self.header[0] = id;
        self
    }

    pub(super) fn truncated(mut self) -> Self {
        self.header[1] |= 0x0200;
        self
    }

    pub(super) fn asks(mut self, owner: &str, rtype: u16) -> Self {
        self.header[2] += 1;
        self.body.extend(name(owner));
        self.words(&[rtype, 1])
    }

    pub(super) fn asks_unicast(mut self, owner: &str, rtype: u16) -> Self {
        self.header[2] += 1;
        self.body.extend(name(owner));
        self.words(&[rtype, 0x8001])
    }

    /// An answer; in a query, a known one.
    pub(super) fn answers(mut self, owner: &str, rtype: u16, ttl: u16, data: &[u8]) -> Self {
        self.header[3] += 1;
        self.record(owner, rtype, ttl, data)
    }

    pub(super) fn proposes(mut self, owner: &str, rtype: u16, data: &[u8]) -> Self {
        self.header[4] += 1;
        self.record(owner, rtype, 120, data)
    }

    fn record(mut self, owner: &str, rtype: u16, ttl: u16, data: &[u8]) -> Self {
        self.body.extend(name(owner));
        let len = u16::try_from(data.len()).unwrap();
        let mut message = self.words(&[rtype, 1, 0, ttl, len]);
        message.body.extend(data);
        message
    }

    fn words(mut self, words: &[u16]) -> Self {
        self.body
            .extend(words.iter().flat_map(|word| word.to_be_bytes()));
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .header
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        bytes.extend(&self.body);
        bytes
    }
}

/// A name, uncompressed.
pub(super) fn name(dotted: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in dotted.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// SRV data.
pub(super) fn srv(port: u16, target: &str) -> Vec<u8> {
    let mut data = std::vec![0; 4];
    data.extend(port.to_be_bytes());
    data.extend(name(target));
    data
}

/// TXT data.
pub(super) fn txt(strings: &[&str]) -> Vec<u8> {
    let one = |string: &&str| {
        let len = char::from(u8::try_from(string.len()).unwrap());
        format!("{len}{string}").into_bytes()
    };
    strings.iter().flat_map(one).collect()
}
