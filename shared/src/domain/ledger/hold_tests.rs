//! Laws of holds, their packed form and their ids.

use super::*;
use crate::domain::ledger::hold_packing::UnreadableHold;
use crate::domain::period::Month;
use crate::domain::pricing::rates::TIERS;
use crate::domain::wide_number;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

prop_compose! {
    fn any_hold()(
        department in any::<u32>(), tree in any::<u32>(), fingerprint in any::<Fingerprint>(),
        nonce in any::<[u8; 3]>(), expires_at in any::<u32>(),
        extended_by in prop_oneof![Just(0), any::<u32>()],
        tier in proptest::sample::select(TIERS.to_vec()),
        tokens in 0..i64::MAX, pico_usd in 0..wide_number::MAX,
        nodes in btree_set((any::<bool>(), any::<u32>()), 0..18),
        exempt in proptest::option::of((any::<u32>(), any::<bool>(), 0..i64::MAX,
            0..wide_number::MAX, btree_set((any::<bool>(), any::<u32>()), 0..18))),
    ) -> Hold {
        let node = |(usd, index)| Node { unit: if usd { Unit::Usd } else { Unit::Tokens }, index };
        let sorted = |nodes: std::collections::BTreeSet<(bool, u32)>| {
            let mut nodes: Vec<Node> = nodes.into_iter().map(node).collect();
            nodes.sort_unstable();
            nodes
        };
        let nodes = sorted(nodes);
        let exempt = exempt.map(|(index, is_limited, tokens, pico_usd, covered)| Exempt {
            index, is_limited, covered: sorted(covered), given: Amounts { tokens, pico_usd },
        });
        Hold { department, tree, fingerprint, nonce, expires_at, extended_by, tier,
            amounts: Amounts { tokens, pico_usd }, nodes, exempt }
    }
}

proptest! {
    #[test]
    fn packing_and_unpacking_gives_the_same_hold(hold in any_hold()) {
        prop_assert_eq!(Hold::unpack(&hold.pack()), Ok(hold));
    }

    #[test]
    fn any_bytes_are_a_hold_or_refused_without_a_panic(bytes in vec(any::<u8>(), 0..64)) {
        let _ = Hold::unpack(&bytes);
    }

    #[test]
    fn a_hold_id_reads_as_written(hold in any_hold(), request in "[a-z]{1,9}") {
        let period = Month::new(2026, 11).unwrap();
        let id = HoldId::new(period, HoldKey::derive("acme", "ada", &request), &hold);
        prop_assert_eq!(HoldId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn an_extended_hold_keeps_its_id(hold in any_hold(), later in any::<u32>()) {
        let hold = Hold { extended_by: hold.extended_by.min(hold.expires_at), ..hold };
        let (period, rid) = (Month::new(2026, 11).unwrap(), HoldKey::derive("acme", "ada", "r"));
        let id = HoldId::new(period, rid.clone(), &hold);
        let mut extended = hold.clone();
        extended.live_until(later);
        prop_assert_eq!(extended.expires_at, later.max(hold.expires_at));
        prop_assert!(id.names(&extended));
        prop_assert_eq!(HoldId::new(period, rid, &extended), id);
    }

    #[test]
    fn a_charge_is_paid_whole_and_a_raise_gives_at_most_what_it_gave(
        hold in any_hold(), tokens in 0..i64::MAX, pico_usd in 0..wide_number::MAX,
    ) {
        let charged = Amounts { tokens, pico_usd };
        for split in [hold.split(charged), hold.split_late(charged)] {
            prop_assert_eq!(split.own.saturating_add(split.given), charged);
            for unit in [Unit::Tokens, Unit::Usd] {
                prop_assert!((0..=charged.of(unit)).contains(&split.given.of(unit)));
            }
        }
        let is_lift = hold.exempt.as_ref().is_some_and(|exempt| !exempt.is_limited);
        for unit in [Unit::Tokens, Unit::Usd] {
            let most = hold.given().of(unit);
            prop_assert!(hold.split_late(charged).given.of(unit) <= most);
            prop_assert!(is_lift || hold.split(charged).given.of(unit) <= most);
        }
        prop_assert_eq!(hold.split_as(&hold, charged), hold.split(charged));
    }

    #[test]
    fn any_text_is_a_hold_id_or_refused_without_a_panic(text in ".{0,50}") {
        let _ = HoldId::parse(&text);
        let _ = HoldId::parse(&format!("hold_{text}"));
    }
}

#[test]
fn a_usual_hold_takes_about_30_bytes() {
    let both = |index| {
        [Unit::Tokens, Unit::Usd].map(|unit| Node {
            unit,
            index: Node::level(index),
        })
    };
    let mut nodes: Vec<Node> = [None, Some(3), Some(7), Some(11)]
        .into_iter()
        .flat_map(both)
        .collect();
    nodes.sort_unstable();
    let hold = Hold {
        department: 12,
        tree: 1,
        fingerprint: [1; 8],
        nonce: [2; 3],
        expires_at: 1_790_000_000,
        extended_by: 0,
        tier: ServiceTier::Default,
        amounts: Amounts::new(5120, 21_300),
        nodes,
        exempt: None,
    };
    assert!(hold.pack().len() <= 30, "{}", hold.pack().len());
}

#[test]
fn a_hold_from_before_it_had_a_tier_has_the_default_one() {
    let hold = |tier| Hold {
        tier,
        ..Hold::default()
    };
    let packed = hold(ServiceTier::Default).pack();
    assert_eq!(packed[0], 6);
    let others = TIERS.map(|tier| hold(tier).pack()[0]);
    assert_eq!(others, [6, 38, 70, 102]);
    let mut unknown = packed;
    unknown[0] = 134;
    assert!(Hold::unpack(&unknown).is_err());
}

/// A hold of 100 tokens and 100 micro-USD, of which an exemption gave 40 and 10.
fn exempt_hold(is_limited: bool, covered: &[Unit]) -> Hold {
    let node = |&unit: &Unit| Node { unit, index: 0 };
    Hold {
        amounts: Amounts::new(100, 100),
        exempt: Some(Exempt {
            index: Node::exemption(0),
            is_limited,
            covered: covered.iter().map(node).collect(),
            given: Amounts::new(40, 10),
        }),
        ..Hold::default()
    }
}

#[test]
fn the_caps_pay_first_and_are_in_debt_for_what_a_raise_has_not_given() {
    let both = [Unit::Tokens, Unit::Usd];
    let (raised, lifted) = (exempt_hold(true, &both), exempt_hold(false, &both));
    for (used, of_raise, of_lift, late) in [
        (50, (0, 0), (0, 0), (0, 0)),
        (95, (35, 5), (35, 5), (35, 5)),
        (100, (40, 10), (40, 10), (40, 10)),
        (1_000, (40, 10), (940, 910), (40, 10)),
    ] {
        let charged = Amounts::new(used, used.into());
        let given = |split: Charged| (split.given.tokens, split.given.pico_usd);
        assert_eq!(given(raised.split(charged)), of_raise, "{used}");
        assert_eq!(given(lifted.split(charged)), of_lift, "{used}");
        for hold in [&raised, &lifted] {
            assert_eq!(given(hold.split_late(charged)), late, "{used}");
        }
    }
    let tokens_only = exempt_hold(true, &[Unit::Tokens]);
    let split = tokens_only.split(Amounts::new(1_000, 1_000));
    assert_eq!(split.given, Amounts::new(40, 0));
    assert_eq!(split.own, Amounts::new(960, 1_000));
}

#[test]
fn what_a_hold_gains_after_its_end_gives_nothing() {
    let tokens = [Unit::Tokens];
    let grown = exempt_hold(true, &tokens);
    let plain = Hold {
        amounts: Amounts::new(60, 0),
        ..Hold::default()
    };
    let charged = Amounts::new(90, 0);
    assert_eq!(grown.split(charged).given.tokens, 30);
    assert_eq!(grown.split_as(&plain, charged).own, charged);
    assert_eq!(plain.split_as(&grown, charged).own, charged, "nor here");
}

#[test]
fn a_hold_that_was_packed_with_another_unit_of_money_is_not_read() {
    for (form, covered) in [(3, vec![]), (4, vec![Unit::Usd]), (5, vec![Unit::Usd])] {
        let mut packed = exempt_hold(true, &covered).pack();
        packed[0] = form;
        assert_eq!(Hold::unpack(&packed), Err(UnreadableHold), "{form}");
    }
}

#[test]
fn a_hold_of_four_dollars_takes_little_more_than_thirty_bytes() {
    let hold = Hold {
        department: 17,
        amounts: Amounts::of_micro_usd(120_000, 4_000_000),
        nodes: exempt_hold(true, &[Unit::Tokens]).nodes,
        ..Hold::default()
    };
    let plain = Hold {
        amounts: Amounts::ZERO,
        ..hold.clone()
    };
    // Three bytes of tokens and six of dollars, which as micro-dollars took four.
    assert_eq!(hold.pack().len() - plain.pack().len(), 2 + 5);
}

#[test]
fn a_rid_belongs_to_its_user_only() {
    let rid = HoldKey::derive("acme", "ada", "r-1");
    assert!(rid.belongs_to("acme", "ada"));
    assert!(!rid.belongs_to("acme", "bob"));
    assert!(!rid.belongs_to("other", "ada"));
    assert_ne!(rid, HoldKey::derive("acme", "ada", "r-2"));
    assert!(rid.is_of_same_user(&HoldKey::derive("acme", "ada", "r-2")));
    assert!(!rid.is_of_same_user(&HoldKey::derive("acme", "bob", "r-1")));
    assert_ne!(
        HoldKey::derive("acme", "ad", "ar"),
        HoldKey::derive("acme", "ada", "r")
    );
}

#[test]
fn a_hold_that_grows_has_all_that_its_exemption_gave() {
    let counter = |index| Node {
        unit: Unit::Tokens,
        index,
    };
    let hold = |tokens, given, covered: Vec<Node>| Hold {
        amounts: Amounts::new(tokens, 0),
        nodes: vec![counter(0), counter(7)],
        exempt: Some(Exempt {
            is_limited: true,
            index: 7,
            covered,
            given: Amounts::new(given, 0),
        }),
        ..Hold::default()
    };
    let before = hold(103, 31, vec![counter(2)]);
    let joined = before.joined(&hold(57, 44, vec![counter(2)])).unwrap();
    assert_eq!(joined, hold(160, 75, vec![counter(2)]));
    assert_eq!(joined.taken_from(counter(2)), 103 - 31 + 57 - 44);
    assert_eq!(before.joined(&hold(57, 44, vec![counter(4)])), None);
}

#[test]
fn an_id_names_one_hold_of_a_request_and_no_later_one() {
    let first = Hold {
        nonce: [1; 3],
        expires_at: 1_790_000_000,
        ..Hold::default()
    };
    let rid = HoldKey::derive("acme", "ada", "r-1");
    let id = HoldId::new(Month::new(2026, 11).unwrap(), rid, &first);
    assert!(id.names(&first));
    let again = Hold {
        nonce: [2; 3],
        ..first.clone()
    };
    assert!(!id.names(&again), "asked for again within the same second");
    let later = Hold {
        expires_at: 1_790_000_001,
        ..first
    };
    assert!(!id.names(&later));
}
