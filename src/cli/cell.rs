//! Texts in the cells of a table that others open.

use std::borrow::Cow;

/// A text that a spreadsheet shows, and does not compute: clients choose tags and names of models, and what begins
/// like a formula is one there. Numbers begin with signs too, and stay.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_computed_is_shown() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+SUM(A1)", "'+SUM(A1)"),
            ("-cmd", "'-cmd"),
            ("@x", "'@x"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("-1.5", "-1.5"),
            ("gpt-5=x", "gpt-5=x"),
            ("", ""),
        ] {
            assert_eq!(plain(text), shown);
        }
    }
}
