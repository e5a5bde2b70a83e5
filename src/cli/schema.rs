//! `weir schema`

use std::process::ExitCode;

use super::print;

pub(super) fn schema() -> ExitCode {
    print::out(crate::config::schema::text().trim_end());
    ExitCode::SUCCESS
}
