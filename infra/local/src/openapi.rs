//! The OpenAPI document, merged from the documents of the functions.

use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Header, OpenApi, PathItem, Ref, RefOr};

/// The description of the whole API.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Toktra",
        description = "Budgets for LLM usage that truly hold, and policies that watch each event \
            and act.\n\n\
            US dollars are JSON numbers with at most six decimals, kept exactly; a whole number \
            has no decimal point. Unknown fields are refused. A list answers with `next_cursor`, \
            which is the `cursor` of its next page. \
            `X-RateLimit-Limit`, `-Remaining` and `-Reset` say what the key may do in this minute.",
    ),
    servers((url = "/", description = "Where this document is served.")),
    security(("key" = [])),
    tags(
        (name = "Requests", description = "Before and after a request to a model."),
        (name = "Budgets", description = "Limits, what is left of them, and what was used."),
        (name = "Prices", description = "What usage costs: the table, and own prices over it."),
        (name = "Exemptions", description = "A way past a hard cap, for one user and a while."),
        (name = "Audit", description = "Who changed what, and when and why."),
        (name = "Policies", description = "What is watched, and what is done."),
        (name = "Incidents and alerts"),
        (name = "Departments"),
        (name = "Users"),
        (name = "Webhooks", description = "Where an organisation's own systems are told."),
        (name = "GitHub", description = "Where risks come from."),
        (name = "Keys"),
        (name = "Organisations"),
        (name = "Service"),
    ),
)]
struct Base;

/// Merges the documents of all functions. Add a function here if it has new operations. Each
/// operation is described at its handler.
pub fn document() -> OpenApi {
    let mut whole = Base::openapi();
    for part in [
        api::Operations::openapi(),
        api::openapi::Schemas::openapi(),
        preflight::Operations::openapi(),
        ingest::Operations::openapi(),
    ] {
        whole.merge(part);
    }
    add_keys(&mut whole);
    add_refusals(&mut whole);
    name_requests(&mut whole);
    name_items(&mut whole);
    let operations = whole.paths.paths.values_mut().flat_map(operations);
    operations.for_each(miss_bodies);
    whole
}

/// The document as it is checked in, as JSON.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(document().to_pretty_json()? + "\n")
}

/// Adds the security schemes.
fn add_keys(whole: &mut OpenApi) {
    let bearer = |description: &str| {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(description.to_owned());
        SecurityScheme::Http(scheme)
    };
    let components = whole.components.get_or_insert_default();
    let key = bearer("A key of an organisation, which has a role.");
    components.add_security_scheme("key", key);
    let operator = bearer("The operator's key, a secret of the deployment.");
    components.add_security_scheme("operator_key", operator);
}

/// Adds the shared error responses.
fn add_refusals(whole: &mut OpenApi) {
    let components = whole.components.get_or_insert_default();
    let refusals = shared::runtime::openapi::refusals();
    components
        .responses
        .extend(refusals.map(|(name, response)| (name.to_owned(), RefOr::T(response))));
}

/// Adds the `x-request-id` header to each response.
fn name_requests(whole: &mut OpenApi) {
    let shared = whole.components.iter_mut();
    let shared = shared.flat_map(|components| components.responses.iter_mut());
    let own = whole.paths.paths.values_mut().flat_map(operations);
    let own = own.flat_map(|operation| operation.responses.responses.iter_mut());
    for (_, response) in shared.chain(own) {
        if let RefOr::T(response) = response {
            let name = "x-request-id".to_owned();
            response.headers.insert(name, request_id());
        }
    }
}

/// Lets the items of a page refer to their schema, because a derived generic schema repeats it.
fn name_items(whole: &mut OpenApi) {
    let schemas = whole
        .components
        .iter_mut()
        .flat_map(|components| components.schemas.iter_mut());
    for (name, schema) in schemas {
        let Some(item) = name.strip_prefix("Page_") else {
            continue;
        };
        if let RefOr::T(Schema::Object(page)) = schema {
            let items = ArrayBuilder::new()
                .items(Ref::from_schema_name(item))
                .description(Some("The items."));
            page.properties
                .insert("items".to_owned(), RefOr::T(items.into()));
        }
    }
}

/// Makes an optional body optional instead of nullable.
fn miss_bodies(operation: &mut Operation) {
    let bodies = operation.request_body.iter_mut();
    for content in bodies.flat_map(|body| body.content.values_mut()) {
        let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema else {
            continue;
        };
        if let [RefOr::T(Schema::Object(null)), body] = choice.items.as_slice()
            && null.schema_type == SchemaType::new(Type::Null)
        {
            content.schema = Some(body.clone());
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.patch,
        &mut path.delete,
    ]
    .into_iter()
    .flatten()
}

fn request_id() -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new()
        .schema(Schema::from(text.build()))
        .description(Some("Names the request in the logs."))
        .build()
}
