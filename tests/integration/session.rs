//! A virtual board as `send sim` and the relay use it: async streams over the in-memory link.

use std::io;
use std::time::Duration;

use tcpctl::sim::Session;
use tcpctl::sim::VirtualStream;
use tcpctl::sim::spec::Spec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts a board from a spec and runs `use_it` against it, in real time.
fn with_board<T>(text: &str, use_it: impl AsyncFnOnce(&Session) -> T) -> T {
    let spec = Spec::parse(text).expect("a valid spec");
    let session = Session::start(&spec).expect("threads");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let bounded = tokio::time::timeout(Duration::from_mins(1), use_it(&session));
            bounded.await.expect("it ends")
        })
}

async fn connect(session: &Session) -> VirtualStream {
    session
        .connect(session.address())
        .await
        .expect("a free slot")
}

/// Connects, and retries while refused.
async fn connect_when_free(session: &Session) -> VirtualStream {
    loop {
        match session.connect(session.address()).await {
            Ok(stream) => return stream,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
        }
    }
}

async fn exchange(stream: &mut VirtualStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(reply)
}

#[test]
fn exchange_needs_no_setup() {
    for text in [
        "",
        "ideal",
        "tutorial",
        "lossy",
        "esp32,mode=sta",
        "ideal,mode=sta",
    ] {
        let reply = with_board(text, async |session| {
            exchange(&mut connect(session).await, b"hi")
                .await
                .expect("a reply")
        });
        assert_eq!(reply, b"Hello World", "{text}");
    }
}

#[test]
fn greeting_and_port_come_from_the_spec() {
    let reply = with_board("ideal,greeting=Moin", async |session| {
        assert_eq!(session.address().to_string(), "192.168.1.1:3000");
        exchange(&mut connect(session).await, b"hi")
            .await
            .expect("a reply")
    });
    assert_eq!(reply, b"Moin");
}

#[test]
fn full_board_refuses_until_a_slot_is_free() {
    with_board("ideal,workers=1,backlog=0", async |session| {
        let held = connect(session).await;
        for _ in 0..3 {
            let error = session
                .connect(session.address())
                .await
                .expect_err("it is full");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
        drop(held);
        let mut next = connect_when_free(session).await;
        assert_eq!(
            exchange(&mut next, b"hi").await.expect("a reply"),
            b"Hello World"
        );
    });
}

#[test]
fn closed_port_refuses_foreign_address_is_unreachable() {
    with_board("ideal", async |session| {
        let closed = session.connect("192.168.1.1:81".parse().unwrap()).await;
        assert_eq!(
            closed.expect_err("closed").kind(),
            io::ErrorKind::ConnectionRefused
        );
        let v6 = session.connect("[::1]:3000".parse().unwrap()).await;
        assert_eq!(
            v6.expect_err("no IPv6").kind(),
            io::ErrorKind::HostUnreachable
        );
    });
}

#[test]
fn half_close_is_answered_and_acknowledged() {
    with_board("ideal", async |session| {
        let mut stream = connect(session).await;
        stream.write_all(b"hi").await.expect("room");
        stream.shutdown().await.expect("open");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.expect("a reply");
        assert_eq!(reply, b"Hello World");
        while stream.unacknowledged() > 0 {
            tokio::task::yield_now().await;
        }
        let error = stream
            .write_all(b"more")
            .await
            .expect_err("the write side is closed");
        assert!(matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        ));
    });
}

#[test]
fn client_reset_reaches_the_board() {
    let spec = Spec::parse("ideal,workers=1,backlog=0,service-time=500ms").expect("a valid spec");
    let session = Session::start(&spec).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stream = connect(&session).await;
        // Wait for an acknowledged request: a reset that overtakes the last segment of the
        // handshake ends a connection that the board never had.
        stream.write_all(b"hi").await.expect("open");
        while stream.unacknowledged() > 0 {
            tokio::task::yield_now().await;
        }
        stream.abort();
        assert_eq!(
            stream.read(&mut [0]).await.expect_err("it is gone").kind(),
            io::ErrorKind::ConnectionReset
        );
        drop(stream);
        drop(connect_when_free(&session).await);
    });
    assert_eq!(session.stop().counters.reset, 1);
}

#[test]
fn long_message_arrives_intact_over_an_impaired_link() {
    let sent: Vec<u8> = (0..150_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let received = with_board(
        "ideal,services=on,loss=1%,jitter=50us,seed=3",
        async |session| {
            let echo = session
                .connect("192.168.1.1:7".parse().unwrap())
                .await
                .expect("echo");
            let (mut reader, mut writer) = tokio::io::split(echo);
            let write = async {
                writer.write_all(&sent).await.expect("echo reads");
                writer.shutdown().await.expect("open");
            };
            let mut received = Vec::new();
            let read = reader.read_to_end(&mut received);
            let ((), read) = tokio::join!(write, read);
            read.expect("echo closes when its peer does");
            received
        },
    );
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
}

#[test]
fn boards_of_every_profile_run_side_by_side() {
    let threads: Vec<_> = ["ideal", "esp32", "tutorial", "lossy"]
        .into_iter()
        .map(|text| {
            std::thread::spawn(move || {
                with_board(text, async |session| {
                    for _ in 0..5 {
                        let mut stream = connect_when_free(session).await;
                        let reply = exchange(&mut stream, b"hi").await.expect("a reply");
                        assert_eq!(reply, b"Hello World");
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every exchange");
    }
}
