//! Pages of other origins may do on the local system what they may do on a deployed one.

use end_to_end::sources::read;
use end_to_end::template::{Template, each};
use end_to_end::{ADMIN, Answer, World};
use local::system::SystemSettings;
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: (&str, &str) = ("origin", "https://console.example.com");

/// The values of a list of the template.
fn listed(value: &Value) -> BTreeSet<String> {
    let values = each(value).filter_map(Value::as_str);
    values.map(str::to_owned).collect()
}

/// The values of a header that has a list.
fn said(answer: &Answer, header: &str) -> BTreeSet<String> {
    let value = answer.headers.get(header).map(|of| of.to_str().unwrap());
    let values = value.into_iter().flat_map(|of| of.split(','));
    values.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_local_system_answers_pages_as_the_gateway_does() {
    let world = World::empty().await;
    let template = Template::parse(&read("template.yaml"));
    let cors = &template.of_type("AWS::Serverless::HttpApi")["HttpApi"]["CorsConfiguration"];
    let origins = &template.document["Parameters"]["CorsOrigins"]["Default"];
    let age = BTreeSet::from([cors["MaxAge"].to_string()]);

    for path in ["/v1/preflight", "/v1/users/ada", "/v1/nothing"] {
        let asks = [PAGE, ("access-control-request-method", "POST")];
        let answer = world.raw("", "OPTIONS", path, &asks, "").await;
        assert_eq!(answer.status, 204, "{path}");
        for (header, expected) in [
            ("access-control-allow-origin", listed(origins)),
            (
                "access-control-allow-methods",
                listed(&cors["AllowMethods"]),
            ),
            (
                "access-control-allow-headers",
                listed(&cors["AllowHeaders"]),
            ),
            ("access-control-max-age", age.clone()),
        ] {
            assert_eq!(said(&answer, header), expected, "{path} {header}");
        }
    }
    // A refusal is for the page to read, too.
    let exposed = listed(&cors["ExposeHeaders"]);
    for (key, path) in [(ADMIN, "/v1/users"), ("", "/v1/users"), ("", "/v1/nothing")] {
        let answer = world.raw(key, "GET", path, &[PAGE], "").await;
        let allowed = said(&answer, "access-control-allow-origin");
        assert_eq!(allowed, listed(origins), "{path}");
        assert_eq!(said(&answer, "access-control-expose-headers"), exposed);
    }
    // Nobody else is told of pages, and the local routes are for pages of the server itself.
    let answer = world.raw(ADMIN, "GET", "/v1/users", &[], "").await;
    assert!(said(&answer, "access-control-allow-origin").is_empty());
    let answer = world.raw(ADMIN, "GET", "/local/clock", &[PAGE], "").await;
    assert!(said(&answer, "access-control-allow-origin").is_empty());
}

#[tokio::test]
async fn a_page_may_read_every_header_of_an_answer_that_says_something() {
    let settings = SystemSettings {
        is_limited: true,
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    let template = Template::parse(&read("template.yaml"));
    let cors = &template.of_type("AWS::Serverless::HttpApi")["HttpApi"]["CorsConfiguration"];
    let exposed = listed(&cors["ExposeHeaders"]);
    let mut sent = BTreeSet::new();
    for (key, path) in [
        (ADMIN, "/v1/users"),
        (ADMIN, "/v1/audit-log/export"),
        ("", "/v1/users"),
    ] {
        let answer = world.raw(key, "GET", path, &[], "").await;
        let names = answer.headers.keys().map(ToString::to_string);
        sent.extend(names.filter(|name| name.starts_with("x-") || name == "retry-after"));
    }
    assert!(sent.len() >= 4, "{sent:?}");
    let hidden: Vec<_> = sent.difference(&exposed).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    // These come with a long log and with too many requests.
    for name in ["x-next-after-seq", "retry-after"] {
        assert!(exposed.contains(name), "{name}");
    }
}
