//! Several cells in a month, for suites that are about one and about many.

use local::system::System;
use shared::domain::change::Author;
use shared::domain::org::placement::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// The number of cells that each month of a world has, if it is set: whole suites can be run with
/// several cells, `TOKTRA_CELLS=4 cargo test --workspace --test system`.
const CELLS: &str = "TOKTRA_CELLS";
/// The departments that are placed: their numbers, whether they exist yet or not.
const DEPARTMENTS: u32 = 60;

/// Places the departments of `demo` in as many cells as the environment says.
pub(crate) async fn place_as_told(system: &System) {
    let told = std::env::var(CELLS).ok();
    if let Some(cells) = told.and_then(|told| told.parse().ok()) {
        place(system, cells).await;
    }
}

/// Places the departments of `demo` in `cells` cells: each second department in all but home, the
/// others in one.
pub async fn place(system: &System, cells: u32) {
    let others = cells.saturating_sub(1);
    if others == 0 {
        return;
    }
    let of = |department: u32| -> BTreeSet<u32> {
        match department % 2 {
            0 => (1..=others).collect(),
            _ => BTreeSet::from([1 + department / 2 % others]),
        }
    };
    let cells: BTreeMap<u32, BTreeSet<u32>> = (0..DEPARTMENTS)
        .map(|number| (number, of(number)))
        .collect();
    let placement = Placement {
        others,
        cells,
        ..Placement::default()
    };
    let (store, author) = (system.store(), Author::schedule());
    let placed = store.place_cells("demo", &author, system.clock().now(), Some(&placement));
    placed.await.unwrap();
}
