//! What the figures of a soak say: whether anything grew that should not.
//!
//! Memory is judged by the Theil-Sen slope, the median of the slopes between all pairs of samples: a
//! table that doubles now and then, or a neighbour's noise, does not move it, and what grows with every
//! request does. The first quarter does not count: pools, caches and series fill.

/// The gateway, seen from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at_ms: u32,
    /// That were sent so far.
    pub(crate) requests: u32,
    pub(crate) rss_kib: u32,
    pub(crate) fds: u32,
    pub(crate) threads: u32,
    /// Lines of its metrics.
    pub(crate) series: u32,
    /// Requests, attempts at every endpoint, and those in line there, that it takes to be running.
    pub(crate) in_flight: u32,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// In words.
    pub(crate) slope: String,
    /// What is wrong.
    pub(crate) why: Vec<String>,
}

/// How fast memory may grow. By requests is what leaks go by, but a MiB stands out of an allocator's
/// noise only after some; in shorter runs time binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    PerMillionRequests,
    PerMinute,
}

/// The pairs are as many as the square of these: enough for a slope, and little memory after hours.
const MOST_POINTS: usize = 1_000;
const MEASURABLE_REQUESTS: u32 = 2_000_000;
/// Open files and threads that may come and go with no request in flight.
const SPARE: u32 = 5;
/// Of the series, so many in a hundred may still appear late: rare statuses of rare models.
const LATE_SERIES_PERCENT: u32 = 2;

impl Bound {
    const fn of(requests: u32) -> Self {
        if requests >= MEASURABLE_REQUESTS { Self::PerMillionRequests } else { Self::PerMinute }
    }

    const fn most_mib(self) -> f64 {
        match self {
            Self::PerMillionRequests => 1.0,
            Self::PerMinute => 0.5,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::PerMillionRequests => "MiB per million requests",
            Self::PerMinute => "MiB a minute",
        }
    }

    /// The slope in this bound's unit.
    fn slope_mib(self, samples: &[Sample]) -> f64 {
        let x = |sample: &Sample| match self {
            Self::PerMillionRequests => f64::from(sample.requests) / 1e6,
            Self::PerMinute => f64::from(sample.at_ms) / 60_000.0,
        };
        let thinned = samples.iter().step_by(samples.len().div_ceil(MOST_POINTS).max(1));
        let points: Vec<_> = thinned.map(|sample| (x(sample), f64::from(sample.rss_kib) / 1024.0)).collect();
        theil_sen(&points)
    }
}

/// The median of the slopes between all pairs; 0 of fewer than two points.
fn theil_sen(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::new();
    for (at, first) in points.iter().enumerate() {
        let later = points.iter().skip(at + 1).filter(|second| second.0 > first.0);
        slopes.extend(later.map(|second| (second.1 - first.1) / (second.0 - first.0)));
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or_default()
}

/// Whether nothing is left of the load.
pub(crate) fn is_settled(base: &Sample, now: &Sample) -> bool {
    left(base, now).is_empty()
}

fn left(base: &Sample, now: &Sample) -> Vec<String> {
    let mut why = Vec::new();
    for (what, before, after) in [("open files", base.fds, now.fds), ("threads", base.threads, now.threads)] {
        if after > before + SPARE {
            why.push(format!("{after} {what} after the load, {before} before"));
        }
    }
    if now.in_flight > 0 {
        why.push(format!("{} requests or attempts are still counted as in flight or in line", now.in_flight));
    }
    why
}

/// `base` is before the load, `course` under it, `end` after it.
pub(crate) fn judge(base: &Sample, course: &[Sample], end: &Sample) -> Verdict {
    let late = course.get(course.len() / 4..).unwrap_or_default();
    let [Some(first), Some(last)] = [late.first(), late.last()] else {
        return Verdict { slope: String::new(), why: vec!["no samples".to_owned()] };
    };
    let mut why = left(base, end);
    let bound = Bound::of(last.requests - first.requests);
    let grown_mib = bound.slope_mib(late);
    if grown_mib > bound.most_mib() {
        why.push(format!("memory grows by {grown_mib:.2} {}", bound.name()));
    }
    if last.series > first.series + first.series * LATE_SERIES_PERCENT / 100 {
        why.push(format!("{} series at the end, {} after the warm-up", last.series, first.series));
    }
    let told = [Bound::PerMinute, Bound::PerMillionRequests].map(|b| format!("{:.3} {}", b.slope_mib(late), b.name()));
    let slope = format!(
        "RSS grows by {} (Theil-Sen, last three quarters); what binds: at most {} {}",
        told.join(", "),
        bound.most_mib(),
        bound.name()
    );
    Verdict { slope, why }
}
