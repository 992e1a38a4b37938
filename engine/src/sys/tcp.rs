//! `TCP_INFO` and socket options that std, mio and socket2 do not offer.

use std::io;
use std::time::Duration;

use socket2::Socket;

/// The fields of `TCP_INFO` that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// Retransmitted segments, SYNs and data.
    pub total_retransmissions: u32,
    /// Retransmitted bytes of data; a SYN has none.
    pub bytes_retransmitted: Option<u64>,
    /// The smoothed round-trip time; `None` before the first measurement.
    pub smoothed_rtt: Option<Duration>,
    /// The minimum round-trip time; `None` before the first measurement.
    pub min_rtt: Option<Duration>,
    /// Time limited by the peer's receive window.
    pub receiver_limited: Option<Duration>,
    /// Time limited by the send buffer.
    pub send_buffer_limited: Option<Duration>,
    /// Time with data to send or to be acknowledged, the two above included.
    pub busy: Option<Duration>,
}

/// Reads `TCP_INFO`; `None` on failure.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub fn info(socket: &impl std::os::fd::AsRawFd) -> Option<TcpInfo> {
    // `struct tcp_info` of linux/tcp.h only grows at its end. Older kernels leave the rest of the
    // buffer at all ones, which no field uses as a value. The size covers tcpi_bytes_retrans (Linux
    // 4.19).
    let mut raw = [u8::MAX; 216];
    let mut length = libc::socklen_t::try_from(size_of_val(&raw)).unwrap_or_default();
    // SAFETY: the descriptor is open while `socket` is borrowed, and the kernel writes at most
    // `length` bytes into `raw`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            raw.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return None;
    }
    let wide = |offset: usize| {
        let value = raw[offset..].first_chunk().copied()?;
        Some(u64::from_ne_bytes(value)).filter(|&value| value != u64::MAX)
    };
    let narrow = |offset: usize| {
        let value = raw[offset..].first_chunk().copied()?;
        Some(u32::from_ne_bytes(value)).filter(|&value| value != u32::MAX)
    };
    let microseconds = |offset| wide(offset).map(Duration::from_micros);
    let rtt = |offset| {
        // Zero means "not measured yet", as do all ones for the minimum.
        let time = narrow(offset).filter(|&time| time != 0)?;
        Some(Duration::from_micros(time.into()))
    };
    // The offsets of linux/tcp.h are part of the kernel's stable interface.
    Some(TcpInfo {
        total_retransmissions: narrow(100)?,
        bytes_retransmitted: wide(208),
        smoothed_rtt: rtt(68),
        min_rtt: rtt(148),
        receiver_limited: microseconds(176),
        send_buffer_limited: microseconds(184),
        busy: microseconds(168),
    })
}

/// Not supported on this platform.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn info<T>(_: &T) -> Option<TcpInfo> {
    None
}

/// Whether the handshake is complete and no reset has arrived (getpeername(2), without asking for
/// the address).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn has_peer(socket: &impl std::os::fd::AsRawFd) -> bool {
    let mut nothing = [0_u8; 0];
    let mut length = 0;
    // SAFETY: the descriptor is open while `socket` is borrowed, and `length` is zero: the kernel
    // writes no address.
    let done = unsafe {
        libc::getpeername(
            socket.as_raw_fd(),
            nothing.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    done == 0
}

/// Drops up to `length` received bytes without copying them (`MSG_TRUNC`, tcp(7)). Zero is the
/// peer's FIN.
///
/// # Errors
/// As a read of the socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn discard(socket: &impl std::os::fd::AsRawFd, length: usize) -> io::Result<usize> {
    // SAFETY: the descriptor is open while `socket` is borrowed, and with `MSG_TRUNC` the kernel
    // does not write through the pointer.
    let count = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            length,
            libc::MSG_TRUNC,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Makes the kernel record when bytes arrive, for [`receive`] (`SO_TIMESTAMPNS`, socket(7)).
///
/// # Errors
/// The kernel does not support it.
#[cfg(target_os = "linux")]
pub fn enable_timestamps(socket: &impl std::os::fd::AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open while `socket` is borrowed, and the kernel reads one int.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default(),
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Receives bytes and the time at which the last of them arrived, nanoseconds on `CLOCK_REALTIME`.
/// Zero bytes are the peer's FIN.
///
/// # Errors
/// As a read of the socket.
#[cfg(target_os = "linux")]
pub fn receive(
    socket: &impl std::os::fd::AsRawFd,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<u64>)> {
    // One control message of a timespec takes 32 bytes; as u64 it is aligned.
    let mut control = [0_u64; 8];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros are a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the descriptor is open while `socket` is borrowed; `message` points to `buffer` and
    // to `control`, which outlive the call, and has their lengths.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled in `message`, whose control buffer is still alive.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok((count, None));
    }
    // SAFETY: the kernel wrote a whole header, and it is aligned as the buffer is.
    let header_value = unsafe { *header };
    if header_value.cmsg_level != libc::SOL_SOCKET || header_value.cmsg_type != libc::SO_TIMESTAMPNS
    {
        return Ok((count, None));
    }
    // SAFETY: data of this type is a timespec, which may be unaligned.
    let time: libc::timespec =
        unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::timespec>()) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let rest = u64::try_from(time.tv_nsec).unwrap_or_default();
    Ok((count, Some(seconds * 1_000_000_000 + rest)))
}

/// Makes `bind` with port 0 choose the address only, and `connect` the port, so that the same local
/// port serves several targets (`IP_BIND_ADDRESS_NO_PORT`, Linux 4.2).
pub fn bind_address_only(socket: &Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::os::fd::AsRawFd;
        let on: libc::c_int = 1;
        // SAFETY: the descriptor is open while `socket` is borrowed, and the kernel reads one int.
        let done = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_IP,
                libc::IP_BIND_ADDRESS_NO_PORT,
                (&raw const on).cast(),
                libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default(),
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
    Ok(())
}

/// Bytes sent and not acknowledged, a FIN counted as one; `None` where unsupported.
///
/// Linux: `SIOCOUTQ` is `write_seq - snd_una`, and a FIN takes a sequence number. macOS:
/// `SO_NWRITE` counts the send buffer, without the FIN.
#[cfg(unix)]
pub fn unacknowledged(stream: &impl std::os::fd::AsRawFd) -> io::Result<Option<usize>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut count: libc::c_int = 0;
        // SAFETY: the descriptor is open while `stream` is borrowed, and this request writes one
        // int through the pointer.
        let done = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(count).ok())
    }
    #[cfg(target_os = "macos")]
    {
        let mut count: libc::c_int = 0;
        let mut length = libc::socklen_t::try_from(size_of_val(&count)).unwrap_or_default();
        // SAFETY: the descriptor is open while `stream` is borrowed, and `count` is as large as
        // `length`.
        let done = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NWRITE,
                (&raw mut count).cast(),
                &raw mut length,
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(count).ok())
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    {
        let _ = stream;
        Ok(None)
    }
}

/// Not supported on this platform.
#[cfg(not(unix))]
pub fn unacknowledged<T>(_: &T) -> io::Result<Option<usize>> {
    Ok(None)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn tcp_info_of_a_loopback_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hi").unwrap();
        server.read_exact(&mut [0; 2]).unwrap();
        let info = info(&client).expect("Linux");
        assert_eq!(info.total_retransmissions, 0);
        let rtt = info.smoothed_rtt.expect("measured by the handshake");
        assert!(rtt < Duration::from_secs(1), "{rtt:?}");
        assert!(info.min_rtt.expect("Linux 4.19") <= rtt);
        assert!(info.busy.is_some(), "Linux 4.19");
    }

    #[test]
    fn received_bytes_have_their_arrival_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        enable_timestamps(&client).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut buffer = [0; 16];
        let mut delays = Vec::new();
        // The kernel starts timestamping a moment after it is enabled.
        for _ in 0..10 {
            server.write_all(b"hi").unwrap();
            std::thread::sleep(Duration::from_millis(10));
            let (count, time) = receive(&client, &mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"hi");
            let now = super::super::clocks::realtime();
            delays.extend(time.and_then(|time| now.checked_sub(time)));
        }
        let shortest = delays.iter().min().expect("supported on Linux");
        assert!(*shortest >= 9_000_000, "{delays:?}");
        drop(server);
        assert_eq!(receive(&client, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn socket_has_a_peer_until_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!has_peer(&listener));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(has_peer(&client));
        let (server, _) = listener.accept().unwrap();
        let linger = socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO));
        linger.unwrap();
        drop(server);
        assert!(!has_peer(&client));
    }

    #[test]
    fn discard_drops_only_the_given_length() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"gone kept").unwrap();
        assert_eq!(discard(&client, 5).unwrap(), 5);
        drop(server);
        let mut rest = String::new();
        client.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "kept");
        assert_eq!(discard(&client, 5).unwrap(), 0, "the FIN");
    }
}
