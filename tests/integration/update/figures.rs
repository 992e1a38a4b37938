//! The duration of an update, in simulated time.

use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Instant};
use sha2::{Digest, Sha256};
use tcpctl::sim::servers::ADDRESS;
use tcpctl::sim::spec::{Profile, Spec};
use tcpctl_greeter::update::image::chip_id;
use tcpctl_greeter::update::sample::Sample;
use tcpctl_management::{
    ClientEvent, ClientSession, MANAGEMENT_PORT, MAX_UPDATE_DATA, Request, Response,
};
use tcpctl_settings::ManagementKey;

use crate::simulated::{Client, exchange, simulate, write_all};

const KEY: [u8; 32] = [7; 32];
const RATE: u64 = 20_000_000;
/// Bytes of a request around the data: message, tag and length, TCP, IPv4 and Ethernet.
const OVERHEAD: usize = 10 + 16 + 2 + 20 + 20 + 14;

struct Session<'a> {
    socket: TcpSocket<'a>,
    noise: ClientSession,
    input: Vec<u8>,
}

impl<'a> Session<'a> {
    async fn open(client: Client<'a>) -> Self {
        let buffer = |length| vec![0; length].leak();
        let mut socket = TcpSocket::new(client.stack, buffer(8192), buffer(32768));
        socket.set_nagle_enabled(false);
        socket.connect((ADDRESS, MANAGEMENT_PORT)).await.unwrap();
        let mut session = Self {
            socket,
            noise: ClientSession::new(),
            input: Vec::new(),
        };
        assert!(matches!(session.event().await, ClientEvent::Hello(_)));
        let first = session
            .noise
            .authenticate(&ManagementKey::new(KEY), [9; 32]);
        write_all(&mut session.socket, &first.unwrap()).await;
        assert!(matches!(session.event().await, ClientEvent::Established));
        session
    }

    async fn event(&mut self) -> ClientEvent {
        loop {
            let mut input = &self.input[..];
            let event = self.noise.receive(&mut input).unwrap();
            let taken = self.input.len() - input.len();
            self.input.drain(..taken);
            if !matches!(event, ClientEvent::NeedMore) {
                return event;
            }
            let mut chunk = [0; 2048];
            let count = self.socket.read(&mut chunk).await.unwrap();
            assert!(count > 0, "closed");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }

    async fn send(&mut self, request: &Request) {
        let bytes = self.noise.request(request).unwrap();
        write_all(&mut self.socket, &bytes).await;
    }

    async fn response(&mut self) -> Response {
        match self.event().await {
            ClientEvent::Response(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Sends an image, and returns the time from its first byte to the last acknowledgement.
    async fn transfer(&mut self, image: &[u8]) -> Duration {
        let size = u32::try_from(image.len()).unwrap();
        let sha256 = Sha256::digest(image).into();
        self.send(&Request::BeginUpdate { size, sha256 }).await;
        let Response::Ready { offset: 0, window } = self.response().await else {
            panic!("not ready");
        };
        let begun = Instant::now();
        let (mut sent, mut written) = (0, 0);
        while written < size {
            let bytes = &image[sent as usize..];
            let bytes = &bytes[..bytes.len().min(MAX_UPDATE_DATA)];
            let end = sent + u32::try_from(bytes.len()).unwrap();
            if !bytes.is_empty() && end - written <= window {
                let bytes = bytes.to_vec();
                self.send(&Request::UpdateData {
                    offset: sent,
                    bytes,
                })
                .await;
                sent = end;
                continue;
            }
            match self.response().await {
                Response::Written { offset } => written = offset,
                other => panic!("{other:?}"),
            }
        }
        let elapsed = begun.elapsed();
        self.send(&Request::VerifyUpdate).await;
        assert_eq!(self.response().await, Response::Done);
        elapsed
    }
}

fn image() -> Vec<u8> {
    let mut image = vec![0; 600_000];
    Sample::new(chip_id("esp32c3").unwrap(), "0.2.0").write(&mut image);
    image
}

fn spec(profile: Profile) -> Spec {
    let options = [("chip", "esp32c3"), ("rate", "20Mbit")];
    Spec {
        management_key: Some(ManagementKey::new(KEY)),
        ..Spec::with(profile, options).unwrap()
    }
}

#[test]
fn update_takes_the_time_of_the_link_and_a_tenth() {
    let image = image();
    let outcome = simulate(&spec(Profile::Ideal), async |client| {
        Session::open(client).await.transfer(&image).await
    });
    let requests = image.len().div_ceil(MAX_UPDATE_DATA);
    let time_of = |bytes: usize| Duration::from_micros(8 * bytes as u64 * 1_000_000 / RATE);
    let model = time_of(image.len() + requests * OVERHEAD);
    let (elapsed, allowed) = (outcome.result, model + model / 10);
    assert!(elapsed <= allowed, "{elapsed} {allowed}");
    // The link model was not bypassed.
    assert!(elapsed >= time_of(image.len()), "{elapsed}");
}

#[test]
fn requests_during_an_update_are_not_refused() {
    let image = image();
    let outcome = simulate(&spec(Profile::Esp32), async |client| {
        let mut session = Session::open(client).await;
        let serve = async {
            for _ in 0..50 {
                let reply = exchange(&mut client.connect().await, b"hi").await;
                assert_eq!(reply.as_deref(), Some(crate::simulated::GREETING));
            }
        };
        let (elapsed, ()) = futures_util::future::join(session.transfer(&image), serve).await;
        elapsed
    });
    assert_eq!(outcome.summary.counters.served, 50);
    assert_eq!(outcome.summary.counters.refused, Some(0));
}
