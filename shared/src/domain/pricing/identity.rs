//! The names by which people may mean a model, for comparisons with what they write.

use super::name::Name;
use super::rules::Rules;

/// Returns the names of a model, in lower case: as it was reported, `matched` if that is surely the
/// same model, and both without who is in front and without the date and the like behind
/// (`claude-sonnet-4.5`, `claude-sonnet-4-5`). Each is also there behind each of its sellers:
/// `azure/gpt-4o`. These are the provider as it was named and as the price table calls it, and who
/// is in front of the reported name.
pub fn names(provider: Option<&str>, reported: &str, matched: Option<&str>) -> Vec<String> {
    let mut sellers: Vec<String> = Vec::new();
    let provider = provider.map(|name| name.trim().to_lowercase());
    if let Some(name) = provider.filter(|name| !name.is_empty()) {
        let called = Rules::get().called_by(&name).into_iter();
        sellers.extend(called.flat_map(|called| &called.sellers).map(text));
        sellers.push(name);
    }
    let read = Name::read(reported);
    let front = read.as_ref().and_then(|read| read.front.as_ref());
    sellers.extend(front.iter().flat_map(|called| &called.sellers).map(text));
    let mut names: Vec<String> = Vec::new();
    for (whole, read) in [
        (Some(reported), read),
        (matched, matched.and_then(Name::read)),
    ] {
        names.extend(whole.map(|whole| whole.trim().to_lowercase()));
        names.extend(read.into_iter().flat_map(|read| [read.spelled, read.model]));
    }
    let own = names.len();
    for seller in &sellers {
        let behind = names
            .iter()
            .take(own)
            .map(|name| format!("{seller}/{name}"));
        names.extend(behind.collect::<Vec<String>>());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the name of a row without who is in front, and without the date and the like behind.
pub fn without_seller(row: &str) -> Option<String> {
    Some(Name::read(row)?.model)
}

fn text(name: &&'static str) -> String {
    (*name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(provider: Option<&str>, reported: &str, wanted: &[&str]) {
        let names = names(provider, reported, None);
        for name in wanted {
            assert!(names.iter().any(|of| of == name), "{name} of {names:?}");
        }
    }

    #[test]
    fn a_model_has_its_name_without_what_is_in_front_and_behind_and_its_sellers() {
        has(
            Some("OpenAI"),
            "GPT-4o-mini-2024-07-18",
            &[
                "gpt-4o-mini-2024-07-18",
                "gpt-4o-mini",
                "openai/gpt-4o-mini",
            ],
        );
        has(
            Some("azure.ai.openai"),
            "gpt4o",
            &["gpt4o", "azure/gpt4o", "azure.ai.openai/gpt4o"],
        );
        has(None, "openai/gpt-4o", &["gpt-4o", "openai/gpt-4o"]);
        has(
            Some("anthropic"),
            "claude-sonnet-4.5",
            &["anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"],
        );
        has(
            None,
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            &["claude-sonnet-4-5", "bedrock/claude-sonnet-4-5"],
        );
        has(Some("mine"), "My-Model", &["my-model", "mine/my-model"]);
    }

    #[test]
    fn nobody_sells_a_model_that_names_nobody() {
        assert_eq!(names(None, "gpt-4o", None), ["gpt-4o"]);
        assert_eq!(names(Some(" "), "gpt-4o", None), ["gpt-4o"]);
        assert_eq!(names(None, "", None), [""]);
    }

    #[test]
    fn the_name_of_the_price_counts_too() {
        let names = names(Some("azure"), "our-deployment", Some("azure/gpt-4o"));
        for name in [
            "our-deployment",
            "gpt-4o",
            "azure/our-deployment",
            "azure/gpt-4o",
        ] {
            assert!(names.iter().any(|of| of == name), "{name} of {names:?}");
        }
    }
}
