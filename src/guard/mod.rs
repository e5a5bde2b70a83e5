//! What may not pass in texts: secrets, personal data, words, attempts to talk a model out of its
//! instructions; what is found, and what is done about it.
//!
//! Pure: text in, text out. [`Detectors`] find, [`Vault`] has the placeholders that stand in for what was
//! masked, [`Watch`] puts both together for one request, and [`Window`] does the same with a text that
//! comes in pieces.
//!
//! Everything here rests on one property. A detector is asked about one place in a text at a time, and
//! says "nothing begins here", "something does, up to there", or "that depends on what follows"
//! (`Verdict`). What it says of a place depends on a bounded stretch before and behind that place only.
//! So a text in pieces is decided as far as no detector waits for more, all behind that is held back, and
//! the result is that of the whole text however it was cut. The work is linear: every place is looked at
//! by each detector once, or, at the end of what has come, once more with each piece.
//!
//! A hit is a kind and a range. No type here that holds a text shows it in `Debug`.

mod board;
mod cards;
mod detect;
mod email;
mod escaping;
mod form;
mod iban;
mod injection;
mod national;
mod patterns;
mod phone;
pub mod schema;
mod secrets;
mod text;
mod vault;
mod watch;
mod window;
mod words;

pub use board::{Board, Decision};
pub use detect::{Detectors, Hit};
pub use form::{Fate, Form, Rules as FormRules};
pub use patterns::Unfit;
pub use vault::Vault;
pub use watch::{Guard, Side, Verdict as Outcome, Watch};
pub use window::Window;

use text::Text;

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// API keys, tokens, private keys.
    Secrets,
    /// Numbers of payment cards.
    Cards,
    Iban,
    Email,
    /// Phone numbers in their international form.
    Phone,
    /// Numbers that a state gives to people.
    NationalIds,
    /// Attempts to talk a model out of its instructions.
    Injection,
    /// A word of the guard's own list.
    Words,
    /// A pattern of the guard's own.
    Patterns,
    /// What a service outside found.
    External,
    /// An answer that is not the JSON that was asked for.
    Schema,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Secrets,
        Self::Cards,
        Self::Iban,
        Self::Email,
        Self::Phone,
        Self::NationalIds,
        Self::Injection,
        Self::Words,
        Self::Patterns,
        Self::External,
        Self::Schema,
    ];

    /// Those that a guard asks for by name.
    pub const NAMED: [Self; 7] =
        [Self::Secrets, Self::Cards, Self::Iban, Self::Email, Self::Phone, Self::NationalIds, Self::Injection];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Cards => "cards",
            Self::Iban => "iban",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::NationalIds => "national_ids",
            Self::Injection => "injection",
            Self::Words => "words",
            Self::Patterns => "patterns",
            Self::External => "external",
            Self::Schema => "schema",
        }
    }

    /// As a placeholder calls it.
    const fn label(self) -> &'static str {
        match self {
            Self::Secrets => "SECRET",
            Self::Cards => "CARD",
            Self::Iban => "IBAN",
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::NationalIds => "ID",
            Self::Injection => "INJECTION",
            Self::Words => "WORD",
            Self::Patterns => "PATTERN",
            Self::External => "EXTERNAL",
            Self::Schema => "JSON",
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// What is done about what is found, from the mildest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Only counted.
    Allow,
    /// Counted, and said in the answer's head.
    Flag,
    /// Replaced by a placeholder, which is undone in the answer.
    Mask,
    /// Nothing passes.
    Block,
}

impl Action {
    pub const WORDS: [(&'static str, Self); 4] =
        [("allow", Self::Allow), ("flag", Self::Flag), ("mask", Self::Mask), ("block", Self::Block)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Mask => "mask",
            Self::Block => "block",
        }
    }
}

#[cfg(test)]
mod tests;
