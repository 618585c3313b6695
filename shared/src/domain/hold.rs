//! Holds: what a request may use until it is settled, voided or has lapsed.

use super::amount::{Amounts, Unit};
use super::period::Month;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// One counter of a cell: `t4` counts tokens, `m4` micro-USD.
///
/// Each level has two, one for each unit, whether or not it has a budget: the organisation has the number 0, the department
/// with index `i` has `2i + 2`. The counters of an exemption have odd numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// What it counts.
    pub unit: Unit,
    /// Whose counter it is.
    pub index: u32,
}

impl Node {
    /// The number of a level: of the department with this index, or of the organisation if none.
    pub fn level(department_index: Option<u32>) -> u32 {
        department_index.map_or(0, |index| index.saturating_mul(2).saturating_add(2))
    }

    /// The number of the counters of the exemption that was the `n`th to be approved.
    pub fn exemption(n: u32) -> u32 {
        n.saturating_mul(2).saturating_add(1)
    }

    /// Returns true for the counters of exemptions.
    pub fn is_of_exemption(self) -> bool {
        self.index % 2 == 1
    }
}

/// The name of a hold inside its cell: 16 characters derived from (organisation, user, the client's request id),
/// the first 8 from the user alone, so that nobody touches another user's hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldKey(String);

/// The bytes of the user's part and of the request's part of a [`HoldKey`].
const PART: usize = 6;
/// The characters of the user's part.
const USER_CHARACTERS: usize = PART * 4 / 3;

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

impl HoldKey {
    /// The name of the hold for `request_id` of `user_id`.
    pub fn derive(organisation_id: &str, user_id: &str, request_id: &str) -> Self {
        let user = digest(&[organisation_id, user_id]);
        let request = digest(&[organisation_id, user_id, request_id]);
        let mut bytes = [0; 2 * PART];
        bytes[..PART].copy_from_slice(&user[..PART]);
        bytes[PART..].copy_from_slice(&request[..PART]);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a name found in a cell or a hold id; `None` where it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 2 * PART).then(|| Self(text.to_owned()))
    }

    /// Whether the hold was made for `user_id`.
    pub fn belongs_to(&self, organisation_id: &str, user_id: &str) -> bool {
        self.user_part() == Self::user_part_of(organisation_id, user_id)
    }

    /// What the names of all holds of a user begin with.
    pub fn user_part_of(organisation_id: &str, user_id: &str) -> String {
        let user = digest(&[organisation_id, user_id]);
        URL_SAFE_NO_PAD.encode(&user[..PART])
    }

    /// What it begins with: eight characters, which are its user's.
    pub fn user_part(&self) -> &str {
        self.0.get(..USER_CHARACTERS).unwrap_or_default()
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both holds were made for the same user.
    pub fn is_of_same_user(&self, other: &Self) -> bool {
        self.0.get(..USER_CHARACTERS) == other.0.get(..USER_CHARACTERS)
    }
}

/// Eight bytes of a digest of a request's body. Fewer can be searched: with three bytes, somebody who may choose
/// the body found one of millions of tokens in seconds that passed as a retry of a small one.
pub type Fingerprint = [u8; 8];

/// What a cell keeps of a hold, in about 30 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The number of the department that the user was in.
    pub department: u32,
    /// How many moves of departments came before.
    pub tree: u32,
    /// Tells one body from another under the same request id.
    pub fingerprint: Fingerprint,
    /// Tells a hold from an earlier one under the same request id.
    pub nonce: [u8; 3],
    /// When it lapses, in seconds since 1970.
    pub expires_at: u32,
    /// How many seconds later that is than at first.
    pub extended_by: u32,
    /// What is held.
    pub amounts: Amounts,
    /// The counters it was taken from, ascending.
    pub nodes: Vec<Node>,
    /// The exemption that gave instead of counters of the path, where one did.
    pub exempt: Option<Exempt>,
}

/// An exemption that a part of a hold was taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exempt {
    /// The number of its counters, which are among the hold's nodes.
    pub index: u32,
    /// Whether there is an end to what it gives, as there is for a raise.
    pub is_limited: bool,
    /// The counters of the path that it covers, ascending. Only what it did not give was taken from them.
    pub covered: Vec<Node>,
    /// What it gave of the amounts, in the units of the counters that it covers.
    pub given: Amounts,
}

/// A charge of a hold: what its caps pay, and what its exemption gives beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Paid by the caps.
    pub own: Amounts,
    /// Given by the exemption.
    pub given: Amounts,
}

impl Charged {
    /// A charge of which the exemption gives this, and the caps pay the rest.
    fn with_given(charged: Amounts, given: impl Fn(Unit) -> i64) -> Self {
        let given = Amounts::new(given(Unit::Tokens), given(Unit::Usd));
        Self {
            own: charged.saturating_sub(given),
            given,
        }
    }
}

/// Bytes that are not a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hold has an unreadable form")]
pub struct UnreadableHold;

/// The forms of a packed hold: plain, under a raise, or under a lift. Earlier releases wrote that of a raise for both: such
/// a hold pays no more than it was given.
const FORM_PLAIN: u8 = 3;
const FORM_RAISED: u8 = 4;
const FORM_LIFTED: u8 = 5;
/// What is added to the form of a hold that lives longer than at first.
const EXTENDED: u8 = 16;

impl Hold {
    /// Whether the hold counts no more at `now`.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        i64::from(self.expires_at) <= now.as_second()
    }

    /// The moment it lapses.
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_second(i64::from(self.expires_at)).unwrap_or(Timestamp::MAX)
    }

    /// When it was to lapse at first: the part of its id that never changes.
    pub fn first_expiry(&self) -> u32 {
        self.expires_at.saturating_sub(self.extended_by)
    }

    /// Lets it live until `expires_at`, unless it lives longer.
    pub fn live_until(&mut self, expires_at: u32) {
        let more = expires_at.saturating_sub(self.expires_at);
        self.expires_at = self.expires_at.saturating_add(more);
        self.extended_by = self.extended_by.saturating_add(more);
    }

    /// The packed form: form, varints of department and tree, fingerprint, nonce, expiry, if it lives longer than at
    /// first the varint of by how much, varints of the amounts, if there is an exemption its number, what it gave, how many levels it covers and each of them, then each level or
    /// exemption that it was taken from: a varint of `index * 4 + units`, with 1 for tokens and 2 for US dollars.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        let form = match &self.exempt {
            None => FORM_PLAIN,
            Some(exempt) if exempt.is_limited => FORM_RAISED,
            Some(_) => FORM_LIFTED,
        };
        let is_extended = self.extended_by > 0;
        out.push(form + if is_extended { EXTENDED } else { 0 });
        push_varint(&mut out, self.department.into());
        push_varint(&mut out, self.tree.into());
        out.extend_from_slice(&self.fingerprint);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.expires_at.to_be_bytes());
        if is_extended {
            push_varint(&mut out, self.extended_by.into());
        }
        push_varint(&mut out, self.amounts.tokens.unsigned_abs());
        push_varint(&mut out, self.amounts.micro_usd.unsigned_abs());
        if let Some(exempt) = &self.exempt {
            push_varint(&mut out, exempt.index.into());
            push_varint(&mut out, exempt.given.tokens.unsigned_abs());
            push_varint(&mut out, exempt.given.micro_usd.unsigned_abs());
            let covered = by_index(&exempt.covered);
            push_varint(&mut out, covered.len().try_into().unwrap_or(0));
            push_nodes(&mut out, &covered);
        }
        push_nodes(&mut out, &by_index(&self.nodes));
        out
    }

    /// Makes it a hold of `path`, the counters of its path by now. An exemption goes on standing in for what it stood in for.
    pub fn move_to(&mut self, path: &[Node]) {
        let (mut own, mut covered) = (Vec::new(), Vec::new());
        if let Some(exempt) = &mut self.exempt {
            let index = exempt.index;
            own.extend(
                self.nodes
                    .iter()
                    .copied()
                    .filter(|node| node.index == index),
            );
            exempt.covered.retain(|node| path.contains(node));
            covered.clone_from(&exempt.covered);
        }
        let taken = path.iter().copied().filter(|node| !covered.contains(node));
        self.nodes = taken.chain(own).collect();
        self.nodes.sort_unstable();
    }

    /// The counters of the levels that it is about, without those of an exemption.
    pub fn levels(&self) -> Vec<Node> {
        let levels = self.about().filter(|node| !node.is_of_exemption());
        let mut levels: Vec<Node> = levels.collect();
        levels.sort_unstable();
        levels
    }

    /// The hold together with what it gains, which was taken from the same levels. None if different exemptions would stand in
    /// for them, or one for different levels: then nobody could say what was taken from which.
    pub fn joined(&self, gain: &Self) -> Option<Self> {
        let mut joined = self.clone();
        joined.amounts = self.amounts.saturating_add(gain.amounts);
        let Some(more) = &gain.exempt else {
            return Some(joined);
        };
        let mut exempt = self.exempt.clone().unwrap_or_else(|| Exempt {
            index: more.index,
            is_limited: more.is_limited,
            ..Exempt::default()
        });
        if exempt.index != more.index {
            return None;
        }
        for unit in [Unit::Tokens, Unit::Usd] {
            let of = |nodes: &[Node]| -> Vec<Node> {
                let of_unit = nodes.iter().copied().filter(|node| node.unit == unit);
                of_unit.collect()
            };
            let (known, new) = (of(&exempt.covered), of(&more.covered));
            match (known.is_empty(), new.is_empty()) {
                (_, true) => {}
                (true, false) => exempt.covered.extend(new),
                (false, false) if known == new => {}
                (false, false) => return None,
            }
        }
        exempt.covered.sort_unstable();
        exempt.given = exempt.given.saturating_add(more.given);
        let own = self.nodes.iter().chain(&gain.nodes).copied();
        let own = own.filter(|node| !exempt.covered.contains(node));
        joined.nodes = own.collect();
        joined.nodes.sort_unstable();
        joined.nodes.dedup();
        joined.exempt = Some(exempt);
        Some(joined)
    }

    /// What an exemption gave of the hold; the rest was taken from the caps.
    pub fn given(&self) -> Amounts {
        self.exempt
            .as_ref()
            .map_or(Amounts::ZERO, |exempt| exempt.given)
    }

    /// Splits a charge of the hold into what the caps pay and what the exemption gives. The caps come first, up to what was
    /// taken from them. Of what is beyond that, a raise gives no more than it gave to the hold, and the caps are in debt for
    /// the rest; a lift gives all.
    pub fn split(&self, charged: Amounts) -> Charged {
        match &self.exempt {
            Some(exempt) if !exempt.is_limited => {
                self.split_up_to(Amounts::new(i64::MAX, i64::MAX), charged)
            }
            _ => self.split_late(charged),
        }
    }

    /// Splits a charge that comes after the hold has lapsed. A lift, too, gives no more than it gave to the hold: it may have
    /// been revoked since.
    pub fn split_late(&self, charged: Amounts) -> Charged {
        self.split_up_to(self.given(), charged)
    }

    /// Splits a charge as `ended`, this hold when it ended, does. What was given to it since gives nothing, and if its
    /// exemption stands in for nothing any more, the caps pay.
    pub fn split_as(&self, ended: &Self, charged: Amounts) -> Charged {
        let split = ended.split(charged);
        let given = |unit: Unit| match self.is_exempt_in(unit) {
            true => split.given.of(unit),
            false => 0,
        };
        Charged::with_given(charged, given)
    }

    /// Splits a charge, of which the exemption gives at most `most`.
    fn split_up_to(&self, most: Amounts, charged: Amounts) -> Charged {
        let taken = self.amounts.saturating_sub(self.given());
        let given = |unit: Unit| match self.is_exempt_in(unit) {
            true => {
                let beyond = charged.of(unit).saturating_sub(taken.of(unit).max(0));
                beyond.min(most.of(unit)).max(0)
            }
            false => 0,
        };
        Charged::with_given(charged, given)
    }

    /// Returns true if an exemption stands in for a counter of the path in `unit`.
    fn is_exempt_in(&self, unit: Unit) -> bool {
        let mut covered = self.exempt.iter().flat_map(|exempt| &exempt.covered);
        covered.any(|node| node.unit == unit)
    }

    /// What the hold takes from `node`.
    pub fn taken_from(&self, node: Node) -> i64 {
        let (amount, given) = (self.amounts.of(node.unit), self.given().of(node.unit));
        if self.covers(node) {
            amount.saturating_sub(given)
        } else if !self.nodes.contains(&node) {
            0
        } else if node.is_of_exemption() {
            given
        } else {
            amount
        }
    }

    /// What an exemption gives in the place of `node`.
    pub fn given_for(&self, node: Node) -> i64 {
        if self.covers(node) {
            self.given().of(node.unit)
        } else {
            0
        }
    }

    /// Returns true if an exemption stands in for `node`.
    pub fn covers(&self, node: Node) -> bool {
        self.exempt
            .as_ref()
            .is_some_and(|exempt| exempt.covered.contains(&node))
    }

    /// The counters that the hold is about: those it was taken from and those an exemption stood in for.
    pub fn about(&self) -> impl Iterator<Item = Node> {
        let covered = self.exempt.iter().flat_map(|exempt| &exempt.covered);
        self.nodes.iter().chain(covered).copied()
    }

    /// Reads [`Self::pack`].
    pub fn unpack(bytes: &[u8]) -> Result<Self, UnreadableHold> {
        let mut rest = bytes;
        let [form] = take::<1>(&mut rest)?;
        let is_extended = form & EXTENDED != 0;
        let is_limited = match form & !EXTENDED {
            FORM_PLAIN => None,
            FORM_RAISED => Some(true),
            FORM_LIFTED => Some(false),
            _ => return Err(UnreadableHold),
        };
        let hold = Self {
            department: take_varint(&mut rest)?,
            tree: take_varint(&mut rest)?,
            fingerprint: take(&mut rest)?,
            nonce: take(&mut rest)?,
            expires_at: u32::from_be_bytes(take(&mut rest)?),
            extended_by: match is_extended {
                true => take_varint(&mut rest)?,
                false => 0,
            },
            amounts: Amounts {
                tokens: take_varint(&mut rest)?,
                micro_usd: take_varint(&mut rest)?,
            },
            exempt: match is_limited {
                Some(is_limited) => Some(take_exempt(&mut rest, is_limited)?),
                None => None,
            },
            nodes: Vec::new(),
        };
        let mut nodes = Vec::new();
        while !rest.is_empty() {
            take_nodes(&mut rest, &mut nodes)?;
        }
        nodes.sort_unstable();
        Ok(Self { nodes, ..hold })
    }
}

const TOKENS: u64 = 1;
const USD: u64 = 2;

/// The units of each number.
fn by_index(nodes: &[Node]) -> BTreeMap<u32, u64> {
    let mut units: BTreeMap<u32, u64> = BTreeMap::new();
    for node in nodes {
        *units.entry(node.index).or_default() |= match node.unit {
            Unit::Tokens => TOKENS,
            Unit::Usd => USD,
        };
    }
    units
}

fn push_nodes(out: &mut Vec<u8>, nodes: &BTreeMap<u32, u64>) {
    for (index, units) in nodes {
        push_varint(out, u64::from(*index) * 4 + units);
    }
}

/// Reads the one or two counters of a number.
fn take_nodes(rest: &mut &[u8], nodes: &mut Vec<Node>) -> Result<(), UnreadableHold> {
    let packed: u64 = take_varint(rest)?;
    let index = u32::try_from(packed / 4).map_err(|_| UnreadableHold)?;
    let counters = [(TOKENS, Unit::Tokens), (USD, Unit::Usd)];
    let counters = counters.iter().filter(|(bit, _)| packed & bit != 0);
    nodes.extend(counters.map(|&(_, unit)| Node { unit, index }));
    Ok(())
}

fn take_exempt(rest: &mut &[u8], is_limited: bool) -> Result<Exempt, UnreadableHold> {
    let index = take_varint(rest)?;
    let given = Amounts {
        tokens: take_varint(rest)?,
        micro_usd: take_varint(rest)?,
    };
    let count: u16 = take_varint(rest)?;
    let mut covered = Vec::new();
    for _ in 0..count {
        take_nodes(rest, &mut covered)?;
    }
    covered.sort_unstable();
    Ok(Exempt {
        index,
        is_limited,
        covered,
        given,
    })
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], UnreadableHold> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(UnreadableHold)?;
    *rest = tail;
    Ok(*head)
}

fn take_varint<T: TryFrom<u64>>(rest: &mut &[u8]) -> Result<T, UnreadableHold> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let [byte] = take::<1>(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return T::try_from(value).map_err(|_| UnreadableHold);
        }
    }
    Err(UnreadableHold)
}

/// A hold's public id: the period it counts in, its name in the cell, and what tells it from earlier holds
/// of that name: `hold_202611_<rid>_<first expiry and nonce>`. It stays the same if the hold is extended, so that
/// every event that names it means one hold, which ends once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    /// The period it counts in.
    pub period: Month,
    /// Its name in the cell.
    pub rid: HoldKey,
    first_expiry: u32,
    nonce: [u8; 3],
}

impl HoldId {
    /// The id of `hold`, which is called `rid` in the cell of `period`.
    pub fn new(period: Month, rid: HoldKey, hold: &Hold) -> Self {
        Self {
            period,
            rid,
            first_expiry: hold.first_expiry(),
            nonce: hold.nonce,
        }
    }

    /// Reads an id that a client sent; `None` where it has not the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("hold_")?;
        if rest.len() != 6 + 1 + 16 + 1 + 10 || !rest.is_ascii() {
            return None;
        }
        let period = Month::from_compact(&rest[..6])?;
        let rid = HoldKey::parse(&rest[7..23])?;
        let tail = URL_SAFE_NO_PAD.decode(&rest[24..]).ok()?;
        let (expiry, nonce) = tail.split_first_chunk::<4>()?;
        let id = Self {
            period,
            rid,
            first_expiry: u32::from_be_bytes(*expiry),
            nonce: nonce.try_into().ok()?,
        };
        (id.to_string() == text).then_some(id)
    }

    /// Whether `hold` is the one this id was given for.
    pub fn names(&self, hold: &Hold) -> bool {
        self.first_expiry == hold.first_expiry() && self.nonce == hold.nonce
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tail = [0; 7];
        tail[..4].copy_from_slice(&self.first_expiry.to_be_bytes());
        tail[4..].copy_from_slice(&self.nonce);
        write!(
            f,
            "hold_{}_{}_{}",
            self.period.compact(),
            self.rid.as_str(),
            URL_SAFE_NO_PAD.encode(tail)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    prop_compose! {
        fn any_hold()(
            department in any::<u32>(), tree in any::<u32>(), fingerprint in any::<Fingerprint>(),
            nonce in any::<[u8; 3]>(), expires_at in any::<u32>(),
            extended_by in prop_oneof![Just(0), any::<u32>()],
            tokens in 0..i64::MAX, micro_usd in 0..i64::MAX,
            nodes in btree_set((any::<bool>(), any::<u32>()), 0..18),
            exempt in proptest::option::of((any::<u32>(), any::<bool>(), 0..i64::MAX, 0..i64::MAX, btree_set((any::<bool>(), any::<u32>()), 0..18))),
        ) -> Hold {
            let node = |(usd, index)| Node { unit: if usd { Unit::Usd } else { Unit::Tokens }, index };
            let sorted = |nodes: std::collections::BTreeSet<(bool, u32)>| {
                let mut nodes: Vec<Node> = nodes.into_iter().map(node).collect();
                nodes.sort_unstable();
                nodes
            };
            let nodes = sorted(nodes);
            let exempt = exempt.map(|(index, is_limited, tokens, micro_usd, covered)| Exempt {
                index, is_limited, covered: sorted(covered), given: Amounts { tokens, micro_usd },
            });
            Hold { department, tree, fingerprint, nonce, expires_at, extended_by, amounts: Amounts { tokens, micro_usd }, nodes, exempt }
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
            hold in any_hold(), tokens in 0..i64::MAX, micro_usd in 0..i64::MAX,
        ) {
            let charged = Amounts { tokens, micro_usd };
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
            amounts: Amounts::new(5120, 21_300),
            nodes,
            exempt: None,
        };
        assert!(hold.pack().len() <= 30, "{}", hold.pack().len());
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
            let charged = Amounts::new(used, used);
            let given = |split: Charged| (split.given.tokens, split.given.micro_usd);
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
    fn a_hold_under_an_exemption_that_an_earlier_release_packed_is_read_as_under_a_raise() {
        let lifted = exempt_hold(false, &[Unit::Tokens]);
        let mut packed = lifted.pack();
        packed[0] = 4;
        let read = Hold::unpack(&packed).unwrap().exempt.unwrap();
        assert!(read.is_limited);
        assert_eq!(Some(read.given), lifted.exempt.map(|exempt| exempt.given));
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
}
