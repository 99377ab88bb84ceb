//! Free loopback ports and addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports below the range from which the kernel takes the ports of outgoing connections (32768 and up), so that a
/// server that is down for a while finds its port free when it comes back.
const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Different in each process, so that test processes running side by side seldom try the same.
fn offset() -> u32 {
    std::process::id().wrapping_mul(7_919)
}

/// A port that is free on 127.0.0.1 for both TCP and UDP, and not given out by this process before.
///
/// # Panics
/// When there is none left.
pub fn free() -> u16 {
    for _ in 0..COUNT {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset());
        let port = u16::try_from(FIRST + turn % COUNT).expect("FIRST + COUNT is below 65536");
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 between {FIRST} and {}", FIRST + COUNT);
}

/// 127.0.0.1 with a port from [`free`].
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free()))
}

/// An address of 127.0.0.0/8 that this process did not give out before, and on which `port` is free.
///
/// All of 127.0.0.0/8 is local on Linux, so each imitated load balancer can have an address of its own.
///
/// # Panics
/// When there is none left.
pub fn loopback_with(port: u16) -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // 127.64.0.0/10, without its .0 and .255
    for _ in 0..1 << 22 {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset()) % (1 << 22);
        let ip = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 64, 0, 0)) + turn);
        if !matches!(ip.octets()[3], 0 | 255) && TcpListener::bind((ip, port)).is_ok() {
            return ip.into();
        }
    }
    panic!("port {port} is taken on all of 127.64.0.0/10");
}
