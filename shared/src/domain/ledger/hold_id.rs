//! Keys and public ids of holds.

use crate::domain::ledger::hold::Hold;
use crate::domain::org::placement::{HOME, MAX_CELLS};
use crate::domain::period::Month;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;

/// The bytes of the user's part and of the request's part of a [`HoldKey`].
const PART: usize = 6;
/// The characters of a key.
const RID_CHARACTERS: usize = 2 * PART * 4 / 3;
/// The characters of the user's part.
const USER_CHARACTERS: usize = PART * 4 / 3;

/// The bits of a key's last byte that tell the requests of a lease apart.
const NUMBER_BITS: u8 = 0x7f;

/// Where a hold is: the number of its cell, and its key there.
///
/// The key has 16 characters derived from (organisation, user, the client's request id). The first
/// 8 depend on the user alone, so that no user can touch another user's hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldKey {
    key: String,
    cell: u32,
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

impl HoldKey {
    /// Derives the key of the hold for `request_id` of `user_id`, in the home cell.
    pub fn derive(organisation_id: &str, user_id: &str, request_id: &str) -> Self {
        let user = digest(&[organisation_id, user_id]);
        let request = digest(&[organisation_id, user_id, request_id]);
        let mut bytes = [0; 2 * PART];
        bytes[..PART].copy_from_slice(&user[..PART]);
        bytes[PART..].copy_from_slice(&request[..PART]);
        Self {
            key: URL_SAFE_NO_PAD.encode(bytes),
            cell: HOME,
        }
    }

    /// Parses a key found in the home cell or a hold id. None if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 2 * PART).then(|| Self {
            key: text.to_owned(),
            cell: HOME,
        })
    }

    /// Returns the same key in another cell.
    #[must_use]
    pub fn in_cell(self, cell: u32) -> Self {
        Self { cell, ..self }
    }

    /// Returns the number of its cell.
    pub fn cell(&self) -> u32 {
        self.cell
    }

    /// Returns true if the hold belongs to `user_id`.
    pub fn belongs_to(&self, organisation_id: &str, user_id: &str) -> bool {
        self.user_part() == Self::user_part_of(organisation_id, user_id)
    }

    /// Returns the prefix of the keys of all holds of a user.
    pub fn user_part_of(organisation_id: &str, user_id: &str) -> String {
        let user = digest(&[organisation_id, user_id]);
        URL_SAFE_NO_PAD.encode(&user[..PART])
    }

    /// Returns its first eight characters, which identify the user.
    pub fn user_part(&self) -> &str {
        self.key.get(..USER_CHARACTERS).unwrap_or_default()
    }

    /// Returns its key in its cell.
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// Returns the key of request `number` of the lease whose first key this is. Number 0 is this
    /// key. The keys of a lease differ in the last seven bits, which [`HoldKey::shares_lease`]
    /// leaves out.
    #[must_use]
    pub fn numbered(&self, number: u8) -> Self {
        let Ok(mut bytes) = URL_SAFE_NO_PAD.decode(&self.key) else {
            return self.clone();
        };
        if let Some(last) = bytes.last_mut() {
            *last ^= number & NUMBER_BITS;
        }
        Self {
            key: URL_SAFE_NO_PAD.encode(bytes),
            cell: self.cell,
        }
    }

    /// Returns true if both can be keys of one lease.
    pub fn shares_lease(&self, other: &Self) -> bool {
        let unnumbered = |key: &Self| {
            let mut bytes = URL_SAFE_NO_PAD.decode(&key.key).ok()?;
            *bytes.last_mut()? &= !NUMBER_BITS;
            Some(bytes)
        };
        self == other || unnumbered(self).is_some_and(|of| unnumbered(other) == Some(of))
    }

    /// Returns true if both holds belong to the same user.
    pub fn is_of_same_user(&self, other: &Self) -> bool {
        self.user_part() == other.user_part()
    }
}

/// A hold's public id: its period, its cell if that is not home, its key there, and a suffix that
/// distinguishes it from earlier holds with that key: `hold_202611_<rid>_<first expiry and nonce>`,
/// or `hold_202611c07_..` in cell 7. An extension does not change it, so every event that names it
/// means the same hold, which ends once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    pub period: Month,
    /// Its cell, and its key there.
    pub rid: HoldKey,
    first_expiry: u32,
    nonce: [u8; 3],
}

impl HoldId {
    /// Returns the id of `hold`, which has the key `rid` in the cell of `period`.
    pub fn new(period: Month, rid: HoldKey, hold: &Hold) -> Self {
        Self {
            period,
            rid,
            first_expiry: hold.first_expiry(),
            nonce: hold.nonce,
        }
    }

    /// Parses an id from a client. None if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("hold_")?;
        let (place, rest) = rest.split_once('_')?;
        let (month, cell) = match place.split_once('c') {
            Some((month, cell)) => (month, cell.parse().ok().filter(|cell| *cell < MAX_CELLS)?),
            None => (place, HOME),
        };
        let (rid, tail) = rest.split_at_checked(RID_CHARACTERS)?;
        let tail = URL_SAFE_NO_PAD.decode(tail.strip_prefix('_')?).ok()?;
        let (expiry, nonce) = tail.split_first_chunk::<4>()?;
        let id = Self {
            period: Month::from_compact(month)?,
            rid: HoldKey::parse(rid)?.in_cell(cell),
            first_expiry: u32::from_be_bytes(*expiry),
            nonce: nonce.try_into().ok()?,
        };
        (id.to_string() == text).then_some(id)
    }

    /// Returns true if this is the id of `hold`.
    pub fn names(&self, hold: &Hold) -> bool {
        self.first_expiry == hold.first_expiry() && self.nonce == hold.nonce
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tail = [0; 7];
        tail[..4].copy_from_slice(&self.first_expiry.to_be_bytes());
        tail[4..].copy_from_slice(&self.nonce);
        let cell = match self.rid.cell {
            HOME => String::new(),
            cell => format!("c{cell:02}"),
        };
        write!(
            f,
            "hold_{}{cell}_{}_{}",
            self.period.compact(),
            self.rid.as_str(),
            URL_SAFE_NO_PAD.encode(tail)
        )
    }
}
