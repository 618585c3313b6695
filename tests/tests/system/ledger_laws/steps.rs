//! Random steps: what may happen, and how often.

use super::{DEPARTMENTS, USERS};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    Hold {
        user: usize,
        request: u8,
        input: i64,
        output: i64,
    },
    Usage {
        user: usize,
        request: u8,
        event: u8,
        input: i64,
        output: i64,
        times: u8,
    },
    Unreserved {
        user: usize,
        event: u8,
        input: i64,
        times: u8,
        /// How long ago it happened, in seconds.
        ago: i64,
    },
    Deliver,
    Void {
        user: usize,
        request: u8,
    },
    Renew {
        user: usize,
        request: u8,
        seconds: Option<i64>,
        tokens: Option<i64>,
    },
    Tick {
        seconds: i64,
    },
    Create {
        department: Option<usize>,
        is_usd: bool,
        amount: i64,
        hard: bool,
    },
    Change {
        budget: u8,
        amount: i64,
    },
    Delete {
        budget: u8,
    },
    MoveUser {
        user: usize,
        department: usize,
    },
    MoveDepartment {
        department: usize,
        parent: Option<usize>,
    },
    Fail {
        call: u64,
        after: bool,
        conflict: bool,
    },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    prop_oneof![
        8 => (user.clone(), 0_u8..8, 0_i64..300, 0_i64..100)
            .prop_map(|(user, request, input, output)| Step::Hold { user, request, input, output }),
        5 => (user.clone(), 0_u8..8, 0_u8..30, 0_i64..300, 0_i64..150, 1_u8..3).prop_map(
            |(user, request, event, input, output, times)| {
                Step::Usage { user, request, event, input, output, times }
            },
        ),
        3 => (user.clone(), 0_u8..30, 0_i64..100, 1_u8..3, prop_oneof![Just(0), 0_i64..3_000])
            .prop_map(|(user, event, input, times, ago)| {
                Step::Unreserved { user, event, input, times, ago }
            }),
        4 => Just(Step::Deliver),
        2 => (user.clone(), 0_u8..8).prop_map(|(user, request)| Step::Void { user, request }),
        3 => (user.clone(), 0_u8..8, prop::option::of(1_i64..600), prop::option::of(1_i64..600))
            .prop_map(|(user, request, seconds, tokens)| {
                Step::Renew { user, request, seconds, tokens }
            }),
        2 => (1_i64..180).prop_map(|seconds| Step::Tick { seconds }),
        2 => (prop::option::of(0..DEPARTMENTS.len()), any::<bool>(), 0_i64..1_500, any::<bool>())
            .prop_map(|(department, is_usd, amount, hard)| {
                Step::Create { department, is_usd, amount, hard }
            }),
        1 => (0_u8..6, 0_i64..1_500).prop_map(|(budget, amount)| Step::Change { budget, amount }),
        1 => (0_u8..6).prop_map(|budget| Step::Delete { budget }),
        1 => (user, 0..DEPARTMENTS.len())
            .prop_map(|(user, department)| Step::MoveUser { user, department }),
        1 => (0..DEPARTMENTS.len(), prop::option::of(0..DEPARTMENTS.len()))
            .prop_map(|(department, parent)| Step::MoveDepartment { department, parent }),
        3 => (0_u64..12, any::<bool>(), any::<bool>())
            .prop_map(|(call, after, conflict)| Step::Fail { call, after, conflict }),
    ]
}
