//! Values of requests that state their limits once. A reader is the function `read` of the type,
//! and the API's document describes the same type.

use super::parse;

/// Declares texts for people: not only spaces, and no control characters but line feeds and tabs.
macro_rules! texts {
    ($($(#[$doc:meta])+ $name:ident = $most:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl $name {
            /// The longest text, in characters.
            pub const MOST: usize = $most;

            pub fn read(raw: &str) -> Result<String, String> {
                parse::sentence(Self::MOST)(raw)
            }
        }
    )+};
}

texts! {
    /// The name of a model, or a pattern of names.
    Model = 200;
    /// The company that runs the model.
    Provider = 100;
    /// The reason of a block.
    Reason = 500;
    /// A note or a reason.
    NoteText = 1_000;
    /// The source of an event.
    Source = 100;
    /// The full name of a repository: `acme/shop`.
    Repository = 300;
    /// A summary of an event.
    Summary = 2_000;
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug)]
pub enum Whole<const LEAST: i64, const MOST: i64> {}

impl<const LEAST: i64, const MOST: i64> Whole<LEAST, MOST> {
    pub fn read(raw: &str) -> Result<i64, String> {
        parse::whole(LEAST, MOST)(raw)
    }
}
