//! Endpoints: each is declared once, on its handler, by `#[shared::endpoint(..)]`. The router, the
//! check of roles, the table of roles and the API's document are derived from these lines.

use crate::domain::org::people::Role;
use axum::Extension;
use axum::handler::Handler;
pub use axum::routing::MethodFilter;
use axum::routing::{MethodRouter, on};

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key: either the request proves itself, or there is nothing to protect.
    Anybody,
    /// The operator of the deployment.
    Operator,
    /// Keys of an organisation that have one of these roles.
    Roles(&'static [Role]),
}

impl Access {
    pub const ADMIN: Self = Self::Roles(&[Role::Admin]);
    /// Administrators, and managers for what they manage.
    pub const MANAGED: Self = Self::Roles(&[Role::Admin, Role::Manager]);
    /// The same, and members for themselves.
    pub const OWN: Self = Self::Roles(&[Role::Admin, Role::Manager, Role::Member]);
    /// Every key: the requests before and after a request to a model.
    pub const TRAFFIC: Self = Self::Roles(&[Role::Admin, Role::Manager, Role::Member, Role::Agent]);
}

/// An endpoint, as the line on its handler declares it. A request has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Endpoint {
    /// The HTTP method, such as `GET`.
    pub method: &'static str,
    /// The method as axum's router takes it.
    pub filter: MethodFilter,
    /// The path, such as `/v1/users/{id}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Whether the key of a blocked user may call it, if its role may. Such a key reads what a
    /// member may read, asks for an exemption and takes that back, learns of the block from
    /// preflight, gives back what is held, and reports what was used.
    pub is_open_while_blocked: bool,
}

impl Endpoint {
    /// Routes requests to `handler`, which finds out by [`Caller`](super::auth::Caller) whether
    /// they may call it.
    pub fn route<H, T, S>(self, handler: H) -> MethodRouter<S>
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        on(self.filter, handler).route_layer(Extension(self))
    }
}

/// Makes the table and the router of a function, and what the API's document says of it, from the
/// names of its handlers: `endpoints! { App: health, users::list }`. A condition before the state,
/// such as `#[cfg(feature = "openapi")]`, is one on the document.
#[macro_export]
macro_rules! endpoints {
    ($(#[$if:meta])? $app:ty: $($($name:ident)::+),+ $(,)?) => {
        /// The endpoints of this function.
        pub const ENDPOINTS: &[$crate::runtime::endpoint::Endpoint] =
            &[$($($name)::+::ENDPOINT),+];

        /// The routes without what surrounds them, to be served beside those of other functions.
        pub fn routes() -> ::axum::Router<$app> {
            let router = ::axum::Router::new();
            $(
                let endpoint = $($name)::+::ENDPOINT;
                let router = router.route(endpoint.path, endpoint.route($($name)::+));
            )+
            router
        }

        /// What the API's document says of the endpoints.
        $(#[$if])?
        #[derive(Debug, ::utoipa::OpenApi)]
        #[openapi(paths($($($name)::+),+))]
        pub struct Operations;
    };
}
