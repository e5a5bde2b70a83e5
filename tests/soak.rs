//! The controls of `make soak`: its verdict passes what is flat, however noisy, and fails what leaks.

#[cfg(test)]
#[path = "../benches/soak/verdict.rs"]
mod verdict;

#[cfg(test)]
mod tests {
    use super::verdict::{Sample, is_settled, judge};

    const BASE: Sample =
        Sample { at_ms: 0, requests: 0, rss_kib: 40_960, fds: 30, threads: 8, series: 400, in_flight: 0 };

    /// A sample a second, with up to 2 MiB of noise, a step of 20 MiB within the warm-up, and this much
    /// more with each minute.
    fn course(seconds: u32, requests_per_second: u32, leak_kib_per_minute: i64) -> Vec<Sample> {
        let sample = |second: u32| {
            let noise_kib = second.wrapping_mul(2_654_435_761) >> 21;
            let step_kib = if second > seconds / 5 { 20_480 } else { 0 };
            let leak_kib = leak_kib_per_minute * i64::from(second) / 60;
            let rss_kib = u32::try_from(i64::from(BASE.rss_kib + noise_kib + step_kib) + leak_kib).unwrap();
            Sample { at_ms: second * 1000, requests: second * requests_per_second, rss_kib, ..BASE }
        };
        (1..=seconds).map(sample).collect()
    }

    #[test]
    fn noise_passes_and_a_leak_of_twice_the_bound_fails() {
        // At 10,000 requests a second 1 MiB a million of them is 614 KiB a minute.
        for (requests_per_second, binds, bound_kib_per_minute) in
            [(100, "at most 0.5 MiB a minute", 512), (10_000, "at most 1 MiB per million requests", 614)]
        {
            let flat = judge(&BASE, &course(900, requests_per_second, 0), &BASE);
            assert!(flat.why.is_empty() && flat.slope.ends_with(binds), "{flat:?}");
            let leak = judge(&BASE, &course(900, requests_per_second, 2 * bound_kib_per_minute), &BASE);
            assert_eq!(leak.why.len(), 1, "{leak:?}");
            assert!(leak.why[0].starts_with("memory grows by"), "{leak:?}");
        }
    }

    #[test]
    fn what_shrinks_passes() {
        assert!(judge(&BASE, &course(300, 1000, -1200), &BASE).why.is_empty());
    }

    #[test]
    fn what_stays_behind_fails() {
        let flat = course(60, 1000, 0);
        let why = |end: Sample| judge(&BASE, &flat, &end).why.join("; ");
        assert_eq!(why(Sample { fds: 35, threads: 3, ..BASE }), "");
        assert_eq!(why(Sample { fds: 36, ..BASE }), "36 open files after the load, 30 before");
        assert_eq!(why(Sample { threads: 14, ..BASE }), "14 threads after the load, 8 before");
        let stuck = Sample { in_flight: 1, ..BASE };
        assert_eq!(why(stuck), "1 requests or attempts are still counted as in flight or in line");
        assert!(is_settled(&BASE, &BASE) && !is_settled(&BASE, &stuck));
    }

    #[test]
    fn series_that_clients_make_fail() {
        let mut course = course(100, 100, 0);
        course.iter_mut().for_each(|sample| sample.series += sample.at_ms / 2_000);
        let verdict = judge(&BASE, &course, &BASE);
        assert_eq!(verdict.why, ["450 series at the end, 413 after the warm-up"]);
        assert_eq!(judge(&BASE, &[], &BASE).why, ["no samples"]);
    }
}
