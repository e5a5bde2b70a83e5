//! Numbers out of Prometheus' text format.

/// The lines of a scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metrics<'t>(pub(super) &'t str);

impl<'t> Metrics<'t> {
    fn lines(self, name: &'t str) -> impl Iterator<Item = (&'t str, f64)> {
        self.0.lines().filter_map(move |line| {
            let labels = line.strip_prefix(name)?;
            if !labels.starts_with(['{', ' ']) {
                return None;
            }
            let (labels, value) = labels.rsplit_once(' ')?;
            Some((labels, value.parse().ok()?))
        })
    }

    /// All of its series together; none where there is none.
    pub(super) fn sum(self, name: &'t str) -> Option<f64> {
        let mut all = self.lines(name).map(|(_, value)| value).peekable();
        all.peek()?;
        Some(all.sum())
    }

    /// Those with this in their labels.
    pub(super) fn sum_with(self, name: &'t str, label: &str) -> f64 {
        self.lines(name).filter(|(labels, _)| labels.contains(label)).map(|(_, value)| value).sum()
    }

    /// The values of one label, of the series that are not 0.
    pub(super) fn values(self, name: &'t str, label: &str) -> Vec<String> {
        let mark = format!("{label}=\"");
        let of = |labels: &str| labels.split(&mark).nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
        let mut all: Vec<String> =
            self.lines(name).filter(|(_, value)| *value > 0.0).filter_map(|(labels, _)| of(labels)).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_whole_name() {
        let text = "# HELP a x\na 2\na_b 7\na{p=\"x\",r=\"no\"} 1.5\na{p=\"y\",r=\"yes\"} 0\nbroken\n";
        let metrics = Metrics(text);
        assert_eq!((metrics.sum("a"), metrics.sum("a_b"), metrics.sum("c")), (Some(3.5), Some(7.0), None));
        assert!((metrics.sum_with("a", "r=\"no\"") - 1.5).abs() < 1e-9);
        assert_eq!(metrics.values("a", "p"), ["x"]);
    }
}
