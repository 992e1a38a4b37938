//! Malicious mDNS packets, byte by byte.

use std::net::Ipv4Addr;

/// Labels in wire format, without the root.
fn name(labels: &[&[u8]]) -> Vec<u8> {
    labels
        .iter()
        .flat_map(|label| {
            let length = u8::try_from(label.len()).unwrap();
            [&[length], *label].concat()
        })
        .collect()
}

fn rooted(labels: &[&[u8]]) -> Vec<u8> {
    [name(labels), vec![0]].concat()
}

fn record(owner: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [
        owner,
        &rtype.to_be_bytes(),
        &[0x80, 1, 0, 0, 0, 120],
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

fn response(records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let header = [0, 0, 0x84, 0, 0, 0, count[0], count[1], 0, 0, 0, 0];
    [&header[..], &records.concat()].concat()
}

const TYPE: [&[u8]; 3] = [b"_tcpctl", b"_tcp", b"local"];
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;
const A: u16 = 1;

/// All records of a board with this name, address and port.
fn board(label: &[u8], address: Ipv4Addr, port: u16) -> Vec<u8> {
    let instance = rooted(&[label, TYPE[0], TYPE[1], TYPE[2]]);
    let host = rooted(&[label, b"local"]);
    let place = [&[0, 0, 0, 0], &port.to_be_bytes()[..], &host].concat();
    response(&[
        record(&rooted(&TYPE), PTR, &instance),
        record(&instance, SRV, &place),
        record(&instance, TXT, b"\x0bchip=\x1b[2J\x07x"),
        record(&host, A, &address.octets()),
    ])
}

/// Several packets of each kind. Three of them announce boards at this address and port.
pub(crate) fn packets(address: Ipv4Addr, port: u16) -> Vec<Vec<u8>> {
    let mut packets = vec![
        // Empty packets, packets shorter than a header, and counts without records.
        vec![],
        vec![0; 5],
        [0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255].to_vec(),
        // Pointers to themselves, to each other, and past the end.
        response(&[record(&[0xc0, 12], PTR, &[0xc0, 12])]),
        response(&[record(&[0xc0, 14, 0xc0, 12], A, &[1, 2, 3, 4])]),
        response(&[record(&[0xff, 0xff], A, &[1, 2, 3, 4])]),
        // A TXT record of 60 kB, longer than any mDNS message but shorter than the longest
        // datagram.
        response(&[record(
            &rooted(&[b"big", TYPE[0], TYPE[1], TYPE[2]]),
            TXT,
            &b"\x03k=v".repeat(15_000),
        )]),
        // A service outside this network.
        response(&[
            record(
                &rooted(&[b"far", TYPE[0], TYPE[1], TYPE[2]]),
                SRV,
                &[&[0, 0, 0, 0, 0, 80], &rooted(&[b"far", b"local"])[..]].concat(),
            ),
            record(&rooted(&[b"far", b"local"]), A, &[8, 8, 8, 8]),
        ]),
        // A name that clears the screen, and one that reverses the text direction.
        board(b"\x1b[2J\x1b]0;owned\x07", address, port),
        board("\u{202e}evil".as_bytes(), address, port),
        board(b"\xff\xfe", address, port),
    ];
    // A thousand services that never get an address.
    for number in 0..1000 {
        let instance = rooted(&[
            format!("absent-{number}").as_bytes(),
            TYPE[0],
            TYPE[1],
            TYPE[2],
        ]);
        packets.push(response(&[record(&rooted(&TYPE), PTR, &instance)]));
    }
    packets
}
