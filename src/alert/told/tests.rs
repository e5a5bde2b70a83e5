use super::*;
use crate::alert::event::Severity;

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: u64 = 3_600_000;

fn event(kind: AlertKind, subject: &str) -> Event {
    Event::new(kind, Severity::Warning, subject, "text")
}

#[test]
fn the_same_is_told_once_until_it_is_time_again() {
    let mut told = Told::default();
    let one = event(AlertKind::BudgetThreshold, "tenant a");
    assert_eq!(told.raise(&one, false, 5, HOUR), Verdict::Tell);
    assert_eq!(told.raise(&one, false, HOUR_MS, HOUR), Verdict::Known);
    assert_eq!(told.raise(&one, false, HOUR_MS + 5, HOUR), Verdict::Tell);
    let other = event(AlertKind::BudgetThreshold, "tenant b");
    assert_eq!(told.raise(&other, false, 6, HOUR), Verdict::Tell);
    assert_eq!(told.raise(&one.clone().about("80"), false, 6, HOUR), Verdict::Tell);
    assert_eq!(told.raise(&event(AlertKind::SpendSpike, "tenant a"), false, 6, HOUR), Verdict::Tell);
}

#[test]
fn an_end_is_told_once_and_only_of_what_began() {
    let mut told = Told::default();
    let down = event(AlertKind::StoreDown, "store");
    assert_eq!(told.over(&down, 0), None);
    assert_eq!(told.raise(&down, true, 100, HOUR), Verdict::Tell);
    assert_eq!(told.raise(&down, true, 100 + HOUR_MS, HOUR), Verdict::Tell, "it goes on");
    assert_eq!(told.over(&down, HOUR_MS + 1_100), Some(HOUR + Duration::from_secs(1)), "from its beginning");
    assert_eq!(told.over(&down, HOUR_MS + 1_100), None);
    assert_eq!(told.raise(&down, true, HOUR_MS + 1_200, HOUR), Verdict::Tell, "it came back");
}

#[test]
fn names_that_clients_invent_are_told_of_a_hundred_times_an_hour() {
    let mut told = Told::default();
    let model = |n: u32| event(AlertKind::UnknownPrice, &format!("model {n}")).by_clients(true);
    let told_of = (0..500).filter(|n| told.raise(&model(*n), false, 0, HOUR) == Verdict::Tell).count();
    assert_eq!(told_of, 100);
    assert_eq!(told.raise(&model(1), false, 0, HOUR), Verdict::Known);
    assert_eq!(told.raise(&model(900), false, 1, HOUR), Verdict::TooMany);
    let priced = event(AlertKind::UnknownPrice, "model of the file");
    assert_eq!(told.raise(&priced, false, 2, HOUR), Verdict::Tell, "they take nobody else's place");
    assert_eq!(told.raise(&model(900), false, HOUR_MS, HOUR), Verdict::Tell);
}

#[test]
fn memory_has_a_bound_and_what_goes_on_stays_in_it() {
    let mut told = Told::default();
    let endpoint = |n: usize| event(AlertKind::EndpointDown, &format!("endpoint {n}"));
    told.raise(&endpoint(0), true, 0, HOUR);
    for n in 1..MOST {
        told.raise(&endpoint(n), false, 0, HOUR);
    }
    assert_eq!(told.raise(&endpoint(MOST), false, 1, HOUR), Verdict::TooMany);
    assert_eq!(told.raise(&endpoint(MOST), false, HOUR_MS, HOUR), Verdict::Tell, "the old ones went");
    assert!(told.over(&endpoint(0), HOUR_MS).is_some());
}
