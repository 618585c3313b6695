//! The people that a webhook names, and the users behind them.

use serde_json::Value;
use std::collections::BTreeMap;

/// The most people of a push to consider.
const MAX_PEOPLE: usize = 50;

/// Returns the logins of the people who may have caused it, the likeliest first and each once.
///
/// This is the sender. If a program pushed for somebody, it is the pusher, then the authors of the
/// commits, and the program last.
pub(super) fn logins(event: &str, body: &Value) -> Vec<String> {
    let sender = &body["sender"];
    let login = sender["login"].as_str();
    let is_program = sender["type"] == "Bot" || login.is_some_and(|login| login.ends_with("[bot]"));
    let mut found: Vec<&str> = login.filter(|_| !is_program).into_iter().collect();
    if event == "push" {
        found.extend(body["pusher"]["name"].as_str());
        let commits = body["commits"].as_array().map_or(&[][..], Vec::as_slice);
        let commits = commits.iter().chain([&body["head_commit"]]);
        found.extend(commits.filter_map(|commit| commit["author"]["username"].as_str()));
    }
    found.extend(login.filter(|_| is_program));
    let mut people: Vec<String> = Vec::new();
    for login in found {
        let is_known = people.iter().any(|known| known.eq_ignore_ascii_case(login));
        if !is_known && people.len() < MAX_PEOPLE {
            people.push(login.to_owned());
        }
    }
    people
}

/// Returns the user behind the first known one of `logins`. GitHub's logins ignore case.
pub fn user_of<'a>(users: &'a BTreeMap<String, String>, logins: &[String]) -> Option<&'a str> {
    logins.iter().find_map(|login| {
        let mut users = users.iter();
        let found = users.find(|(known, _)| known.eq_ignore_ascii_case(login));
        found.map(|(_, user_id)| user_id.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn push(sender: Value) -> Value {
        json!({
            "sender": sender, "pusher": {"name": "mona", "email": "mona@example.com"},
            "commits": [
                {"author": {"name": "Ada", "username": "ada-l"}},
                {"author": {"name": "Nobody", "email": "n@example.com"}},
                {"author": {"name": "Mona", "username": "Mona"}},
            ],
        })
    }

    #[test]
    fn who_pushed_comes_before_the_authors_and_a_program_last() {
        for (sender, expected) in [
            (
                json!({"login": "octocat", "type": "User"}),
                vec!["octocat", "mona", "ada-l"],
            ),
            (
                json!({"login": "sync", "type": "Bot"}),
                vec!["mona", "ada-l", "sync"],
            ),
            (
                json!({"login": "renovate[bot]"}),
                vec!["mona", "ada-l", "renovate[bot]"],
            ),
        ] {
            assert_eq!(logins("push", &push(sender)), expected);
        }
        let other = json!({"sender": {"login": "octocat"}, "pusher": {"name": "mona"}});
        assert_eq!(logins("fork", &other), ["octocat"]);
        assert!(logins("fork", &json!({})).is_empty());
    }

    #[test]
    fn the_first_that_is_known_is_the_user_in_whatever_case() {
        let users = BTreeMap::from([
            ("Ada".to_owned(), "ada".to_owned()),
            ("bob".to_owned(), "bob".to_owned()),
        ]);
        let of = |logins: &[&str]| {
            let logins: Vec<String> = logins.iter().map(|login| (*login).to_owned()).collect();
            user_of(&users, &logins).map(str::to_owned)
        };
        assert_eq!(of(&["eve", "aDA", "bob"]).as_deref(), Some("ada"));
        assert_eq!(of(&["eve"]), None);
    }
}
