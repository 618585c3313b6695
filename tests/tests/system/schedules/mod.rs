//! A few requests at the same time, one call of the database after the other, in the orders that a
//! scheduler chooses: the real code from the routes to the engine, so that a mistake in how the
//! store does its steps is found, and not one in a copy of it. In many of the orders somebody dies
//! between two calls, and somebody else does the same again.
//!
//! Not all orders are tried, as `tests/tests/model` does for the pure code, but those in which few
//! are interrupted, and some by chance. `cargo test -p end-to-end --test system schedules --
//! --nocapture` says how many of each scenario.

mod company;
mod laws;
mod scenario;
mod search;
mod stage;

use Script::{
    Approve, Ask, Block, ChangeAmount, DeleteBudget, Expire, GiveBack, MakeBudget, MoveUser,
    OpenMonth, Renew, Report, Revoke, Use, UseBoth,
};
use scenario::{AFTER, Scenario, Script, Setting};
use search::{explore, repeat};

macro_rules! schedules {
    ($($name:ident: $scenario:expr;)*) => {$(
        #[test]
        fn $name() {
            explore(stringify!($name), &$scenario);
        }
    )*};
}

schedules! {
    three_requests_race_for_two_places_one_of_them_twice: Scenario {
        setting: Setting { caps: [Some(20), Some(100), None], ..Setting::default() },
        scripts: &[Ask(0), Ask(1), Ask(2), Ask(0)],
        ..Scenario::default()
    };
    a_settlement_and_its_duplicate_beside_another_hold: Scenario {
        setting: Setting { caps: [Some(20), Some(100), None], holds: &[0], ..Setting::default() },
        scripts: &[Use(0), Use(0), Ask(1)],
        ..Scenario::default()
    };
    two_settlements_together_beside_a_void_of_one: Scenario {
        setting: Setting { caps: [Some(30), None, None], holds: &[0, 1], ..Setting::default() },
        scripts: &[UseBoth(0, 3), GiveBack(0), Use(0)],
        ..Scenario::default()
    };
    // Usage of a hold that was given back, and whose place is taken, makes a debt.
    a_void_against_a_settlement: Scenario {
        setting: Setting { caps: [Some(100), Some(15), None], holds: &[0], ..Setting::default() },
        scripts: &[GiveBack(0), Use(0), Ask(1)],
        may_owe: true,
        ..Scenario::default()
    };
    a_request_that_is_made_again_while_its_hold_is_given_back: Scenario {
        setting: Setting { caps: [Some(15), None, None], holds: &[0], ..Setting::default() },
        scripts: &[Ask(0), GiveBack(0), Ask(0)],
        ..Scenario::default()
    };
    an_expiry_against_a_settlement_and_late_usage: Scenario {
        setting: Setting {
            caps: [Some(30), Some(30), None],
            holds: &[0],
            charges_abandoned: true,
            at: AFTER,
            ..Setting::default()
        },
        scripts: &[Expire, Use(0), Use(1)],
        ..Scenario::default()
    };
    two_late_events_of_a_hold_that_was_charged: Scenario {
        setting: Setting {
            caps: [Some(30), Some(30), None],
            holds: &[0],
            charges_abandoned: true,
            at: AFTER,
            is_swept: true,
            ..Setting::default()
        },
        scripts: &[Use(0), Use(1), Use(0)],
        ..Scenario::default()
    };
    a_renewal_against_an_expiry: Scenario {
        setting: Setting { caps: [Some(30), Some(30), None], holds: &[0], ..Setting::default() },
        scripts: &[Renew(0), Expire, Expire],
        ..Scenario::default()
    };
    a_renewal_against_a_settlement_and_a_void: Scenario {
        setting: Setting { caps: [Some(30), Some(30), None], holds: &[0], ..Setting::default() },
        scripts: &[Renew(0), Use(0), GiveBack(0)],
        ..Scenario::default()
    };
    a_changed_amount_while_two_hold_and_one_settles: Scenario {
        setting: Setting { caps: [Some(30), Some(100), None], holds: &[0], ..Setting::default() },
        scripts: &[Ask(1), Ask(2), Use(0), ChangeAmount("org", 15)],
        may_owe: true,
        ..Scenario::default()
    };
    a_moved_user_while_their_requests_hold_and_settle: Scenario {
        setting: Setting {
            caps: [Some(100), Some(20), Some(10)],
            holds: &[0],
            ..Setting::default()
        },
        scripts: &[Ask(1), Ask(2), Use(0), MoveUser],
        ..Scenario::default()
    };
    usage_without_a_hold_while_its_user_moves: Scenario {
        setting: Setting { caps: [Some(40), Some(12), Some(40)], ..Setting::default() },
        scripts: &[Use(2), Use(2), Ask(0), MoveUser],
        may_owe: true,
        ..Scenario::default()
    };
    a_budget_that_is_made_and_one_that_is_deleted_during_a_settlement: Scenario {
        setting: Setting { caps: [Some(30), None, None], holds: &[0], ..Setting::default() },
        scripts: &[Use(0), MakeBudget, Ask(1), DeleteBudget("org")],
        may_owe: true,
        ..Scenario::default()
    };
    a_month_that_is_opened_while_an_amount_changes: Scenario {
        setting: Setting {
            caps: [Some(20), None, None],
            at: "2026-12-10T12:00:00Z",
            ..Setting::default()
        },
        scripts: &[Ask(1), Ask(2), Use(2), ChangeAmount("org", 30)],
        may_owe: true,
        ..Scenario::default()
    };
    a_month_that_is_opened_while_a_user_is_blocked: Scenario {
        setting: Setting {
            caps: [Some(20), None, None],
            at: "2026-12-10T12:00:00Z",
            ..Setting::default()
        },
        scripts: &[Ask(1), Block, OpenMonth("2026-12")],
        ..Scenario::default()
    };
    a_month_that_is_over_is_opened_while_usage_of_it_comes: Scenario {
        setting: Setting {
            caps: [Some(100), None, None],
            at: "2027-02-20T12:00:00Z",
            used_at: Some("2026-12-15T12:00:00Z"),
            ..Setting::default()
        },
        scripts: &[Use(2), OpenMonth("2026-12"), Use(5)],
        may_owe: true,
        ..Scenario::default()
    };
    a_month_that_was_left_behind_while_a_hold_of_it_settles_or_lapses: Scenario {
        setting: Setting {
            caps: [None, Some(100), None],
            holds: &[0],
            at: "2027-01-20T12:00:00Z",
            is_behind: true,
            ..Setting::default()
        },
        scripts: &[Use(0), OpenMonth("2026-11"), Expire],
        ..Scenario::default()
    };
    an_exemption_that_is_revoked_while_a_hold_under_it_settles: Scenario {
        setting: Setting {
            caps: [None, Some(20), None],
            holds: &[0, 1, 2],
            exemption: Some(true),
            ..Setting::default()
        },
        scripts: &[Ask(3), Use(4), Revoke],
        ..Scenario::default()
    };
    an_exemption_that_is_approved_while_three_race_for_it: Scenario {
        setting: Setting {
            caps: [None, Some(10), None],
            holds: &[0],
            exemption: Some(false),
            ..Setting::default()
        },
        scripts: &[Ask(1), Ask(2), Ask(3), Approve],
        ..Scenario::default()
    };
    // A message that was handed to a dead actor comes again only after its timeout, so nobody
    // dies here.
    an_event_that_is_reported_twice_beside_a_void: Scenario {
        setting: Setting { caps: [Some(1_000), None, None], holds: &[0], ..Setting::default() },
        scripts: &[Report(0), Report(0), GiveBack(0)],
        deaths: 0,
        ..Scenario::default()
    };
    everything_at_once: Scenario {
        setting: Setting {
            caps: [Some(45), Some(40), Some(40)],
            holds: &[0, 3],
            at: AFTER,
            ..Setting::default()
        },
        scripts: &[
            Ask(1), Ask(2), Use(0), Use(1), GiveBack(3), Expire, ChangeAmount("org", 25), MoveUser,
        ],
        deaths: 2,
        may_owe: true,
    };
}

#[test]
fn a_schedule_that_is_given_again_makes_the_same_calls() {
    repeat(
        "again",
        &Scenario {
            setting: Setting {
                caps: [Some(100), Some(20), Some(10)],
                holds: &[0],
                ..Setting::default()
            },
            scripts: &[Ask(1), Use(0), MoveUser, GiveBack(0)],
            may_owe: true,
            ..Scenario::default()
        },
    );
}
