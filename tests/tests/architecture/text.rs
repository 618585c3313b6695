//! Rust code as words and signs, without comments and without the contents of strings.

/// A word or a sign, and the number of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is_word(self) -> bool {
        self.text.bytes().next().is_some_and(is_word_byte)
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The words and signs of a source; `::` is one sign, and a string or character is the sign `"`.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < source.len() {
        let end = at + length(source, at);
        let text = &source[at..end];
        let first = source.as_bytes()[at];
        let is_comment = text.starts_with("//") || text.starts_with("/*");
        if !is_comment && is_literal(text) {
            found.push(Token { text: "\"", line });
        } else if !is_comment && first.is_ascii_graphic() && first != b'\'' {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        at = end;
    }
    found
}

fn is_literal(text: &str) -> bool {
    text.len() > 1 && (text.ends_with('"') || text.ends_with('#') || text.ends_with('\''))
}

/// The length of what begins at `at`: a comment, a literal, a word or one sign.
fn length(source: &str, at: usize) -> usize {
    let rest = &source[at..];
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if rest.starts_with("::") {
        return 2;
    }
    if rest.starts_with('"') {
        return quoted(rest);
    }
    if rest.starts_with('\'') {
        return quoted_character(rest);
    }
    let word = rest.bytes().take_while(|byte| is_word_byte(*byte)).count();
    match &rest[..word] {
        "r" | "br" | "cr" => raw(&rest[word..]).map_or(word, |length| word + length),
        "b" | "c" if rest[word..].starts_with('"') => word + quoted(&rest[word..]),
        "b" if rest[word..].starts_with('\'') => word + quoted_character(&rest[word..]),
        "" => rest.chars().next().map_or(1, char::len_utf8),
        _ => word,
    }
}

/// The length of a string that begins with a quotation mark.
fn quoted(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character, or of a lifetime: its first sign is an apostrophe, too.
fn quoted_character(rest: &str) -> usize {
    let mut characters = rest[1..].chars();
    let first = characters.next().unwrap_or('\'');
    if first == '\\' {
        let closing = rest[3..].find('\'');
        return closing.map_or(rest.len(), |closing| closing + 4);
    }
    if characters.next() == Some('\'') {
        return first.len_utf8() + 2;
    }
    1 + rest[1..]
        .bytes()
        .take_while(|byte| is_word_byte(*byte))
        .count()
}

/// The length of a raw string after its prefix; None if this is none.
fn raw(rest: &str) -> Option<usize> {
    let marks = rest.bytes().take_while(|byte| *byte == b'#').count();
    let inner = rest[marks..].strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(marks));
    let end = inner.find(&closing)?;
    Some(marks + 1 + end + closing.len())
}

/// A source without its tests.
pub(crate) struct Code<'a> {
    pub(crate) tokens: Vec<Token<'a>>,
    /// The modules in other files that are compiled for tests only.
    pub(crate) test_modules: Vec<&'a str>,
    /// The number of lines that belong to tests.
    pub(crate) test_lines: usize,
}

const TEST_ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// Takes every item under `#[cfg(test)]` out of a source.
pub(crate) fn code(source: &str) -> Code<'_> {
    let all = tokens(source);
    let mut code = Code {
        tokens: Vec::new(),
        test_modules: Vec::new(),
        test_lines: 0,
    };
    let mut at = 0;
    while at < all.len() {
        let is_test = all[at..].len() >= TEST_ATTRIBUTE.len()
            && TEST_ATTRIBUTE
                .iter()
                .zip(&all[at..])
                .all(|(text, token)| *text == token.text);
        if !is_test {
            code.tokens.push(all[at]);
            at += 1;
            continue;
        }
        let begin = at;
        at = item_end(&all, at + TEST_ATTRIBUTE.len());
        let item = &all[begin..at];
        if let [.., Token { text: "mod", .. }, name, Token { text: ";", .. }] = item {
            code.test_modules.push(name.text);
        }
        code.test_lines += item[item.len() - 1].line - item[0].line + 1;
    }
    code
}

/// The place after an item that begins at `at`, perhaps with further attributes.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < tokens.len() {
        match tokens[at].text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            "{" if depth == 0 => return closing_brace(tokens, at) + 1,
            _ => {}
        }
        at += 1;
    }
    tokens.len()
}

/// The place of the brace that closes the one at `at`.
pub(crate) fn closing_brace(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            "{" => depth += 1,
            "}" if depth == 1 => return place,
            "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len() - 1
}

#[test]
fn comments_and_contents_of_literals_are_no_code() {
    let source = r###"a::b /* c */ 'x' '\'' &'d "e \" f" // "g"
        r#"h " i"# b"j" k"###;
    let found: Vec<_> = tokens(source)
        .iter()
        .map(|token| (token.text, token.line))
        .collect();
    let expected = [
        ("a", 1),
        ("::", 1),
        ("b", 1),
        ("\"", 1),
        ("\"", 1),
        ("&", 1),
        ("\"", 1),
        ("\"", 2),
        ("\"", 2),
        ("k", 2),
    ];
    assert_eq!(found, expected);
}

#[test]
fn items_under_cfg_test_are_no_code() {
    let source = "a;\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod b;\n#[cfg(test)]\nmod c {\n d {}\n}\ne";
    let code = code(source);
    let texts: Vec<_> = code.tokens.iter().map(|token| token.text).collect();
    assert_eq!(texts, ["a", ";", "e"]);
    assert_eq!((code.test_modules, code.test_lines), (vec!["b"], 7));
}
