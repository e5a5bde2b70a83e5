use super::*;

fn s(text: &str) -> i64 {
    time::read_ms(&format!("{text}:00.000Z")).unwrap() / 1_000
}

fn query(since: Option<&str>, until: Option<&str>, by: &[By]) -> UsageQuery {
    UsageQuery { by: by.to_vec(), since_s: since.map(s), until_s: until.map(s), ..UsageQuery::default() }
}

#[test]
fn whole_days_come_from_the_table_of_days() {
    let (first, end) = (s("2026-07-01T00:00"), s("2026-08-01T00:00"));
    let parts = |since, until, by: &[By]| {
        let stretch = Stretch::within(&query(since, until, by), first, end).unwrap();
        stretch.parts(USAGE).into_iter().map(|(table, from, to, _)| (table, from, to)).collect::<Vec<_>>()
    };
    assert_eq!(parts(None, None, &[]), [("weir_usage_days", first, end)]);
    assert_eq!(parts(None, None, &[By::Hour]), [("weir_usage", first, end)]);
    let edges = parts(Some("2026-07-02T22:50"), Some("2026-07-05T00:07"), &[By::Day]);
    let expected = [
        ("weir_usage", s("2026-07-02T22:45"), s("2026-07-03T00:00")),
        ("weir_usage_days", s("2026-07-03T00:00"), s("2026-07-05T00:00")),
        ("weir_usage", s("2026-07-05T00:00"), s("2026-07-05T00:15")),
    ];
    assert_eq!(edges, expected);
    let short = parts(Some("2026-07-02T10:00"), Some("2026-07-02T11:00"), &[]);
    assert_eq!(short, [("weir_usage", s("2026-07-02T10:00"), s("2026-07-02T11:00"))]);
    assert!(Stretch::within(&query(Some("2026-09-01T00:00"), None, &[]), first, end).is_none());
}

#[test]
fn what_cannot_be_asked_is_said() {
    assert_eq!(By::list("tenant, month"), Ok(vec![By::Tenant, By::Month]));
    for (text, part) in [("tenants", "tenants"), ("tag,tag", "twice"), ("day,month", "enough")] {
        assert!(By::list(text).unwrap_err().contains(part), "{text}");
    }
    let together = UsageQuery { by: vec![By::Tag, By::User], ..UsageQuery::default() };
    assert!(together.wrong().unwrap().contains("`user` and `tag`"));
    let filtered = UsageQuery { filters: vec![(By::Day, "x".into())], ..UsageQuery::default() };
    assert!(filtered.wrong().is_some());
    let fine = UsageQuery { by: vec![By::Tag, By::Key, By::Day], ..UsageQuery::default() };
    assert_eq!(fine.wrong(), None);
}
