//! The small run of `make prove-ledger`: mixed requests, three times kill -9, exactly one row each.
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "rows are read as trees")]

#[cfg(test)]
#[path = "../benches/prove/run.rs"]
#[expect(dead_code, reason = "the bench uses all of it")]
mod run;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::run::{Size, run};

    #[test]
    fn every_request_has_one_row_with_its_providers_counts_through_kills() {
        let size = Size { requests: 2_000, kills: 3, clients: 24, seed: 7, from_access_log: false };
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("weir-prove-{}", std::process::id()));
        let proof = run(Path::new(env!("CARGO_BIN_EXE_weir")), &dir, &size);
        assert!(proof.wrong.is_empty(), "{}\n{}", proof.report, proof.wrong.join("\n"));
    }
}
