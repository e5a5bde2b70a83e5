-- Keys that are made at run time: hashes, never secrets. A key that was revoked stays. `changed` is what
-- the keys' clock showed when it last changed.
CREATE TABLE weir_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL, handle TEXT NOT NULL, sha256 TEXT NOT NULL UNIQUE,
    previous_sha256 TEXT, previous_until_ms INTEGER,
    created_ms INTEGER NOT NULL, revoked_ms INTEGER,
    settings TEXT NOT NULL, changed INTEGER NOT NULL
);
CREATE INDEX weir_keys_changed ON weir_keys (changed);

-- One row, which every change of a key moves on, and so holds up the next change until it is done: what
-- is read up to a clock is all there is up to it.
CREATE TABLE weir_keys_clock (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, changed INTEGER NOT NULL);

-- The chain of changes, and its end.
CREATE TABLE weir_audit (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX weir_audit_at ON weir_audit (at_ms);
CREATE TABLE weir_audit_end (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
