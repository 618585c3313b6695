//! The addresses that a webhook may use: public ones, so that nobody reaches into the deployment's
//! own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest url, in bytes.
const MAX_URL: usize = 2_048;

/// The addresses that webhooks may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EgressPolicy {
    /// Public addresses, over https.
    #[default]
    Public,
    /// Also this machine itself, and that over http too: for the local system.
    PublicAndLoopback,
}

impl EgressPolicy {
    /// Returns true if a connection to `address` is allowed. Special addresses are those of the
    /// IANA registries (RFC 6890).
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

    /// Returns true if `url` has the form of a receiver: `https` (or `http` to this machine, if it
    /// is allowed), a host, optionally a port from 1 to 65535, and neither a user nor a fragment.
    pub fn is_receiver(self, url: &str) -> bool {
        self.authority(url).is_ok()
    }

    /// Returns why `url` cannot be registered, if so: its form, or a host that is private without
    /// resolving it. The addresses of a name are checked at each post.
    pub fn refuses(self, url: &str) -> Option<&'static str> {
        let host = match self.authority(url) {
            Ok(host) => host,
            Err(refusal) => return Some(refusal),
        };
        let may_be_reached = match literal(host) {
            Literal::Address(address) => self.allows(address),
            Literal::Wrong => return Some(NOT_A_RECEIVER),
            Literal::Name if self == Self::PublicAndLoopback && host == "localhost" => true,
            Literal::Name => !is_private_name(host),
        };
        (!may_be_reached).then_some(NOT_PUBLIC)
    }

    /// Returns the host of a url with the form of a receiver, without its port.
    fn authority(self, url: &str) -> Result<&str, &'static str> {
        let (is_plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(NOT_A_RECEIVER),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_right = url.len() <= MAX_URL
            && path.bytes().all(|b| b.is_ascii_graphic())
            && !path.contains(['#', '\\', '"', '<', '>', '^', '`', '{', '|', '}']);
        let (host, port) = parts(authority).ok_or(NOT_A_RECEIVER)?;
        if !is_right || (is_plain && !(self == Self::PublicAndLoopback && is_this_machine(host))) {
            return Err(NOT_A_RECEIVER);
        }
        if port.is_some_and(|port| !is_port(port)) {
            return Err(NOT_A_PORT);
        }
        Ok(host)
    }
}

const NOT_A_RECEIVER: &str =
    "must be an address like https://example.com/hook, without a user and without a fragment";
const NOT_A_PORT: &str = "must have a port from 1 to 65535, if any";
const NOT_PUBLIC: &str = "must be a public address; this one is private or this machine itself";

/// Splits the part of a url between `//` and the path into host and port, if it is well-formed.
fn parts(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.contains('@') {
        return None;
    }
    if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let (host, rest) = authority.split_at(end);
        let address = host.trim_matches(['[', ']']);
        let is_right = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
        let is_address = !address.is_empty() && address.bytes().all(is_right);
        return match rest.strip_prefix(':') {
            Some(port) => is_address.then_some((host, Some(port))),
            None => (is_address && rest.is_empty()).then_some((host, None)),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_right = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_name =
        host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.bytes().all(is_right);
    is_name.then_some((host, port))
}

fn is_port(text: &str) -> bool {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit()) && !text.starts_with('0');
    is_number && text.parse::<u16>().is_ok()
}

/// Returns true if `host` denotes this machine by its spelling.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The meaning of a host that may be an address.
enum Literal {
    Address(IpAddr),
    /// It ends in a number but is not an address.
    Wrong,
    Name,
}

/// Reads a host as a client would: an IPv4 address may have one to four parts, each decimal, octal
/// or hexadecimal.
fn literal(host: &str) -> Literal {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return match address.parse() {
            Ok(address) => Literal::Address(IpAddr::V6(address)),
            Err(_) => Literal::Wrong,
        };
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let parts: Vec<&str> = host.split('.').collect();
    let last = parts.last().copied().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number && number(last).is_none() {
        return Literal::Name;
    }
    match ipv4(&parts) {
        Some(address) => Literal::Address(IpAddr::V4(address)),
        None => Literal::Wrong,
    }
}

fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(""), _) => return Some(0),
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (lower.as_str(), 10),
    };
    let is_digits = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_digits)
}

/// Builds an IPv4 address from its parts. The last one fills the remaining bytes.
fn ipv4(parts: &[&str]) -> Option<Ipv4Addr> {
    if parts.len() > 4 {
        return None;
    }
    let numbers: Option<Vec<u64>> = parts.iter().map(|part| number(part)).collect();
    let numbers = numbers?;
    let (last, first) = numbers.split_last()?;
    let mut address = *last;
    let places = u32::try_from(4 - first.len()).ok()?;
    if *last >= 256_u64.pow(places) {
        return None;
    }
    for (place, number) in first.iter().enumerate() {
        if *number > 255 {
            return None;
        }
        let shift = 8 * (3 - u32::try_from(place).ok()?);
        address += number << shift;
    }
    u32::try_from(address).ok().map(Ipv4Addr::from)
}

/// Returns true if a name can only lead into a private network: it has no domain, or one that is
/// reserved for that.
fn is_private_name(host: &str) -> bool {
    const DOMAINS: [&str; 10] = [
        "localhost",
        "localdomain",
        "local",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "home.arpa",
    ];
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_of = |domain: &&str| {
        host.strip_suffix(*domain)
            .is_some_and(|rest| rest.ends_with('.'))
    };
    !host.contains('.') || DOMAINS.iter().any(is_of)
}

enum Inner {
    V4(Ipv4Addr),
    Loopback,
    Global,
    Special,
}

/// Returns the meaning of an IPv6 address, or the IPv4 address embedded in it.
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
            assert!(
                !EgressPolicy::Public.allows(refused.parse().unwrap()),
                "{refused}"
            );
        }
        for allowed in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(
                EgressPolicy::Public.allows(allowed.parse().unwrap()),
                "{allowed}"
            );
        }
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(
                EgressPolicy::PublicAndLoopback.allows(loopback.parse().unwrap()),
                "{loopback}"
            );
        }
        assert!(!EgressPolicy::PublicAndLoopback.allows("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_receiver_is_https_with_a_host() {
        for right in [
            "https://example.com",
            "https://example.com:8443/hook?x=1",
            "https://[2606:4700::1111]/",
        ] {
            assert!(EgressPolicy::Public.is_receiver(right), "{right}");
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
            "https://example.com:99999",
            "https://example.com:65536",
            "https://example.com:0",
            "https://example.com:",
            "https://[example.com]/",
            "https://[::1",
            "https://example.com/a|b",
            "ftp://example.com",
            "",
        ] {
            assert!(!EgressPolicy::Public.is_receiver(wrong), "{wrong}");
        }
        for local in [
            "http://127.0.0.1:9000/hook",
            "http://localhost/",
            "http://[::1]:80/",
        ] {
            assert!(
                EgressPolicy::PublicAndLoopback.is_receiver(local),
                "{local}"
            );
            assert!(!EgressPolicy::Public.is_receiver(local), "{local}");
        }
        for wrong in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
        ] {
            assert!(
                !EgressPolicy::PublicAndLoopback.is_receiver(wrong),
                "{wrong}"
            );
        }
    }

    #[test]
    fn no_receiver_is_registered_that_can_be_seen_to_be_private() {
        for private in [
            "https://127.0.0.1/",
            "https://10.1.2.3:8443/hook",
            "https://169.254.169.254/latest",
            "https://192.168.1.1",
            "https://172.16.0.9",
            "https://100.64.0.1",
            "https://0.0.0.0",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://10.1.2.3./",
            "https://[::1]/",
            "https://[::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]:8443/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a00:1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://printer.local",
            "https://metadata.google.internal/",
            "https://metadata.internal./",
            "https://router.home.arpa",
            "https://intranet/",
        ] {
            let refusal = EgressPolicy::Public.refuses(private);
            assert_eq!(refusal, Some(NOT_PUBLIC), "{private}");
        }
        for wrong in [
            "https://1.2.3.4.5/",
            "https://256.0.0.1/",
            "https://1.2.3.256/",
            "https://1.2.65536/",
            "https://4294967296/",
            "https://08.0.0.1/",
            "https://[1::2::3]/",
            "https://example.com/#x",
            "https://example.com#x",
            "https://user:secret@example.com/",
        ] {
            let refusal = EgressPolicy::Public.refuses(wrong);
            assert_eq!(refusal, Some(NOT_A_RECEIVER), "{wrong}");
        }
        for port in ["0", "00", "080", "65536", "99999", "", "+80"] {
            let url = format!("https://example.com:{port}/hook");
            assert_eq!(
                EgressPolicy::Public.refuses(&url),
                Some(NOT_A_PORT),
                "{url}"
            );
        }
        for public in [
            "https://example.com/hook",
            "https://example.com:65535",
            "https://1.1.1.1:1/",
            "https://[2606:4700::1111]/",
            "https://internal.example.com/",
            "https://local.example",
            "https://0x7f.example.com/",
        ] {
            assert_eq!(EgressPolicy::Public.refuses(public), None, "{public}");
        }
        for local in [
            "http://127.0.0.1:9000/hook",
            "http://localhost:1/",
            "https://[::1]/",
        ] {
            assert_eq!(
                EgressPolicy::PublicAndLoopback.refuses(local),
                None,
                "{local}"
            );
        }
        let refused = EgressPolicy::PublicAndLoopback.refuses("https://10.0.0.1/");
        assert_eq!(refused, Some(NOT_PUBLIC));
    }
}
