//! The source of a request, according to the gateway or the socket. Headers are ignored, because a
//! client could forge them.

use axum::extract::ConnectInfo;
use http::Extensions;
use lambda_http::request::RequestContext;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An IPv4 address, or the /64 network of an IPv6 address: one customer has all addresses of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Returns the source of a request with these extensions, or None if neither gateway nor socket
    /// gives it.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        if let Some(RequestContext::ApiGatewayV2(context)) = extensions.get() {
            let address: IpAddr = context.http.source_ip.as_deref()?.parse().ok()?;
            return Some(Self::from(address));
        }
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(Self::from(peer.ip()))
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_address_of_ipv6_stands_for_its_network_and_one_of_ipv4_for_itself() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[test]
    fn the_gateway_or_the_socket_says_it_and_otherwise_nobody() {
        let mut extensions = Extensions::new();
        assert_eq!(Source::of(&extensions), None);
        let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        extensions.insert(ConnectInfo(peer));
        assert_eq!(Source::of(&extensions), Some(source("192.0.2.7")));
        let context = serde_json::json!({
            "accountId": "1", "apiId": "a", "domainName": "d", "requestId": "r",
            "routeKey": "POST /v1/preflight", "stage": "$default", "timeEpoch": 0,
            "http": {
                "method": "POST", "path": "/v1/preflight", "protocol": "HTTP/1.1",
                "sourceIp": "198.51.100.9", "userAgent": "x"
            }
        });
        let context = serde_json::from_value(context).unwrap();
        extensions.insert(RequestContext::ApiGatewayV2(context));
        assert_eq!(Source::of(&extensions), Some(source("198.51.100.9")));
    }
}
