//! Holds: what a request may use until it is settled, voided or has lapsed.

use super::amount::{Amounts, Unit};
use super::period::Month;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;

/// One budget's counter in a cell: `t3` counts tokens, `m3` micro-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// What it counts.
    pub unit: Unit,
    /// The budget's number in its organisation, never used twice.
    pub index: u32,
}

/// The name of a hold inside its cell: 16 characters derived from (organisation, user, the client's request id),
/// the first 8 from the user alone, so that nobody touches another user's hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rid(String);

/// The bytes of the user's part and of the request's part of a [`Rid`].
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

impl Rid {
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
        let user = digest(&[organisation_id, user_id]);
        self.0.starts_with(&URL_SAFE_NO_PAD.encode(&user[..PART]))
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

/// How many bytes an earlier release kept of a fingerprint. Holds of those days read with zeros behind them.
const SHORT_FINGERPRINT: usize = 3;

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
    /// What is held.
    pub amounts: Amounts,
    /// The counters it was taken from, ascending.
    pub nodes: Vec<Node>,
    /// The exemption that gave instead of counters of the path, where one did.
    pub exempt: Option<Exempt>,
}

/// An exemption that a hold was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exempt {
    /// The number of its counters, which are among the hold's nodes.
    pub index: u32,
    /// The counters of the path that it covers, ascending: nothing was taken from them.
    pub covered: Vec<Node>,
}

/// Bytes that are not a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hold has an unreadable form")]
pub struct UnreadableHold;

/// The forms of a packed hold: plain or under an exemption, with a short or a whole fingerprint.
const FORM_PLAIN_SHORT: u8 = 1;
const FORM_EXEMPT_SHORT: u8 = 2;
const FORM_PLAIN: u8 = 3;
const FORM_EXEMPT: u8 = 4;

impl Hold {
    /// Whether the hold counts no more at `now`.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        i64::from(self.expires_at) <= now.as_second()
    }

    /// The moment it lapses.
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_second(i64::from(self.expires_at)).unwrap_or(Timestamp::MAX)
    }

    /// The packed form: form, varints of department and tree, fingerprint, nonce, expiry, varints of the
    /// amounts, if there is an exemption its number and how many counters it covers with each of them, then each
    /// node as a varint of `index * 2 + unit`.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        // A hold packs as it was read: conditions compare the bytes, those of an earlier release too.
        let (short, rest) = self.fingerprint.split_at(SHORT_FINGERPRINT);
        let is_short = rest.iter().all(|byte| *byte == 0);
        out.push(match (&self.exempt, is_short) {
            (None, true) => FORM_PLAIN_SHORT,
            (Some(_), true) => FORM_EXEMPT_SHORT,
            (None, false) => FORM_PLAIN,
            (Some(_), false) => FORM_EXEMPT,
        });
        push_varint(&mut out, self.department.into());
        push_varint(&mut out, self.tree.into());
        out.extend_from_slice(if is_short { short } else { &self.fingerprint });
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.expires_at.to_be_bytes());
        push_varint(&mut out, self.amounts.tokens.unsigned_abs());
        push_varint(&mut out, self.amounts.micro_usd.unsigned_abs());
        if let Some(exempt) = &self.exempt {
            push_varint(&mut out, exempt.index.into());
            push_varint(&mut out, exempt.covered.len().try_into().unwrap_or(0));
            for node in &exempt.covered {
                push_node(&mut out, *node);
            }
        }
        for node in &self.nodes {
            push_node(&mut out, *node);
        }
        out
    }

    /// Makes it a hold of `path`, the counters of its path by now. What an exemption stood in for, it stands in for still.
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

    /// The counters that the hold is about: those it was taken from and those an exemption stood in for.
    pub fn about(&self) -> impl Iterator<Item = Node> {
        let covered = self.exempt.iter().flat_map(|exempt| &exempt.covered);
        self.nodes.iter().chain(covered).copied()
    }

    /// Reads [`Self::pack`].
    pub fn unpack(bytes: &[u8]) -> Result<Self, UnreadableHold> {
        let mut rest = bytes;
        let [form] = take::<1>(&mut rest)?;
        let (is_exempt, is_short) = match form {
            FORM_PLAIN_SHORT => (false, true),
            FORM_EXEMPT_SHORT => (true, true),
            FORM_PLAIN => (false, false),
            FORM_EXEMPT => (true, false),
            _ => return Err(UnreadableHold),
        };
        let hold = Self {
            department: take_varint(&mut rest)?,
            tree: take_varint(&mut rest)?,
            fingerprint: match is_short {
                true => take_short_fingerprint(&mut rest)?,
                false => take(&mut rest)?,
            },
            nonce: take(&mut rest)?,
            expires_at: u32::from_be_bytes(take(&mut rest)?),
            amounts: Amounts {
                tokens: take_varint(&mut rest)?,
                micro_usd: take_varint(&mut rest)?,
            },
            exempt: match is_exempt {
                true => Some(take_exempt(&mut rest)?),
                false => None,
            },
            nodes: Vec::new(),
        };
        let mut nodes = Vec::new();
        while !rest.is_empty() {
            nodes.push(take_node(&mut rest)?);
        }
        Ok(Self { nodes, ..hold })
    }
}

fn push_node(out: &mut Vec<u8>, node: Node) {
    let unit = u64::from(node.unit == Unit::Usd);
    push_varint(out, u64::from(node.index) * 2 + unit);
}

fn take_node(rest: &mut &[u8]) -> Result<Node, UnreadableHold> {
    let packed: u64 = take_varint(rest)?;
    Ok(Node {
        unit: if packed % 2 == 1 {
            Unit::Usd
        } else {
            Unit::Tokens
        },
        index: u32::try_from(packed / 2).map_err(|_| UnreadableHold)?,
    })
}

fn take_exempt(rest: &mut &[u8]) -> Result<Exempt, UnreadableHold> {
    let index = take_varint(rest)?;
    let count: u16 = take_varint(rest)?;
    let mut covered = Vec::new();
    for _ in 0..count {
        covered.push(take_node(rest)?);
    }
    Ok(Exempt { index, covered })
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

fn take_short_fingerprint(rest: &mut &[u8]) -> Result<Fingerprint, UnreadableHold> {
    let mut fingerprint = Fingerprint::default();
    fingerprint[..SHORT_FINGERPRINT].copy_from_slice(&take::<SHORT_FINGERPRINT>(rest)?);
    Ok(fingerprint)
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
/// of that name: `hold_202611_<rid>_<expiry and nonce>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    /// The period it counts in.
    pub period: Month,
    /// Its name in the cell.
    pub rid: Rid,
    expires_at: u32,
    nonce: [u8; 3],
}

impl HoldId {
    /// The id of `hold`, which is called `rid` in the cell of `period`.
    pub fn new(period: Month, rid: Rid, hold: &Hold) -> Self {
        Self {
            period,
            rid,
            expires_at: hold.expires_at,
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
        let rid = Rid::parse(&rest[7..23])?;
        let tail = URL_SAFE_NO_PAD.decode(&rest[24..]).ok()?;
        let (expiry, nonce) = tail.split_first_chunk::<4>()?;
        let id = Self {
            period,
            rid,
            expires_at: u32::from_be_bytes(*expiry),
            nonce: nonce.try_into().ok()?,
        };
        (id.to_string() == text).then_some(id)
    }

    /// Whether `hold` is the one this id was given for.
    pub fn names(&self, hold: &Hold) -> bool {
        self.expires_at == hold.expires_at && self.nonce == hold.nonce
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tail = [0; 7];
        tail[..4].copy_from_slice(&self.expires_at.to_be_bytes());
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
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_fingerprint() -> impl Strategy<Value = Fingerprint> {
        let short = any::<[u8; 3]>().prop_map(|[a, b, c]| [a, b, c, 0, 0, 0, 0, 0]);
        prop_oneof![any::<Fingerprint>(), short]
    }

    prop_compose! {
        fn any_hold()(
            department in any::<u32>(), tree in any::<u32>(), fingerprint in any_fingerprint(),
            nonce in any::<[u8; 3]>(), expires_at in any::<u32>(),
            tokens in 0..i64::MAX, micro_usd in 0..i64::MAX,
            nodes in vec((any::<bool>(), any::<u32>()), 0..18),
            exempt in proptest::option::of((any::<u32>(), vec((any::<bool>(), any::<u32>()), 0..18))),
        ) -> Hold {
            let node = |(usd, index)| Node { unit: if usd { Unit::Usd } else { Unit::Tokens }, index };
            let nodes = nodes.into_iter().map(node).collect();
            let exempt = exempt.map(|(index, covered)| Exempt { index, covered: covered.into_iter().map(node).collect() });
            Hold { department, tree, fingerprint, nonce, expires_at, amounts: Amounts { tokens, micro_usd }, nodes, exempt }
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
            let id = HoldId::new(period, Rid::derive("acme", "ada", &request), &hold);
            prop_assert_eq!(HoldId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn any_text_is_a_hold_id_or_refused_without_a_panic(text in ".{0,50}") {
            let _ = HoldId::parse(&text);
            let _ = HoldId::parse(&format!("hold_{text}"));
        }
    }

    #[test]
    fn a_usual_hold_takes_about_30_bytes() {
        let node = |index| Node {
            unit: Unit::Tokens,
            index,
        };
        let hold = Hold {
            department: 12,
            tree: 1,
            fingerprint: [1; 8],
            nonce: [2; 3],
            expires_at: 1_790_000_000,
            amounts: Amounts::new(5120, 21_300),
            nodes: vec![node(0), node(3), node(7), node(11)],
            exempt: None,
        };
        assert!(hold.pack().len() <= 30, "{}", hold.pack().len());
    }

    #[test]
    fn a_hold_of_an_earlier_release_reads_and_packs_as_it_was() {
        let packed = [1, 12, 0, 7, 8, 9, 1, 2, 3, 0, 0, 0, 5, 100, 0, 6];
        let hold = Hold::unpack(&packed).unwrap();
        assert_eq!(hold.fingerprint, [7, 8, 9, 0, 0, 0, 0, 0]);
        assert_eq!(hold.nonce, [1, 2, 3]);
        assert_eq!((hold.expires_at, hold.amounts.tokens), (5, 100));
        assert_eq!(hold.pack(), packed);
    }

    #[test]
    fn a_rid_belongs_to_its_user_only() {
        let rid = Rid::derive("acme", "ada", "r-1");
        assert!(rid.belongs_to("acme", "ada"));
        assert!(!rid.belongs_to("acme", "bob"));
        assert!(!rid.belongs_to("other", "ada"));
        assert_ne!(rid, Rid::derive("acme", "ada", "r-2"));
        assert!(rid.is_of_same_user(&Rid::derive("acme", "ada", "r-2")));
        assert!(!rid.is_of_same_user(&Rid::derive("acme", "bob", "r-1")));
        assert_ne!(
            Rid::derive("acme", "ad", "ar"),
            Rid::derive("acme", "ada", "r")
        );
    }
}
