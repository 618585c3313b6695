//! The names by which people may mean a model, for comparisons with what they write.

use super::name::Name;
use super::rules::Rules;

/// Returns the names of a model, in lower case: as it was reported, `matched` if that is surely the
/// same model, and both without who is in front and without the date and the like behind
/// (`claude-sonnet-4.5`, `claude-sonnet-4-5`). Each is also there behind each of its sellers:
/// `azure/gpt-4o`. These are the provider as it was named and as the price table calls it, and who
/// is in front of the reported name.
pub fn names(provider: Option<&str>, reported: &str, matched: Option<&str>) -> Vec<String> {
    let mut sellers = provider.map_or_else(Vec::new, called);
    sellers.extend(in_front(reported));
    let alone = alone(reported, matched);
    behind(&sellers, &alone, alone.clone())
}

/// Returns the names of a model that one seller has, which is called `sellers`: each alone and
/// behind it, and none with another one in front.
pub fn names_of(sellers: &[String], reported: &str, matched: Option<&str>) -> Vec<String> {
    let alone = alone(reported, matched);
    let is_of_another = |name: &String| {
        let front = in_front(name);
        !front.is_empty() && !are_same(&front, sellers)
    };
    let of_it = alone.iter().filter(|name| !is_of_another(name)).cloned();
    behind(sellers, &alone, of_it.collect())
}

/// Returns the names of a model without its sellers: as it was reported and as it was found.
fn alone(reported: &str, matched: Option<&str>) -> Vec<String> {
    let each = std::iter::once(reported).chain(matched);
    let names = each.flat_map(|whole| {
        let read = Name::read(whole).map(|read| [read.spelled, read.model]);
        std::iter::once(whole.trim().to_lowercase()).chain(read.into_iter().flatten())
    });
    names.collect()
}

/// Adds each of the names behind each of the sellers.
fn behind(sellers: &[String], names: &[String], mut all: Vec<String>) -> Vec<String> {
    for seller in sellers {
        all.extend(names.iter().map(|name| format!("{seller}/{name}")));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns what a provider is called, in lower case: by the price table, and as it is named here.
pub fn called(provider: &str) -> Vec<String> {
    let name = provider.trim().to_lowercase();
    if name.is_empty() {
        return Vec::new();
    }
    let known = Rules::get().called_by(&name).into_iter();
    let mut called: Vec<String> = known.flat_map(|of| &of.sellers).map(text).collect();
    called.push(name);
    called
}

pub fn is_known_provider(provider: &str) -> bool {
    let name = provider.trim().to_lowercase();
    Rules::get().called_by(&name).is_some()
}

/// Returns who is in front of a name, as the price table calls them.
pub fn in_front(name: &str) -> Vec<String> {
    let front = Name::read(name).and_then(|read| read.front);
    let sellers = front.into_iter().flat_map(|called| called.sellers);
    sellers.map(str::to_owned).collect()
}

/// Whether one of those is the maker of models that others sell, too.
pub fn has_maker(sellers: &[String]) -> bool {
    sellers.iter().any(|seller| Rules::get().is_maker(seller))
}

/// Whether two lists of what a seller is called are of the same one.
pub fn are_same(one: &[String], other: &[String]) -> bool {
    one.iter().any(|seller| other.contains(seller))
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
    fn the_names_of_one_seller_have_no_other_one_in_front() {
        let names = names_of(
            &called("openrouter"),
            "anthropic/claude-sonnet-4.5",
            Some("anthropic/claude-sonnet-4-5"),
        );
        for name in [
            "claude-sonnet-4.5",
            "openrouter/claude-sonnet-4-5",
            "openrouter/anthropic/claude-sonnet-4.5",
        ] {
            assert!(names.iter().any(|of| of == name), "{name} of {names:?}");
        }
        let is_foreign = |name: &String| name.starts_with("anthropic/");
        assert!(!names.iter().any(is_foreign), "{names:?}");
        let own = names_of(&called("anthropic"), "anthropic/claude-sonnet-4.5", None);
        assert!(own.iter().any(|of| of == "anthropic/claude-sonnet-4.5"));
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
