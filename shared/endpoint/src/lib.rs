//! `#[endpoint]`: one line on a handler that states its method, its path and who may call it.
//!
//! A macro by example cannot be an attribute. It needs no parser of Rust: it moves tokens and reads
//! nothing but its own line.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// The rules, the values of `Access` that they are, and what the API's document says of their keys.
const RULES: [(&str, &str, &str); 6] = [
    ("ANYBODY", "Anybody", "security(()),"),
    (
        "OPERATOR",
        "Operator",
        r#"security(("operator_key" = [])),"#,
    ),
    ("ADMIN", "ADMIN", ""),
    ("MANAGED", "MANAGED", ""),
    ("OWN", "OWN", ""),
    ("TRAFFIC", "TRAFFIC", ""),
];
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];
const FORM: &str =
    r#"expected #[endpoint(GET "/v1/things/{id}", ADMIN)], and perhaps WHILE_BLOCKED"#;

/// Declares an endpoint: `#[endpoint(GET "/v1/things/{id}", ADMIN)]`. `WHILE_BLOCKED` at the end
/// opens it to the key of a blocked user; a `GET` is open anyway.
///
/// It makes a module of the handler's name with the constant `ENDPOINT`, which `endpoints!` makes
/// the router of. A `utoipa::path` below it gets its method, path and security from it.
#[proc_macro_attribute]
pub fn endpoint(line: TokenStream, handler: TokenStream) -> TokenStream {
    expanded(line, handler).unwrap_or_else(|why| {
        let error = format!("compile_error!({why:?});");
        error.parse().unwrap_or_default()
    })
}

struct Line {
    method: String,
    /// As it is written, in quotes.
    path: String,
    access: &'static str,
    security: &'static str,
    is_open_while_blocked: bool,
}

fn expanded(line: TokenStream, handler: TokenStream) -> Result<TokenStream, &'static str> {
    let line = Line::read(line).ok_or(FORM)?;
    let name = name_of(&handler).ok_or("an endpoint is a function")?;
    let documented = format!(
        "{}, path = {}, {}",
        line.method.to_lowercase(),
        // The document has no form for a parameter that may have slashes.
        line.path.replace("{*", "{"),
        line.security
    );
    let documented: TokenStream = documented.parse().map_err(|_| FORM)?;
    let declared = format!(
        "pub(crate) mod {name} {{
            pub(crate) const ENDPOINT: ::shared::runtime::endpoint::Endpoint =
                ::shared::runtime::endpoint::Endpoint {{
                    method: {:?},
                    filter: ::shared::runtime::endpoint::MethodFilter::{},
                    path: {},
                    access: ::shared::runtime::endpoint::Access::{},
                    is_open_while_blocked: {},
                }};
        }}",
        line.method, line.method, line.path, line.access, line.is_open_while_blocked
    );
    let mut tokens: TokenStream = declared.parse().map_err(|_| FORM)?;
    tokens.extend(with_documentation(handler, &documented));
    Ok(tokens)
}

impl Line {
    fn read(line: TokenStream) -> Option<Self> {
        let tokens: Vec<String> = line.into_iter().map(|token| token.to_string()).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let (method, path, rule, is_open_while_blocked) = match tokens[..] {
            [method, path, ",", rule] => (method, path, rule, method == "GET"),
            [method, path, ",", rule, ",", "WHILE_BLOCKED"] => (method, path, rule, true),
            _ => return None,
        };
        let (_, access, security) = *RULES.iter().find(|(known, ..)| *known == rule)?;
        (METHODS.contains(&method) && path.starts_with("\"/")).then(|| Self {
            method: method.to_owned(),
            path: path.to_owned(),
            access,
            security,
            is_open_while_blocked,
        })
    }
}

/// Returns the word after `fn`.
fn name_of(handler: &TokenStream) -> Option<String> {
    let mut tokens = handler.clone().into_iter();
    tokens.find(|token| token.to_string() == "fn")?;
    tokens.next().map(|token| token.to_string())
}

/// Puts `documented` into the `utoipa::path(..)` of the handler's attributes, also inside a
/// `cfg_attr`.
fn with_documentation(tokens: TokenStream, documented: &TokenStream) -> TokenStream {
    let mut found: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let token = match token {
            TokenTree::Group(group) if group.delimiter() != Delimiter::Brace => {
                let inner = match is_path_of_utoipa(&found) {
                    true => documented
                        .clone()
                        .into_iter()
                        .chain(group.stream())
                        .collect(),
                    false => with_documentation(group.stream(), documented),
                };
                let mut changed = Group::new(group.delimiter(), inner);
                changed.set_span(group.span());
                TokenTree::Group(changed)
            }
            token => token,
        };
        found.push(token);
    }
    found.into_iter().collect()
}

fn is_path_of_utoipa(before: &[TokenTree]) -> bool {
    let last = before.iter().rev().take(4).map(ToString::to_string);
    last.eq(["path", ":", ":", "utoipa"])
}
