//! Which addresses are this machine's, by what the kernel allows. Sends nothing.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Is the address one of this machine's? Only such an address can be bound to.
pub fn is_ours(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// The address that this machine would use towards `address`. Sends nothing.
pub fn our_end(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
