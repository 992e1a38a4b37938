//! DNS messages: writes queries and parses responses.
//!
//! Anyone on the network may send anything: parsing stops at the first record that is malformed and
//! keeps those before it. Compression pointers are only followed backwards, so a loop of them ends.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::name::Label;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, ToName, Ttl};
use domain::rdata::{A, Aaaa, Ptr, Srv, Txt};

/// Maximum mDNS message, in bytes (RFC 6762 §17).
pub const MAX_MESSAGE: usize = 9000;
/// Maximum records to read from one message.
const MAX_RECORDS: usize = 256;
/// Maximum pairs to read from a TXT record; a board has five.
pub(super) const MAX_TEXT_PAIRS: usize = 16;
/// The cache-flush bit of a record's class (RFC 6762 §10.2).
const CACHE_FLUSH: u16 = 0x8000;

type Parsed<'p> = ParsedName<&'p [u8]>;

/// A domain name, compared without regard to ASCII case.
#[derive(Clone)]
pub struct DnsName(Name<Vec<u8>>);

impl DnsName {
    /// A name with these labels, without the root.
    pub fn new<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Option<Self> {
        let mut bytes = Vec::new();
        for label in labels {
            let length = u8::try_from(label.len())
                .ok()
                .filter(|l| (1..=63).contains(l))?;
            bytes.push(length);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        Name::from_octets(bytes).ok().map(Self)
    }

    /// Parses labels that are separated by dots.
    pub fn of_text(text: &str) -> Option<Self> {
        Self::new(text.trim_end_matches('.').split('.').map(str::as_bytes))
    }

    /// This name with a label before it.
    pub fn child(&self, label: &[u8]) -> Option<Self> {
        let labels = self.0.iter().filter(|label| !label.is_root());
        Self::new(std::iter::once(label).chain(labels.map(Label::as_slice)))
    }

    fn parsed(name: &impl ToName) -> Self {
        Self(name.to_name())
    }

    /// The first label as text: for a service instance, the name that users see.
    pub fn first(&self) -> String {
        let first = self
            .0
            .iter()
            .next()
            .map(Label::as_slice)
            .unwrap_or_default();
        String::from_utf8_lossy(first).into_owned()
    }

    /// Whether the name is `parent` with one label before it.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.0.ends_with(&parent.0) && self.0.label_count() == parent.0.label_count() + 1
    }
}

impl PartialEq for DnsName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name_eq(&other.0)
    }
}

impl Eq for DnsName {}

impl Hash for DnsName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Without the final dot. Escape it before a terminal sees it.
impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.0.iter().filter(|label| !label.is_root()).enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{}", String::from_utf8_lossy(label.as_slice()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// A record of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The owner name.
    pub owner: DnsName,
    /// Whether the record is withdrawn (TTL 0, RFC 6762 §10.1).
    pub is_goodbye: bool,
    /// The record's data.
    pub data: Data,
}

/// The data of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// PTR: the name of an instance.
    Instance(DnsName),
    /// SRV: location of an instance.
    Service {
        /// The host name.
        host: DnsName,
        /// The port.
        port: u16,
    },
    /// TXT: keys in lower case, and values.
    Text(Vec<(String, String)>),
    /// A or AAAA: an address of the host.
    Address(IpAddr),
}

/// The type of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// PTR: the instances of a service type.
    Instances,
    /// ANY: all records of an instance.
    Everything,
    /// A: the IPv4 addresses of a host.
    V4,
    /// AAAA: the IPv6 addresses of a host.
    V6,
}

/// A query with one question and a random ID: python-zeroconf drops a query that repeats the ID of
/// one in the last second.
pub fn query(name: &DnsName, question: Question) -> Option<Vec<u8>> {
    let rtype = match question {
        Question::Instances => Rtype::PTR,
        Question::Everything => Rtype::ANY,
        Question::V4 => Rtype::A,
        Question::V6 => Rtype::AAAA,
    };
    let mut builder = MessageBuilder::new_vec();
    let [high, low, ..] = getrandom::u32().unwrap_or_default().to_ne_bytes();
    builder.header_mut().set_id(u16::from_ne_bytes([high, low]));
    let mut builder = builder.question();
    builder.push((&name.0, rtype, Class::IN)).ok()?;
    Some(builder.finish())
}

/// The records of a response; none for a query or a malformed message.
pub fn answers(packet: &[u8]) -> Vec<Answer> {
    let mut found = Vec::new();
    if packet.len() > MAX_MESSAGE {
        return found;
    }
    let Ok(message) = Message::from_octets(packet) else {
        return found;
    };
    let header = message.header();
    if !header.qr() || header.opcode() != Opcode::QUERY || header.rcode() != Rcode::NOERROR {
        return found;
    }
    for record in message.iter().take(MAX_RECORDS) {
        let Ok((record, _)) = record else {
            break;
        };
        if record.class().to_int() & !CACHE_FLUSH != Class::IN.to_int() {
            continue;
        }
        let data = match record.rtype() {
            Rtype::PTR => record
                .to_record::<Ptr<Parsed<'_>>>()
                .ok()
                .flatten()
                .map(|it| Data::Instance(DnsName::parsed(it.data().ptrdname()))),
            Rtype::SRV => record
                .to_record::<Srv<Parsed<'_>>>()
                .ok()
                .flatten()
                .map(|it| Data::Service {
                    host: DnsName::parsed(it.data().target()),
                    port: it.data().port(),
                }),
            Rtype::TXT => record
                .to_record::<Txt<&[u8]>>()
                .ok()
                .flatten()
                .map(|it| Data::Text(pairs(it.data()))),
            Rtype::A => record
                .to_record::<A>()
                .ok()
                .flatten()
                .map(|it| Data::Address(it.data().addr().into())),
            Rtype::AAAA => record
                .to_record::<Aaaa>()
                .ok()
                .flatten()
                .map(|it| Data::Address(it.data().addr().into())),
            _ => None,
        };
        if let Some(data) = data {
            found.push(Answer {
                owner: DnsName::parsed(&record.owner()),
                is_goodbye: record.ttl() == Ttl::ZERO,
                data,
            });
        }
    }
    found
}

/// The pairs of a TXT record. Of equal keys the first one counts (RFC 6763 §6.4).
fn pairs(text: &Txt<&[u8]>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for string in text.iter().take(MAX_TEXT_PAIRS) {
        let string = String::from_utf8_lossy(string);
        let Some((key, value)) = string.split_once('=') else {
            continue;
        };
        let key = key.to_ascii_lowercase();
        if !pairs.iter().any(|(known, _)| *known == key) {
            pairs.push((key, value.to_owned()));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::of_text(text).unwrap()
    }

    /// A response with one record whose data is given as it is on the wire.
    fn response(owner: &[u8], rtype: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut packet = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        packet.extend_from_slice(owner);
        packet.extend_from_slice(&rtype.to_be_bytes());
        packet.extend_from_slice(&[0x80, 1]);
        packet.extend_from_slice(&ttl.to_be_bytes());
        packet.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        packet.extend_from_slice(data);
        packet
    }

    #[test]
    fn names_compare_without_case_and_know_their_parts() {
        let ty = name("_tcpctl._tcp.local");
        let board = name("Board._TCPCTL._tcp.local.");
        assert_eq!(board, name("board._tcpctl._tcp.LOCAL"));
        assert!(board.is_child_of(&ty));
        assert_eq!(ty.child(b"Board"), Some(board.clone()));
        assert!(!ty.is_child_of(&ty));
        assert!(!name("a.b._tcpctl._tcp.local").is_child_of(&ty));
        assert_eq!(board.first(), "Board");
        assert_eq!(board.to_string(), "Board._TCPCTL._tcp.local");
        assert!(DnsName::of_text("a..b").is_none());
        assert!(DnsName::of_text(&"x".repeat(64)).is_none());
        assert!(DnsName::of_text(&"x.".repeat(200)).is_none());
    }

    #[test]
    fn a_query_has_one_question_and_an_id_of_its_own() {
        let ty = name("_tcpctl._tcp.local");
        let packets: Vec<_> = (0..8)
            .map(|_| query(&ty, Question::Instances).unwrap())
            .collect();
        let message = Message::from_octets(&packets[0][..]).unwrap();
        assert_eq!(message.sole_question().unwrap().qtype(), Rtype::PTR);
        assert!(packets.iter().any(|packet| packet[..2] != packets[0][..2]));
        assert!(answers(&packets[0]).is_empty(), "a query answers nothing");
    }

    #[test]
    fn goodbyes_and_escape_sequences_are_kept_as_sent() {
        let evil = b"\x08\x1b[2J\x07hey";
        let owner = [&evil[..], b"\x05local\x00"].concat();
        let found = answers(&response(&owner, 1, 0, &[10, 0, 0, 7]));
        let [answer] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(answer.is_goodbye);
        assert_eq!(answer.data, Data::Address("10.0.0.7".parse().unwrap()));
        assert_eq!(answer.owner.first(), "\u{1b}[2J\u{7}hey");
    }

    #[test]
    fn pointer_loops_end() {
        // At itself, at its second byte, past the end.
        for pointer in [[0xc0, 12], [0xc0, 13], [0xff, 0xff]] {
            assert!(answers(&response(&pointer, 1, 120, &[10, 0, 0, 7])).is_empty());
        }
    }

    #[test]
    fn an_oversized_message_is_ignored() {
        let packet = response(b"\x01a\x00", 16, 120, &vec![0; 64_000]);
        assert!(answers(&packet).is_empty());
        let many = [b"\x03k=v".repeat(1000), b"\x04zz=1".to_vec()].concat();
        let found = answers(&response(b"\x01a\x00", 16, 120, &many));
        let expected = Data::Text(vec![("k".into(), "v".into())]);
        assert_eq!(found[0].data, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut packet = bytes;
            if packet.len() > 3 {
                packet[2] = 0x84;
                packet[3] = 0;
            }
            prop_assert!(answers(&packet).len() <= MAX_RECORDS);
        }
    }
}
