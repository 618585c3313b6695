//! Pages of a list that is in memory.

use shared::runtime::list::PageRequest;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Returns the visible items of a page, and the id of the last one if more follow.
pub(crate) fn page_of<'a, T>(
    items: &'a BTreeMap<String, T>,
    asked: &PageRequest,
    is_visible: impl Fn(&str, &T) -> bool,
) -> (Vec<&'a T>, Option<&'a str>) {
    let from = asked
        .after
        .as_deref()
        .map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = items
        .range::<str, _>((from, Bound::Unbounded))
        .filter(|(id, item)| is_visible(id, item));
    let page: Vec<_> = rest.by_ref().take(asked.limit).collect();
    let last = rest.next().and(page.last()).map(|(id, _)| id.as_str());
    (page.into_iter().map(|(_, item)| item).collect(), last)
}
