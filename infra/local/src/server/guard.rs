//! Guards the local server. Its keys are public, so it answers only to names of this machine. A
//! body must arrive in time, a caller without a key may send only a small one, and `/local` is only
//! for the local administrator and for pages of this server.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::{StreamExt, stream};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, HeaderName};
use http_body_util::LengthLimitError;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::too_large;
use tokio::time::{Instant, timeout_at};

use crate::names::ADMIN_KEY;

/// The largest body of a caller whose key is not checked yet, in bytes. Preflights and token
/// requests are smaller.
const MAX_UNCHECKED_BYTES: usize = 64 * 1024;
/// The paths whose body is read before the key is checked.
const READ_BEFORE_KEY: [&str; 2] = ["/v1/preflight", "/v1/oauth/token"];
/// The paths with a signature of the whole body instead of a key. Their handler limits how many
/// large bodies it reads.
const SIGNED: &str = "/v1/integrations/github/";
const RISKS: &str = "/v1/integrations/github/risks";
const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// The rules. Clones share the port.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The server's port, once it listens.
    port: Arc<OnceLock<u16>>,
    body_time: Duration,
}

impl Guard {
    /// Allows `body_time` for a body.
    pub(crate) fn new(body_time: Duration) -> Self {
        Self {
            port: Arc::default(),
            body_time,
        }
    }

    /// Sets the server's own port.
    pub(crate) fn listens_on(&self, port: u16) {
        // The server listens once.
        let _ = self.port.set(port);
    }

    /// Whether `host` is this server: a name of this machine with the server's port.
    fn is_own(&self, host: &str) -> bool {
        let port = port_here(host);
        port.is_some_and(|port| self.port.get().is_none_or(|own| *own == port))
    }

    /// Allows `/local` only to the local administrator, and to no page of another server, not even
    /// of another port of this machine.
    fn check_local(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let is_own_host = |host: &str| self.is_own(host);
        let is_own_origin = |origin: &str| {
            let host = origin.strip_prefix("http://");
            host.is_some_and(|host| self.is_own(host))
        };
        if !all(headers, &HOST, is_own_host) || !all(headers, &ORIGIN, is_own_origin) {
            let message = "/local answers at http://localhost and http://127.0.0.1 only";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        let is_admin = |value: &str| {
            let key = value.split_once(' ');
            key.is_some_and(|(scheme, key)| {
                scheme.eq_ignore_ascii_case("bearer") && key.trim() == ADMIN_KEY
            })
        };
        if headers.contains_key(AUTHORIZATION) && all(headers, &AUTHORIZATION, is_admin) {
            return Ok(());
        }
        let message = format!(
            "/local wants the local administrator's key: Authorization: Bearer {ADMIN_KEY}"
        );
        Err(ApiError::new(ErrorCode::Unauthorized, message))
    }
}

/// Returns the port of `host` if its name always means this machine, so that nobody can point it
/// elsewhere.
fn port_here(host: &str) -> Option<u16> {
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (host, 80),
    };
    let is_here = name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost");
    is_here.then_some(port)
}

/// Rejects requests to a name that does not belong to this machine. An attacker can point their own
/// name here (DNS rebinding), and their pages could then read the answers. Any port is allowed,
/// because a tunnel or a proxy may have another one. Pages and extensions with another origin may
/// call as far as their browser allows.
fn check_name(headers: &HeaderMap) -> Result<(), ApiError> {
    if all(headers, &HOST, |host| port_here(host).is_some()) {
        return Ok(());
    }
    let message = "this server answers at http://localhost and http://127.0.0.1 only";
    Err(ApiError::new(ErrorCode::Forbidden, message))
}

/// Whether `is_right` holds for each header of that name.
fn all(headers: &HeaderMap, name: &HeaderName, is_right: impl Fn(&str) -> bool) -> bool {
    let mut values = headers.get_all(name).iter();
    values.all(|value| value.to_str().is_ok_and(&is_right))
}

pub(crate) async fn guarded(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let headers = request.headers();
    check_name(headers)?;
    if path.starts_with("/local/") {
        guard.check_local(headers)?;
    }
    // The table of risks has the same prefix and needs a key.
    let is_receiver = path.starts_with(SIGNED) && path != RISKS;
    let is_signed = is_receiver && headers.contains_key(SIGNATURE);
    // Every other handler checks the key before it reads the body.
    let reads_first = is_receiver || READ_BEFORE_KEY.contains(&path);
    let is_known_first = headers.contains_key(AUTHORIZATION) && !reads_first;
    let may_be_large = is_signed || is_known_first;
    let (parts, body) = request.into_parts();
    let body = match body.is_end_stream() {
        true => body,
        false => in_time(body, Instant::now() + guard.body_time),
    };
    let body = match may_be_large {
        true => body,
        false => small(body).await?,
    };
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Wraps a body so that it fails if it is incomplete at `deadline`.
fn in_time(body: Body, deadline: Instant) -> Body {
    let chunks = stream::unfold(Some(body.into_data_stream()), move |left| async move {
        let mut left = left?;
        match timeout_at(deadline, left.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(left))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Err(late) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, late)), None)),
        }
    });
    Body::from_stream(chunks)
}

/// Reads a body. Fails if it is not small.
async fn small(body: Body) -> Result<Body, ApiError> {
    let error = match to_bytes(body, MAX_UNCHECKED_BYTES).await {
        Ok(bytes) => return Ok(Body::from(bytes)),
        Err(error) => error.into_inner(),
    };
    if !error.is::<LengthLimitError>() {
        return Err(ApiError::field("body", "could not be read completely"));
    }
    Err(too_large(MAX_UNCHECKED_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_this_machine_at_its_port_is_the_servers_own() {
        let guard = Guard::new(Duration::ZERO);
        assert!(guard.is_own("localhost") && guard.is_own("127.0.0.1:9"));
        guard.listens_on(3000);
        for (host, is_own) in [
            ("localhost:3000", true),
            ("LOCALHOST:3000", true),
            ("127.0.0.1:3000", true),
            ("127.0.0.1:3001", false),
            ("localhost", false),
            ("localhost:", false),
            ("localhost:3000:3000", false),
            ("evil.example:3000", false),
            ("localhost.evil.example:3000", false),
            ("127.0.0.1.evil.example:3000", false),
            ("", false),
        ] {
            assert_eq!(guard.is_own(host), is_own, "{host}");
        }
    }

    #[test]
    fn no_other_name_is_answered_at_whatever_port() {
        let check = |hosts: &[&'static str]| {
            let mut map = HeaderMap::new();
            for host in hosts {
                map.append(HOST, HeaderValue::from_static(host));
            }
            check_name(&map).map_err(|error| error.code)
        };
        for host in ["localhost:3000", "127.0.0.1", "Localhost:8080"] {
            assert_eq!(check(&[host]), Ok(()), "{host}");
        }
        assert_eq!(check(&[]), Ok(()));
        for host in [
            "evil.example:3000",
            "localhost.evil.example:3000",
            "127.0.0.1.evil.example",
            "localhost:evil.example",
            "192.168.0.7:3000",
            "",
        ] {
            let refused = Err(ErrorCode::Forbidden);
            assert_eq!(check(&[host]), refused, "{host}");
            assert_eq!(check(&["localhost:3000", host]), refused, "{host}");
        }
    }

    #[test]
    fn the_local_routes_are_for_the_administrator_and_own_pages_only() {
        let guard = Guard::new(Duration::ZERO);
        guard.listens_on(3000);
        let check = |headers: &[(&HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            guard.check_local(&map).map_err(|error| error.code)
        };
        let key = (&AUTHORIZATION, "Bearer tk_local_admin");
        let host = (&HOST, "localhost:3000");
        assert_eq!(check(&[key, host]), Ok(()));
        assert_eq!(
            check(&[key, host, (&ORIGIN, "http://127.0.0.1:3000")]),
            Ok(())
        );
        for (headers, code) in [
            (vec![host], ErrorCode::Unauthorized),
            (
                vec![host, (&AUTHORIZATION, "Bearer tk_local_agent")],
                ErrorCode::Unauthorized,
            ),
            (
                vec![host, (&AUTHORIZATION, "tk_local_admin")],
                ErrorCode::Unauthorized,
            ),
            (
                vec![key, (&HOST, "evil.example:3000")],
                ErrorCode::Forbidden,
            ),
            (
                vec![key, host, (&HOST, "evil.example:3000")],
                ErrorCode::Forbidden,
            ),
            (
                vec![key, host, (&ORIGIN, "http://evil.example")],
                ErrorCode::Forbidden,
            ),
            (
                vec![key, host, (&ORIGIN, "http://localhost:8080")],
                ErrorCode::Forbidden,
            ),
            (
                vec![key, host, (&ORIGIN, "https://localhost:3000")],
                ErrorCode::Forbidden,
            ),
            (vec![key, host, (&ORIGIN, "null")], ErrorCode::Forbidden),
        ] {
            assert_eq!(check(&headers), Err(code), "{headers:?}");
        }
    }
}
