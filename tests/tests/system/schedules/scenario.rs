//! The contents of a world, and the scripts of its actors.

/// The tokens that each request asks for.
pub(super) const Q: i64 = 10;
/// When holds are made that are there before.
pub(super) const BEFORE: &str = end_to_end::NOW;
/// When their time is over.
pub(super) const AFTER: &str = "2026-11-24T12:11:00Z";

/// The work of an actor. If it dies, another one does all of it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Ada asks to pass, under a request of this number.
    Ask(u8),
    /// The event of this number is recorded, as it is done behind the queue.
    Use(u8),
    /// Two events are recorded together.
    UseBoth(u8, u8),
    /// The event is reported, and the queue delivers.
    Report(u8),
    /// The hold of the request, which was made before, is given back.
    GiveBack(u8),
    /// It is to live an hour longer and to have half as much again.
    Renew(u8),
    /// The holds of the first month whose time is over are released.
    Expire,
    /// Somebody needs the cell of a month.
    OpenMonth(&'static str),
    /// A cap gets another amount.
    ChangeAmount(&'static str, i64),
    /// `eng` gets a cap of 15 tokens.
    MakeBudget,
    /// A cap is deleted.
    DeleteBudget(&'static str),
    /// Ada moves to `sales`.
    MoveUser,
    Block,
    /// Her exemption is approved.
    Approve,
    Revoke,
}

impl Script {
    /// The events that it records.
    pub(super) fn events(self) -> Vec<u8> {
        match self {
            Self::Use(event) | Self::Report(event) => vec![event],
            Self::UseBoth(first, second) => vec![first, second],
            _ => Vec::new(),
        }
    }

    /// The requests whose holds of before have ended when it is done, whatever others do.
    pub(super) fn ends(self) -> Vec<u8> {
        match self {
            Self::GiveBack(request) => vec![request],
            script => script.events().into_iter().filter_map(hold_of).collect(),
        }
    }
}

/// The request whose hold an event names.
pub(super) fn hold_of(event: u8) -> Option<u8> {
    match event {
        0 | 1 => Some(0),
        3 => Some(1),
        4 => Some(2),
        _ => None,
    }
}

/// How many tokens an event says that were used: never more than a hold has.
pub(super) fn used(event: u8) -> i64 {
    [7, 4, 5, 6, 8, 3][usize::from(event)]
}

/// The world before any actor acts: ada in `eng`, and `sales` beside it.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The hard caps of the organisation, of `eng` and of `sales`, in tokens.
    pub(super) caps: [Option<i64>; 3],
    /// The requests that have a hold.
    pub(super) holds: &'static [u8],
    /// Whether an abandoned hold is charged.
    pub(super) charges_abandoned: bool,
    /// Whether ada asked for twice as much as a request beyond each cap, and whether that is
    /// approved.
    pub(super) exemption: Option<bool>,
    pub(super) at: &'static str,
    /// When usage happened, if it was not then.
    pub(super) used_at: Option<&'static str>,
    /// Whether lapsed holds are released before.
    pub(super) is_swept: bool,
    /// Whether something was changed since, so that the cell of a month that is over was left
    /// behind.
    pub(super) is_behind: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            caps: [None; 3],
            holds: &[],
            charges_abandoned: false,
            exemption: None,
            at: BEFORE,
            used_at: None,
            is_swept: false,
            is_behind: false,
        }
    }
}

/// A world and its actors.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) setting: Setting,
    pub(super) scripts: &'static [Script],
    /// How many actors may die.
    pub(super) deaths: u8,
    /// Whether a cap may be in debt, because something is used that no hold stands for, or because
    /// it has less than before.
    pub(super) may_owe: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            setting: Setting::default(),
            scripts: &[],
            deaths: 1,
            may_owe: false,
        }
    }
}
