//! DNS messages as a querier needs them: questions written, answers read.
//!
//! Whoever is on the network may send anything: what does not parse ends the message there, and
//! what came before it counts. The parser follows compression pointers backwards only, so a loop of
//! them ends.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::name::Label;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, ToName, Ttl};
use domain::rdata::{A, Aaaa, Ptr, Srv, Txt};

/// No mDNS message is longer, in bytes (RFC 6762 §17).
pub const MAX_MESSAGE: usize = 9000;
/// Records that are looked at in one message; a short one has a few.
const MAX_RECORDS: usize = 256;
/// The longest query, bytes: with the headers of IPv6 and UDP it fits into an Ethernet frame.
const MAX_QUERY: usize = 1400;
/// In a record's class: the whole of what was known before is to be forgotten (RFC 6762 §10.2).
const TOP_BIT: u16 = 0x8000;

type Parsed<'p> = ParsedName<&'p [u8]>;

/// A domain name; the case of ASCII letters makes no difference.
#[derive(Clone)]
pub struct DnsName(Name<Vec<u8>>);

impl DnsName {
    /// The name of these labels, without the root.
    pub fn new<'l>(labels: impl IntoIterator<Item = &'l [u8]>) -> Option<Self> {
        let mut bytes = Vec::new();
        for label in labels {
            // An empty label would be the root.
            let length = u8::try_from(label.len())
                .ok()
                .filter(|l| (1..=63).contains(l))?;
            bytes.push(length);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        Name::from_octets(bytes).ok().map(Self)
    }

    /// The name of a text whose labels are separated by dots.
    pub fn of_text(text: &str) -> Option<Self> {
        Self::new(text.trim_end_matches('.').split('.').map(str::as_bytes))
    }

    fn parsed(name: &impl ToName) -> Self {
        Self(name.to_name())
    }

    /// The first label as text: of a service instance, what people call it.
    pub fn first(&self) -> String {
        let first = self
            .0
            .iter()
            .next()
            .map(Label::as_slice)
            .unwrap_or_default();
        String::from_utf8_lossy(first).into_owned()
    }

    /// Whether the name ends in all labels of `other`, and has `more` labels before them.
    pub fn is_under(&self, other: &Self, more: usize) -> bool {
        self.0.ends_with(&other.0) && self.0.label_count() == other.0.label_count() + more
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

/// Without the dot of the root. Not to be shown without escaping.
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

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whose record it is.
    pub owner: DnsName,
    /// Whether its owner takes it back (TTL 0, RFC 6762 §10.1).
    pub goodbye: bool,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// There is an instance of this name.
    Instance(DnsName),
    /// The service is there.
    Service {
        /// The host's name.
        host: DnsName,
        /// The port.
        port: u16,
    },
    /// What the service says of itself: keys in lower case, values as text.
    Text(Vec<(String, String)>),
    /// The host has this address.
    Address(IpAddr),
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The instances of a service type.
    Instances,
    /// Everything about an instance.
    Everything,
    /// A host's IPv4 addresses.
    V4,
    /// A host's IPv6 addresses.
    V6,
}

impl Ask {
    const fn rtype(self) -> Rtype {
        match self {
            Self::Instances => Rtype::PTR,
            Self::Everything => Rtype::ANY,
            Self::V4 => Rtype::A,
            Self::V6 => Rtype::AAAA,
        }
    }
}

/// A query for one thing. `known` are the instances that need no answer (RFC 6762 §7.1): those that
/// fit into one frame are named.
pub fn query<'n>(
    name: &DnsName,
    ask: Ask,
    known: impl IntoIterator<Item = &'n DnsName>,
) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((&name.0, ask.rtype(), Class::IN)).ok()?;
    let mut answers = builder.answer();
    for instance in known {
        // Half of what greeter gives them: nobody takes it for older (75 minutes, RFC 6762 §10).
        let data = Ptr::new(&instance.0);
        let record = (&name.0, Class::IN, Ttl::from_secs(2_400), data);
        let full = answers.as_slice().len() + instance.0.as_slice().len() + 64 > MAX_QUERY;
        if full || answers.push(record).is_err() {
            break;
        }
    }
    Some(answers.finish())
}

/// The records of a response; of a query, and of what is none of both, none.
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
    for (looked_at, record) in message.iter().enumerate() {
        let Ok((record, _)) = record else {
            break;
        };
        if looked_at >= MAX_RECORDS {
            break;
        }
        if record.class().to_int() & !TOP_BIT != Class::IN.to_int() {
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
                goodbye: record.ttl() == Ttl::ZERO,
                data,
            });
        }
    }
    found
}

/// The pairs of a TXT record; the first of a key counts (RFC 6763 §6.4).
fn pairs(text: &Txt<&[u8]>) -> Vec<(String, String)> {
    /// The keys that are used, and as many again.
    const MAX_PAIRS: usize = 16;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for string in text.iter().take(MAX_PAIRS) {
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
    fn names_are_equal_in_any_case_and_know_their_parts() {
        let ty = name("_tcpctl._tcp.local");
        let board = name("Board._TCPCTL._tcp.local.");
        assert_eq!(board, name("board._tcpctl._tcp.LOCAL"));
        assert!(board.is_under(&ty, 1));
        assert!(!ty.is_under(&ty, 1));
        assert!(!name("a.b._tcpctl._tcp.local").is_under(&ty, 1));
        assert_eq!(board.first(), "Board");
        assert_eq!(board.to_string(), "Board._TCPCTL._tcp.local");
        assert!(DnsName::of_text("a..b").is_none());
        assert!(DnsName::of_text(&"x".repeat(64)).is_none());
        assert!(DnsName::of_text(&"x.".repeat(200)).is_none());
    }

    #[test]
    fn a_query_says_what_is_known_and_stays_one_frame() {
        let ty = name("_tcpctl._tcp.local");
        let known: Vec<_> = (0..200)
            .map(|number| name(&format!("board-{number}._tcpctl._tcp.local")))
            .collect();
        let packet = query(&ty, Ask::Instances, &known).unwrap();
        assert!(packet.len() <= 1500, "{}", packet.len());
        let message = Message::from_octets(&packet[..]).unwrap();
        let question = message.sole_question().unwrap();
        assert_eq!(question.qtype(), Rtype::PTR);
        assert!(message.header_counts().ancount() > 10);
        assert!(answers(&packet).is_empty(), "a query answers nothing");
    }

    #[test]
    fn a_goodbye_and_an_escape_sequence_are_read_as_they_are() {
        let evil = b"\x08\x1b[2J\x07hey";
        let owner = [&evil[..], b"\x05local\x00"].concat();
        let found = answers(&response(&owner, 1, 0, &[10, 0, 0, 7]));
        let [answer] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(answer.goodbye);
        assert_eq!(answer.data, Data::Address("10.0.0.7".parse().unwrap()));
        assert_eq!(answer.owner.first(), "\u{1b}[2J\u{7}hey");
    }

    #[test]
    fn a_loop_of_pointers_ends() {
        // The name at 12 points at itself, then at its successor, then past the end.
        for pointer in [[0xc0, 12], [0xc0, 13], [0xff, 0xff]] {
            assert!(answers(&response(&pointer, 1, 120, &[10, 0, 0, 7])).is_empty());
        }
    }

    #[test]
    fn a_text_longer_than_any_message_is_not_looked_at() {
        let packet = response(b"\x01a\x00", 16, 120, &vec![0; 64_000]);
        assert!(answers(&packet).is_empty());
        let many = [b"\x03k=v".repeat(1000), b"\x04zz=1".to_vec()].concat();
        let found = answers(&response(b"\x01a\x00", 16, 120, &many));
        let expected = Data::Text(vec![("k".into(), "v".into())]);
        assert_eq!(found[0].data, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut packet = bytes;
            if packet.len() > 3 {
                packet[2] = 0x84;
                packet[3] = 0;
            }
            prop_assert!(answers(&packet).len() <= MAX_RECORDS);
        }
    }
}
