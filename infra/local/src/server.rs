//! The server of the local system: HTTP/1.1 on a socket, with a limit of connections and a time for
//! each header.

mod bounces;
mod cors;
mod guard;
mod local_routes;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::{from_fn, from_fn_with_state};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use shared::runtime::http::finished;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use cors::with_cors;
use guard::{Guard, guarded};
pub(crate) use local_routes::{LocalState, routes as local_routes};

/// The most connections at the same time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// The largest header, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The routes of a system behind their guard.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    router: Router,
    guard: Guard,
    time_to_send: Duration,
}

impl Server {
    /// A client has `time_to_send` for the header of each request, and again for its body.
    pub(crate) fn new(routes: Router, time_to_send: Duration) -> Self {
        let guard = Guard::new(time_to_send);
        let routes = routes.layer(from_fn_with_state(guard.clone(), guarded));
        Self {
            router: finished(routes).layer(from_fn(with_cors)),
            guard,
            time_to_send,
        }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Answers requests until `stop`, then those that have begun.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        self.guard.listens_on(listener.local_addr()?.port());
        accept(listener, self.router(), self.time_to_send, stop).await
    }
}

/// A client has `header_time` for the header of each request. A connection without requests is
/// closed after that time, too.
async fn accept(
    listener: TcpListener,
    router: Router,
    header_time: Duration,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(MAX_HEADER_BYTES);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepting = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepting => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is one small write.
        stream.set_nodelay(true)?;
        let router = router.clone();
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            // Unknown keys are limited by the address they come from.
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
    Ok(())
}
