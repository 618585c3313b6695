//! The lengths of files, functions and lines.

use super::text::{Token, closing_brace, code};

const MAX_FILE: usize = 300;
const MAX_FUNCTION: usize = 70;
const MAX_COLUMNS: usize = 100;

/// Whether a file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part.ends_with("tests.rs"))
}

/// A key for each limit that the file passes, and the number that passes it. Neither limit of a
/// length holds in tests.
pub(crate) fn too_long(path: &str, source: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let widest = source.lines().map(|line| line.chars().count()).max();
    if let Some(columns) = widest.filter(|columns| *columns > MAX_COLUMNS) {
        found.push((format!("columns {path}"), columns));
    }
    if is_test(path) {
        return found;
    }
    let code = code(source);
    let lines = source.lines().count() - code.test_lines;
    if lines > MAX_FILE {
        found.push((format!("file {path}"), lines));
    }
    for (name, lines) in functions(&code.tokens) {
        if lines > MAX_FUNCTION {
            found.push((format!("function {path} {name}"), lines));
        }
    }
    found
}

/// The name and the number of lines of each function with a body.
fn functions<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if keyword.text != "fn" || !name.is_word() {
            continue;
        }
        let mut depth = 0_usize;
        let body = tokens.iter().enumerate().skip(at).find(|(_, token)| {
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(token.text, "{" | ";")
        });
        if let Some((open, Token { text: "{", .. })) = body {
            let end = tokens[closing_brace(tokens, open)].line;
            found.push((name.text, end - keyword.line + 1));
        }
    }
    found
}

fn keys(path: &str, source: &str) -> Vec<String> {
    too_long(path, source)
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

#[test]
fn a_file_of_301_lines_is_too_long_unless_its_tests_make_it_so() {
    let rest = "const A: u8 = 1;\n".repeat(299);
    assert!(keys("a.rs", &format!("{rest}x")).is_empty());
    assert_eq!(keys("a.rs", &format!("{rest}x\ny")), ["file a.rs"]);
    let with_tests = format!("{rest}#[cfg(test)]\nmod tests {{\n}}\n");
    assert!(keys("a.rs", &with_tests).is_empty());
    assert!(keys("a/tests/b.rs", &"\n".repeat(400)).is_empty());
}

#[test]
fn a_function_of_71_lines_is_too_long() {
    let of = |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}", "a;\n".repeat(lines - 2));
    assert!(keys("a.rs", &of(70)).is_empty());
    assert_eq!(keys("a.rs", &of(71)), ["function a.rs f"]);
}

#[test]
fn a_line_of_101_columns_is_too_wide_in_tests_too() {
    assert!(keys("a_tests.rs", &"ä".repeat(100)).is_empty());
    assert_eq!(keys("a_tests.rs", &"ä".repeat(101)), ["columns a_tests.rs"]);
}
