//! The roads through the files in docs/architecture.md: their files exist, are few, and go down
//! from the functions to the domain.

use end_to_end::sources::read;

/// The most files of a road.
const MOST: usize = 12;

/// The layers from the top. After a paragraph that begins with "Then" a road starts at the top
/// again.
const LAYERS: [&str; 4] = [
    "functions/",
    "shared/src/ledger/",
    "shared/src/store/",
    "shared/src/domain/",
];

/// The numbered files of each road, by its heading. None is a start at the top.
fn roads(document: &str) -> Vec<(&str, Vec<Option<&str>>)> {
    let mut found: Vec<(&str, Vec<Option<&str>>)> = Vec::new();
    for line in document.lines() {
        if let Some((heading, _)) = line
            .strip_prefix("**")
            .and_then(|rest| rest.split_once("**"))
        {
            found.push((heading, Vec::new()));
        }
        let Some((_, road)) = found.last_mut() else {
            continue;
        };
        let item = line
            .split_once(". `")
            .filter(|(number, _)| number.parse::<u8>().is_ok());
        if let Some((file, _)) = item.and_then(|(_, rest)| rest.split_once('`')) {
            road.push(Some(file));
        } else if line.starts_with("Then") {
            road.push(None);
        }
    }
    found
}

/// What is wrong with a road.
fn wrong(heading: &str, road: &[Option<&str>], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let files: Vec<&str> = road.iter().copied().flatten().collect();
    let mut wrong = Vec::new();
    if !(1..=MOST).contains(&files.len()) {
        wrong.push(format!("{heading} has {} files", files.len()));
    }
    wrong.extend(
        files
            .iter()
            .filter(|file| !exists(file))
            .map(|file| format!("no {file}")),
    );
    let mut lowest = 0;
    for file in road {
        let layer = file.map_or(Some(0), |file| {
            LAYERS.iter().position(|of| file.starts_with(of))
        });
        match layer {
            Some(layer) if layer >= lowest || file.is_none() => lowest = layer,
            _ => wrong.push(format!("{} goes up", file.unwrap_or_default())),
        }
    }
    wrong
}

#[test]
fn the_roads_of_the_documentation_are_short_and_go_down() {
    let document = read("docs/architecture.md");
    let (_, section) = document.split_once("\n## Roads").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let roads = roads(section);
    assert_eq!(roads.len(), 4);
    let exists = |file: &str| !read(file).is_empty();
    let wrong: Vec<String> = roads
        .iter()
        .flat_map(|(heading, road)| wrong(heading, road, exists))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_road_that_is_long_or_goes_up_or_nowhere_is_found() {
    let text = "**A.**\n1. `functions/a.rs` asks.\n2. `shared/src/store/b.rs`\n\nThen:\n\
                3. `functions/c.rs`\n4. `shared/src/domain/d.rs`\n5. `shared/src/ledger/e.rs`\n";
    let roads = roads(text);
    let (heading, road) = &roads[0];
    assert_eq!((*heading, road.len()), ("A.", 6));
    let found = wrong(heading, road, |file| file != "functions/c.rs");
    assert_eq!(
        found,
        ["no functions/c.rs", "shared/src/ledger/e.rs goes up"]
    );
    assert_eq!(wrong("B", &[], |_| true), ["B has 0 files"]);
    let long = [Some("functions/a.rs"); 13];
    assert_eq!(wrong("C", &long, |_| true), ["C has 13 files"]);
}
