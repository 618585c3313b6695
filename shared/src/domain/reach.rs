//! Which addresses a webhook may go to: public ones, so that nobody reaches into the deployment's own network with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest url, in bytes.
const MAX_URL: usize = 2_048;

/// How far webhooks may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, over https.
    #[default]
    Public,
    /// These and this machine itself, there also over http: for the local system.
    PublicAndLoopback,
}

impl Reach {
    /// Whether a connection to `address` may be made. Special addresses are those of the IANA registries (RFC 6890).
    pub fn allows(self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(v6) => match inner(v6) {
                Inner::V4(v4) => v4,
                Inner::Loopback => return self == Self::PublicAndLoopback,
                Inner::Global => return true,
                Inner::Special => return false,
            },
        };
        if address.is_loopback() {
            return self == Self::PublicAndLoopback;
        }
        !is_special(address)
    }

    /// Whether `url` has the form of a receiver: `https` (`http` to this machine, where that may be reached), a host, and neither a
    /// user nor a fragment.
    pub fn is_receiver(self, url: &str) -> bool {
        let (is_plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return false,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        if is_plain && !(self == Self::PublicAndLoopback && is_this_machine(host)) {
            return false;
        }
        url.len() <= MAX_URL
            && is_host(host)
            && path.bytes().all(|b| b.is_ascii_graphic())
            && !path.contains(['#', '\\', '"', '<', '>', '^', '`', '{', '|', '}'])
    }
}

/// Whether `host` is a name or an address as a url has it, with or without a port.
fn is_host(host: &str) -> bool {
    let is_port = |port: &str| {
        (1..=5).contains(&port.len()) && port.bytes().all(|digit| digit.is_ascii_digit())
    };
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = !address.is_empty()
            && address
                .bytes()
                .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (name, is_right) = match host.split_once(':') {
        Some((name, port)) => (name, is_port(port)),
        None => (host, true),
    };
    is_right
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Whether `host`, which may have a port, is this machine by the way it is written.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

enum Inner {
    V4(Ipv4Addr),
    Loopback,
    Global,
    Special,
}

/// What an IPv6 address is, or the IPv4 address that stands in it.
fn inner(address: Ipv6Addr) -> Inner {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Inner::V4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 1] => Inner::Loopback,
        // Mapped, compatible and translated (NAT64) addresses, and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        // Teredo, benchmarks, ORCHID and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Inner::Special,
        [0x2000..=0x3fff, ..] => Inner::Global,
        _ => Inner::Special,
    }
}

fn is_special(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_may_be_reached_in_whatever_way_they_are_written() {
        for refused in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
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
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!Reach::Public.allows(refused.parse().unwrap()), "{refused}");
        }
        for allowed in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(Reach::Public.allows(allowed.parse().unwrap()), "{allowed}");
        }
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(
                Reach::PublicAndLoopback.allows(loopback.parse().unwrap()),
                "{loopback}"
            );
        }
        assert!(!Reach::PublicAndLoopback.allows("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_receiver_is_https_with_a_host() {
        for right in [
            "https://example.com",
            "https://example.com:8443/hook?x=1",
            "https://[2606:4700::1111]/",
        ] {
            assert!(Reach::Public.is_receiver(right), "{right}");
        }
        for wrong in [
            "http://example.com",
            "https://",
            "https:///x",
            "https://user@example.com",
            "https://example.com/#x",
            "https://exa mple.com",
            "https://exa}mple.com",
            "https://example.com:x",
            "https://example.com:123456",
            "https://[example.com]/",
            "https://[::1",
            "https://example.com/a|b",
            "ftp://example.com",
            "",
        ] {
            assert!(!Reach::Public.is_receiver(wrong), "{wrong}");
        }
        for local in [
            "http://127.0.0.1:9000/hook",
            "http://localhost/",
            "http://[::1]:80/",
        ] {
            assert!(Reach::PublicAndLoopback.is_receiver(local), "{local}");
            assert!(!Reach::Public.is_receiver(local), "{local}");
        }
        for wrong in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
        ] {
            assert!(!Reach::PublicAndLoopback.is_receiver(wrong), "{wrong}");
        }
    }
}
