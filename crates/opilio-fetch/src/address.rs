//! Checks which addresses the crawler may connect to.
//!
//! Links could lead a crawler into the network in which it runs (server-side request forgery, SSRF). So by
//! default it connects only to public unicast addresses. The check applies to the addresses that are actually
//! connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The addresses to which connections are allowed: all public addresses, and other addresses only if they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    everything: bool,
    allowed: Vec<IpNet>,
}

/// The error for a text that is neither an IP address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or network: write 10.0.0.0/8, ::1/128 or 127.0.0.1")]
pub struct AddressPolicyError(String);

impl Default for AddressPolicy {
    fn default() -> Self {
        Self::public()
    }
}

impl AddressPolicy {
    /// Allows public addresses only.
    #[must_use]
    pub fn public() -> Self {
        Self { everything: false, allowed: Vec::new() }
    }

    /// Allows every address.
    #[must_use]
    pub fn allow_all() -> Self {
        Self { everything: true, allowed: Vec::new() }
    }

    /// Allows public addresses, and also the given networks (`10.0.0.0/8`) or addresses (`127.0.0.1`).
    ///
    /// # Errors
    /// When a text is neither a network nor an address.
    pub fn allow<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, AddressPolicyError> {
        let parse = |text: T| {
            let text = text.as_ref().trim();
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| AddressPolicyError(text.to_owned()))
        };
        Ok(Self { everything: false, allowed: networks.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Returns whether connections to this address are allowed.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        if self.everything || is_public(address) {
            return true;
        }
        let inner = embedded(address);
        self.allowed
            .iter()
            .any(|net| net.contains(&address) || inner.is_some_and(|inner| net.contains(&inner)))
    }
}

/// Returns the IPv4 address in an IPv4-mapped IPv6 address, since both addresses reach the same server.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::V4),
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&v4)),
        // All global unicast addresses are in 2000::/3. IPv4-mapped, NAT64, unique local, link-local and multicast
        // addresses are outside of 2000::/3.
        IpAddr::V6(v6) => {
            GLOBAL_UNICAST_V6.contains(&v6) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&v6))
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// The IPv4 networks of IANA's special-purpose registry (RFC 6890 and its successors), and Azure's address for
/// metadata.
const NOT_PUBLIC_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 52, 193, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    // Multicast, reserved and broadcast addresses.
    v4(224, 0, 0, 0, 3),
    // Azure's address for metadata and agents: registered as public, but reachable only from inside Azure.
    v4(168, 63, 129, 16, 32),
];

const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 3);

const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    // IETF protocol assignments, Teredo, benchmarking, ORCHID.
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32),
    // 6to4: such an address contains any IPv4 address.
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_permitted() {
        for text in
            ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
        {
            assert!(AddressPolicy::public().permits(ip(text)), "{text}");
        }
    }

    #[test]
    fn everything_that_is_not_public_needs_leave() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!AddressPolicy::public().permits(ip(text)), "{text}");
            assert!(AddressPolicy::allow_all().permits(ip(text)), "{text}");
        }
    }

    #[test]
    fn leave_is_given_by_network_or_address() {
        let policy = AddressPolicy::allow(["127.0.0.0/8", "::1", " 10.0.0.7"]).unwrap();
        for text in ["127.0.0.5", "::ffff:127.0.0.5", "::1", "10.0.0.7", "8.8.8.8"] {
            assert!(policy.permits(ip(text)), "{text}");
        }
        for text in ["10.0.0.8", "192.168.0.1", "::2"] {
            assert!(!policy.permits(ip(text)), "{text}");
        }
        let error = AddressPolicy::allow(["localnet"]).unwrap_err();
        assert!(error.to_string().contains("\"localnet\""));
    }
}
