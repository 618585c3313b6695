//! The packed form of holds in a cell.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::ledger::hold::{Exempt, Hold};
use crate::domain::ledger::node::Node;
use crate::domain::pricing::rates::TIERS;
use std::collections::BTreeMap;

/// The bytes are not a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hold is malformed")]
pub struct UnreadableHold;

/// The forms of a packed hold: plain, under a raise, or under a lift. 3 to 5 were those with
/// micro-USD.
const FORM_PLAIN: u8 = 6;
const FORM_RAISED: u8 = 7;
const FORM_LIFTED: u8 = 8;
/// Added to the form if the hold was extended.
const EXTENDED: u8 = 16;
/// Added to the form for each tier before that of the hold.
const TIER: u8 = 32;

impl Hold {
    /// Packs the hold: form with tier, varints of department and tree, fingerprint, nonce, expiry,
    /// varint of the extension (if extended), varints of the amounts, for an exemption its number,
    /// what it gave, the count of covered levels and each of them, then each level or exemption it
    /// was taken from. Levels are varints of `index * 4 + units`, with 1 for tokens and 2 for US
    /// dollars.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        let form = match &self.exempt {
            None => FORM_PLAIN,
            Some(exempt) if exempt.is_limited => FORM_RAISED,
            Some(_) => FORM_LIFTED,
        };
        let is_extended = self.extended_by > 0;
        let tier = TIERS.iter().take_while(|tier| **tier != self.tier);
        let tier = tier.fold(0, |form, _| form + TIER);
        out.push(form + tier + if is_extended { EXTENDED } else { 0 });
        push_varint(&mut out, self.department.into());
        push_varint(&mut out, self.tree.into());
        out.extend_from_slice(&self.fingerprint);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.expires_at.to_be_bytes());
        if is_extended {
            push_varint(&mut out, self.extended_by.into());
        }
        push_varint(&mut out, self.amounts.tokens.unsigned_abs().into());
        push_varint(&mut out, self.amounts.pico_usd.unsigned_abs());
        if let Some(exempt) = &self.exempt {
            push_varint(&mut out, exempt.index.into());
            push_varint(&mut out, exempt.given.tokens.unsigned_abs().into());
            push_varint(&mut out, exempt.given.pico_usd.unsigned_abs());
            let covered = by_index(&exempt.covered);
            push_varint(&mut out, covered.len().try_into().unwrap_or(0));
            push_nodes(&mut out, &covered);
        }
        push_nodes(&mut out, &by_index(&self.nodes));
        out
    }

    pub fn unpack(bytes: &[u8]) -> Result<Self, UnreadableHold> {
        let mut rest = bytes;
        let [form] = take::<1>(&mut rest)?;
        let is_extended = form & EXTENDED != 0;
        let tier = *TIERS.get(usize::from(form / TIER)).ok_or(UnreadableHold)?;
        let is_limited = match form % EXTENDED {
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
            tier,
            amounts: Amounts {
                tokens: take_varint(&mut rest)?,
                pico_usd: take_varint(&mut rest)?,
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

/// Returns the units of each number.
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
        push_varint(out, u128::from(*index) * 4 + u128::from(*units));
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
        pico_usd: take_varint(rest)?,
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

fn push_varint(out: &mut Vec<u8>, mut value: u128) {
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

/// Reads up to 126 bits.
fn take_varint<T: TryFrom<u128>>(rest: &mut &[u8]) -> Result<T, UnreadableHold> {
    let mut value = 0_u128;
    for shift in (0..126).step_by(7) {
        let [byte] = take::<1>(rest)?;
        value |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return T::try_from(value).map_err(|_| UnreadableHold);
        }
    }
    Err(UnreadableHold)
}
