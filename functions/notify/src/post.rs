//! Posts to a receiver and to no other host. Addresses are checked after they are resolved, and
//! only these are connected to. Redirects are not followed, and an answer's body is not read.

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use shared::domain::notice::egress_policy::EgressPolicy;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a receiver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Posts to the receivers that `egress` allows.
#[derive(Clone)]
pub struct Poster {
    client: Client,
    egress: EgressPolicy,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// In how many seconds the receiver wants the next attempt.
    pub(crate) retry_after: Option<i64>,
}

/// The headers of a delivery beside those of every request.
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) standard: String,
    pub(crate) of_body: String,
}

struct Guard {
    egress: EgressPolicy,
    lookup: Lookup,
}

/// An address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the address of the receiver is not public")]
struct NotPublic;

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, lookup) = (self.egress, self.lookup.clone());
        Box::pin(async move {
            let found = lookup(name.as_str().to_owned()).await?;
            // A single forbidden address is enough to refuse the name: a client tries the addresses
            // one after the other.
            if found.is_empty() || !found.iter().all(|address| egress.allows(*address)) {
                return Err(Box::new(NotPublic) as Box<dyn Error + Send + Sync>);
            }
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

fn system_lookup(name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

impl Poster {
    /// Creates a poster that resolves names by the system.
    pub fn new(egress: EgressPolicy) -> Result<Self, reqwest::Error> {
        Self::with_lookup(egress, Arc::new(system_lookup))
    }

    /// Creates a poster that resolves names by `lookup`.
    pub fn with_lookup(egress: EgressPolicy, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .dns_resolver(Arc::new(Guard { egress, lookup }))
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .connect_timeout(CONNECT)
            .no_proxy()
            .user_agent("Toktra-Webhooks/1")
            .build()?;
        Ok(Self { client, egress })
    }

    /// Parses the url, if its host may be reached as far as that is known without resolving it.
    fn checked(&self, url: &str) -> Result<Url, String> {
        if !self.egress.is_receiver(url) {
            return Err("the url is not one of a receiver".to_owned());
        }
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        // The url has an address here as such, even if it was written in decimal, octal or hex.
        let host = url.host_str().unwrap_or_default();
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if literal.is_some_and(|address| !self.egress.allows(address)) {
            return Err(NotPublic.to_string());
        }
        Ok(url)
    }

    /// Posts `body`. Returns the answer, or why there was none.
    pub(crate) async fn post(
        &self,
        url: &str,
        signed: Signed,
        body: String,
        now: Timestamp,
    ) -> Result<Answered, String> {
        let url = self.checked(url)?;
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", signed.id)
            .header("webhook-timestamp", signed.timestamp)
            .header("webhook-signature", signed.standard)
            .header("x-toktra-signature", signed.of_body)
            .body(body);
        let answer = request.send().await.map_err(|error| reason_of(&error))?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| seconds(text, now));
        Ok(Answered {
            status: answer.status().as_u16(),
            retry_after,
        })
    }
}

/// Reads `Retry-After` as seconds from now. It is a number or a date.
fn seconds(text: &str, now: Timestamp) -> Option<i64> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(seconds);
    }
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(at.duration_since(now).as_secs())
}

/// Returns why there was no answer, without naming the url or an address.
fn reason_of(error: &reqwest::Error) -> String {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return NotPublic.to_string();
        }
        source = cause.source();
    }
    if error.is_timeout() {
        format!("no answer within {} seconds", PATIENCE.as_secs())
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn signed() -> Signed {
        Signed {
            id: "evt_1".to_owned(),
            timestamp: "1".to_owned(),
            standard: "v1,x".to_owned(),
            of_body: "sha256=x".to_owned(),
        }
    }

    fn table(names: &[(&str, &[&str])]) -> Lookup {
        let parsed = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        let known: HashMap<String, Vec<IpAddr>> = names
            .iter()
            .map(|(name, addresses)| ((*name).to_owned(), parsed(addresses)))
            .collect();
        Arc::new(move |name| {
            let found = known.get(&name).cloned().unwrap_or_default();
            Box::pin(async move { Ok(found) })
        })
    }

    async fn post(poster: &Poster, url: &str) -> Result<Answered, String> {
        poster
            .post(url, signed(), "{}".to_owned(), Timestamp::UNIX_EPOCH)
            .await
    }

    #[tokio::test]
    async fn no_private_address_is_reached_in_whatever_way_it_is_written_or_resolved() {
        let lookup = table(&[
            ("internal.test", &["10.0.0.7"]),
            ("metadata.test", &["169.254.169.254"]),
            ("mixed.test", &["1.1.1.1", "127.0.0.1"]),
            ("six.test", &["fd00::1"]),
            ("mapped.test", &["::ffff:192.168.1.1"]),
        ]);
        let poster = Poster::with_lookup(EgressPolicy::Public, lookup).unwrap();
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://0/",
            "https://10.1.2.3:8443/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://internal.test/",
            "https://metadata.test/",
            "https://mixed.test/",
            "https://six.test/",
            "https://mapped.test/",
        ] {
            let refused = post(&poster, url).await;
            assert_eq!(refused, Err(NotPublic.to_string()), "{url}");
        }
        for url in [
            "http://example.com/",
            "https://user@example.com/",
            "file:///etc/passwd",
        ] {
            assert!(post(&poster, url).await.is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_rebound_after_it_was_checked_is_not_asked_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 2_048];
            assert!(stream.read(&mut seen).await.unwrap() > 0);
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        });
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // The first lookup finds an address that may be reached, each later one another.
        let lookup: Lookup = Arc::new(move |_| {
            let address = match count.fetch_add(1, Ordering::SeqCst) {
                0 => IpAddr::from([127, 0, 0, 1]),
                _ => IpAddr::from([10, 0, 0, 1]),
            };
            Box::pin(async move { Ok(vec![address]) })
        });
        let poster = Poster::with_lookup(EgressPolicy::PublicAndLoopback, lookup).unwrap();
        let url = format!("http://localhost:{port}/");
        assert_eq!(post(&poster, &url).await.map(|a| a.status), Ok(204));
        assert_eq!(
            asked.load(Ordering::SeqCst),
            1,
            "what was checked is what was connected to"
        );
        assert_eq!(post(&poster, &url).await, Err(NotPublic.to_string()));
    }

    #[test]
    fn a_receiver_may_say_when_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(seconds("120", now), Some(120));
        assert_eq!(seconds("Tue, 24 Nov 2026 12:01:00 GMT", now), Some(60));
        assert_eq!(seconds("soon", now), None);
    }
}
