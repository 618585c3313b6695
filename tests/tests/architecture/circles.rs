//! Circles of imports: modules of one folder that need each other, directly or through others.

use super::text::{Code, Token, code};
use std::collections::{BTreeMap, BTreeSet};

/// A module of a crate, as the names that lead to it from the root.
type Module = Vec<String>;

/// What the names that a module imports stand for: their whole paths.
type Imports = BTreeMap<(Module, String), Vec<String>>;

/// A path in a source.
struct Path<'a> {
    names: Vec<&'a str>,
    /// The name that it is imported as; None if it is not in a `use`.
    import: Option<&'a str>,
}

impl Path<'_> {
    fn owned(&self) -> Vec<String> {
        self.names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The number of imports that are followed from one name.
const MAX_STEPS: usize = 8;

struct Crate {
    modules: BTreeSet<Module>,
    imports: Imports,
}

/// The circles of a crate, given the path below `src` and the text of each of its files. A circle
/// is its folder's module and the modules in it.
pub(crate) fn circles(name: &str, files: &[(String, String)]) -> Vec<String> {
    // Beside a library, the program is a crate of its own: its imports are not the library's.
    let has_library = files.iter().any(|(path, _)| path == "lib.rs");
    let files: Vec<(Module, Code<'_>)> = files
        .iter()
        .filter(|(path, _)| !has_library || path != "main.rs")
        .map(|(path, text)| (module_of(path), code(text)))
        .collect();
    let tests: BTreeSet<Module> = files
        .iter()
        .flat_map(|(module, code)| {
            code.test_modules
                .iter()
                .map(move |test| joined(module, test))
        })
        .collect();
    let files: Vec<_> = files
        .iter()
        .filter(|(module, _)| (0..=module.len()).all(|end| !tests.contains(&module[..end])))
        .collect();
    let mut whole = Crate {
        modules: files.iter().map(|(module, _)| module.clone()).collect(),
        imports: Imports::new(),
    };
    for (module, code) in &files {
        for path in paths(&code.tokens) {
            if let Some(name) = path.import {
                let key = (module.clone(), name.to_owned());
                whole.imports.insert(key, path.owned());
            }
        }
    }
    let mut needs: BTreeMap<Module, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for (module, code) in &files {
        for path in paths(&code.tokens) {
            let target = whole.resolve(module, &path.owned(), MAX_STEPS);
            let Some(target) = target else { continue };
            let shared = module
                .iter()
                .zip(&target)
                .take_while(|(a, b)| a == b)
                .count();
            if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                let of_folder = needs.entry(module[..shared].to_vec()).or_default();
                of_folder
                    .entry(from.as_str())
                    .or_default()
                    .insert(to.clone());
            }
        }
    }
    let mut found = Vec::new();
    for (folder, needs) in &needs {
        let folder = [&[name.to_owned()], &folder[..]].concat().join("::");
        for circle in circles_among(needs) {
            found.push(format!("circle {folder} {}", circle.join(" ")));
        }
    }
    found
}

fn joined(module: &[String], name: &str) -> Module {
    [module, &[name.to_owned()]].concat()
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let mut module: Module = path.split('/').map(str::to_owned).collect();
    let is_folder = |name: &String| matches!(name.as_str(), "mod" | "lib" | "main");
    if module.last().is_some_and(is_folder) {
        module.pop();
    }
    module
}

impl Crate {
    /// The module in which a path ends; None if the path leaves the crate.
    fn resolve(&self, from: &[String], path: &[String], steps: usize) -> Option<Module> {
        let mut at = from.to_vec();
        for (place, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop();
                }
                name => {
                    let next = joined(&at, name);
                    if self.modules.contains(&next) {
                        at = next;
                        continue;
                    }
                    let is_relative = place == 0;
                    let known = self.imports.get(&(at.clone(), name.to_owned()));
                    if let Some(import) = known.filter(|import| *import != path && steps > 0) {
                        let whole = [&import[..], &path[place + 1..]].concat();
                        return self.resolve(&at, &whole, steps - 1);
                    }
                    return (!is_relative).then_some(at);
                }
            }
        }
        Some(at)
    }
}

/// The paths of a source that begin in its crate, and those of all its imports.
fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text;
        let is_next = |text: &str| tokens.get(at + 1).is_some_and(|next| next.text == text);
        let is_inside = at > 0 && tokens[at - 1].text == "::";
        if text == "use" {
            at = tree(tokens, at + 1, &[], &mut found);
        } else if matches!(text, "crate" | "super" | "self") && is_next("::") && !is_inside {
            let (names, end) = plain_path(tokens, at);
            found.push(Path {
                names,
                import: None,
            });
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the names of a path from `at`; returns them and the place after them.
fn plain_path<'a>(tokens: &[Token<'a>], mut at: usize) -> (Vec<&'a str>, usize) {
    let mut names = Vec::new();
    while let Some(token) = tokens.get(at).filter(|token| token.is_word()) {
        names.push(token.text);
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    (names, at)
}

/// Reads a path of a `use`, or a tree of paths, from `at`; returns the place after it.
fn tree<'a>(
    tokens: &[Token<'a>],
    at: usize,
    before: &[&'a str],
    found: &mut Vec<Path<'a>>,
) -> usize {
    let (names, mut at) = plain_path(tokens, at);
    let names = [before, &names].concat();
    let text = |at: usize| tokens.get(at).map_or(";", |token| token.text);
    if text(at) == "{" {
        at += 1;
        while !matches!(text(at), "}" | ";") {
            at = match text(at) {
                "," => at + 1,
                _ => tree(tokens, at, &names, found).max(at + 1),
            };
        }
        return at + 1;
    }
    let is_renamed = text(at) == "as";
    let import = match names.as_slice() {
        _ if is_renamed => Some(text(at + 1)),
        [.., of, "self"] => Some(*of),
        [.., name] => Some(*name),
        [] => None,
    };
    found.push(Path { names, import });
    if is_renamed { at + 2 } else { at }
}

/// The groups of modules that all need each other.
fn circles_among<'a>(needs: &'a BTreeMap<&str, BTreeSet<String>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = needs
        .keys()
        .map(|&name| (name, reached_from(name, needs)))
        .collect();
    let mut circles: Vec<Vec<&str>> = Vec::new();
    for (name, all) in &reached {
        let needs_it = |other: &&str| reached.get(other).is_some_and(|all| all.contains(name));
        let circle: Vec<&str> = all.iter().copied().filter(needs_it).collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// The modules that a module needs, directly or through others.
fn reached_from<'a>(
    name: &'a str,
    needs: &'a BTreeMap<&str, BTreeSet<String>>,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![name];
    while let Some(next) = left.pop() {
        for to in needs.get(next).into_iter().flatten() {
            if reached.insert(to.as_str()) {
                left.push(to);
            }
        }
    }
    reached
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    circles("c", &files)
}

#[test]
fn a_circle_is_found_in_imports_and_in_paths() {
    let a = ("a.rs", "use crate::{b::{X, y::z}, d};");
    let circle = ["circle c a b"];
    assert_eq!(found(&[a, ("b.rs", "fn f() { super::a::g() }")]), circle);
    assert_eq!(found(&[a, ("b/mod.rs", "use super::a as other;")]), circle);
    let through = ("d.rs", "use crate::a;");
    let files = [a, ("b.rs", "use crate::d::X;"), through];
    assert_eq!(found(&files), ["circle c a b d"]);
    assert!(found(&[a, ("b.rs", "use std::a; // crate::a::b"), ("d.rs", "")]).is_empty());
}

#[test]
fn a_name_that_a_parent_passes_on_is_followed() {
    let root = ("lib.rs", "mod a; mod b; pub use a::{X, Y as Z};");
    let files = [
        root,
        ("a.rs", "use super::b::W;"),
        ("b.rs", "use crate::Z;"),
    ];
    assert_eq!(found(&files), ["circle c a b"]);
    let files = [
        root,
        ("a.rs", "use super::b::W;"),
        ("b.rs", "use crate::V;"),
    ];
    assert!(found(&files).is_empty());
    let program = ("main.rs", "use c::X;");
    let files = [
        root,
        ("a.rs", "use super::b::W;"),
        ("b.rs", "use crate::X;"),
    ];
    for files in [[&[program], &files[..]], [&files[..], &[program]]] {
        assert_eq!(found(&files.concat()), ["circle c a b"]);
    }
}

#[test]
fn folders_are_compared_with_their_neighbours_and_tests_are_left_out() {
    let inner = (
        "d/a.rs",
        "use super::b; #[cfg(test)] mod tests { use crate::e; }",
    );
    let files = [
        ("d/mod.rs", "mod a; mod b;"),
        inner,
        ("d/b.rs", "use crate::d::a::X;"),
    ];
    assert_eq!(found(&files), ["circle c::d a b"]);
    let samples = ("d/b.rs", "use crate::d::a::X;");
    let files = [("d/mod.rs", "mod a; #[cfg(test)] mod b;"), inner, samples];
    assert!(found(&files).is_empty());
}
