//! The tables, step by step. A step that was released is never changed; a new one is a new file and a
//! line here, and the same in the other database.

pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_keys.sql"),
    include_str!("migrations/0003_due.sql"),
];
