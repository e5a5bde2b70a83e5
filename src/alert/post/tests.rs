use uuid::Uuid;

use super::*;
use crate::alert::event::{Event, Severity};
use crate::config::alerts::{AlertKind, WebhookFormat, WebhookUrl};
use crate::config::runtime::BaseUrl;
use crate::secret::Secret;

fn hook(path: &str) -> Webhook {
    let base = BaseUrl { tls: false, host: "h".into(), port: 80, path: path.into(), authority: "h".into() };
    let url = WebhookUrl { base, whole: Secret::new(format!("http://h{path}")) };
    let (format, events, tenants) = (WebhookFormat::Weir, Vec::new(), Vec::new());
    Webhook { name: "h".into(), url, secret: None, format, events, tenants }
}

fn alert(n: u128) -> Arc<Alert> {
    let event = Event::new(AlertKind::LedgerLag, Severity::Warning, "ledger", "text");
    Arc::new(Alert { id: Uuid::from_u128(n), at_ms: 0, event })
}

#[test]
fn alerts_go_one_by_one_in_their_order() {
    let now = Instant::now();
    let mut post = Post::new(hook("/a"), now);
    assert!(post.push(alert(1)) && post.push(alert(2)));
    assert_eq!(post.next(now).unwrap().id.as_u128(), 1);
    assert!(post.next(now).is_none(), "one at a time");
    assert_eq!(post.done(&Found::Answer(204), now, 0), Delivery::Delivered);
    assert_eq!(post.next(now).unwrap().id.as_u128(), 2);
}

#[test]
fn what_may_pass_is_tried_six_times_in_some_ten_minutes_and_holds_up_the_rest_so_long() {
    let start = Instant::now();
    let mut now = start;
    let mut post = Post::new(hook("/a"), now);
    post.push(alert(1));
    post.push(alert(2));
    for found in [Found::Nothing, Found::Answer(500), Found::Answer(429), Found::Answer(408), Found::Answer(599)] {
        assert_eq!(post.next(now).unwrap().id.as_u128(), 1);
        assert_eq!(post.done(&found, now, 20), Delivery::Retried);
        assert!(post.next(now).is_none(), "not at once");
        now = post.due;
    }
    assert_eq!(post.next(now).unwrap().id.as_u128(), 1);
    assert_eq!(post.done(&Found::Nothing, now, 0), Delivery::Failed);
    assert_eq!(now - start, Duration::from_secs(2 + 8 + 32 + 128 + 300));
    assert_eq!(post.next(now).unwrap().id.as_u128(), 2, "the next one begins anew");
    assert_eq!(post.done(&Found::Nothing, now, 0), Delivery::Retried);
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    let now = Instant::now();
    for status in [301, 302, 308, 400, 401, 403, 404, 410, 199] {
        let mut post = Post::new(hook("/a"), now);
        post.push(alert(1));
        post.next(now).unwrap();
        assert_eq!(post.done(&Found::Answer(status), now, 0), Delivery::Failed, "{status}");
        assert_eq!(post.waiting(), 0);
    }
}

#[test]
fn waits_are_spread() {
    assert_eq!(wait(1, 0), Duration::from_millis(1_600));
    assert_eq!(wait(1, 40), Duration::from_millis(2_400));
    assert_eq!(wait(1, 41), wait(1, 0));
    assert_eq!(wait(30, 20), Duration::from_secs(300));
}

#[test]
fn a_queue_has_an_end() {
    let mut post = Post::new(hook("/a"), Instant::now());
    let taken = (0..1_000).filter(|n| post.push(alert(*n))).count();
    assert_eq!((taken, post.waiting()), (256, 256));
}

#[test]
fn a_reload_keeps_what_waits_for_the_same_url() {
    let now = Instant::now();
    let mut post = Post::new(hook("/a"), now);
    post.push(alert(1));
    let same = Webhook { secret: Some(Secret::new("new")), ..hook("/a") };
    let mut post = post.rebound(same, now);
    assert_eq!((post.waiting(), post.hook.secret.is_some()), (1, true));
    post = post.rebound(hook("/b"), now);
    assert_eq!(post.waiting(), 0);
}
