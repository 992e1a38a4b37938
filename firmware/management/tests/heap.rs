//! Heap of the board during a handshake and a request. A separate process, because the allocator
//! counts for all threads.

use peak_alloc::PeakAlloc;
use tcpctl_management::{
    BoardEvent, BoardSession, ClientSession, MAX_UPDATE_DATA, Request, Response,
};
use tcpctl_settings::sectors::ConfirmTimeout;
use tcpctl_settings::{Changes, Greeting, ManagementKey, Passphrase, Security, Ssid};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Maximum heap of a session on a chip, without the buffers of its socket.
const BUDGET: usize = 8 * 1024;

/// The result of `work`, and its peak heap.
fn peak<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let result = work();
    (result, HEAP.peak_usage() - before)
}

#[test]
fn session_fits_the_heap_of_a_chip() {
    let key = ManagementKey::new([7; 32]);
    let mut client = ClientSession::new();
    let ((mut board, hello), start) = peak(|| BoardSession::start([2; 6], &key, [1; 32]).unwrap());
    client.receive(&mut &hello[..]).unwrap();
    let first = client.authenticate(&key, [2; 32]).unwrap();
    let (second, handshake) = peak(|| match board.receive(&mut &first[..]).unwrap() {
        BoardEvent::Send(bytes) => bytes,
        other => panic!("{other:?}"),
    });
    client.receive(&mut &second[..]).unwrap();
    let changes = Changes {
        ssid: Some(Ssid::new([b's'; 32]).unwrap()),
        security: Some(Security::Wpa2(Passphrase::new(&"0".repeat(64)).unwrap())),
        greeting: Some(Greeting::new([b'g'; 256]).unwrap()),
        ..Changes::default()
    };
    let request = Request::Trial {
        changes: Box::new(changes),
        confirm_timeout: ConfirmTimeout::DEFAULT,
    };
    let request = client.request(&request).unwrap();
    let (response, answered) = peak(|| {
        let BoardEvent::Request(_request) = board.receive(&mut &request[..]).unwrap() else {
            panic!("no request")
        };
        board
            .respond(&Response::Restarting { sequence: 2 })
            .unwrap()
    });
    client.receive(&mut &response[..]).unwrap();
    // A leak in each piece would add up.
    let pieces = (0..100).map(|piece| Request::UpdateData {
        offset: piece * 1024,
        bytes: vec![0xff; MAX_UPDATE_DATA],
    });
    let pieces: Vec<_> = pieces.map(|it| client.request(&it).unwrap()).collect();
    let ((), update) = peak(|| {
        for piece in &pieces {
            let BoardEvent::Request(_request) = board.receive(&mut &piece[..]).unwrap() else {
                panic!("no request")
            };
            board.respond(&Response::Written { offset: 0 }).unwrap();
        }
    });
    let kept = HEAP.current_usage();
    drop(board);
    let session = kept.saturating_sub(HEAP.current_usage());
    // The handshake starts with what `start` has left allocated, at most its peak.
    println!(
        "heap: start {start}, handshake {handshake}, session {session}, request {answered}, update \
         {update} bytes"
    );
    assert!(start + handshake + answered.max(update) <= BUDGET);
    // What `update_takes_at_most_12_kilobytes` of tcpctl-greeter adds to a session.
    assert!(update <= answered + 2 * MAX_UPDATE_DATA);
}
