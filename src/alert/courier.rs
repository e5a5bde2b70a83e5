//! Brings alerts to webhooks: one task, on a thread of its own, which waits for nobody.
//!
//! What waits when the process ends is lost: it is in the log.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::event::Alert;
use super::post::{Delivery, Found, Post};
use super::{Alerts, message};
use crate::config::alerts::{Alerts as Rules, Webhook};
use crate::provider::sign::call::{Call, Caller};
use crate::secret::signature;

/// How often it is looked what there is to bring.
const TICK: Duration = Duration::from_millis(100);
/// For one try, the connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module documentation.
pub struct Courier {
    alerts: Arc<Alerts>,
    caller: Arc<dyn Caller>,
    instance: Arc<str>,
    /// What the posts are for.
    rules: Arc<Rules>,
    posts: Vec<Post>,
    /// By the id of their post.
    running: JoinSet<(u64, Found)>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Courier({} webhooks)", self.posts.len())
    }
}

impl Courier {
    pub fn new(alerts: Arc<Alerts>, caller: Arc<dyn Caller>) -> Self {
        let rules = alerts.rules();
        let now = Instant::now();
        let posts = rules.webhooks.iter().map(|hook| Post::new(hook.clone(), now)).collect();
        Self { alerts, caller, instance: machine().into(), rules, posts, running: JoinSet::new() }
    }

    /// Until it is dropped.
    pub async fn run(&mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(Ok((id, found))) = self.running.join_next() => self.done(id, &found),
            }
            self.rebind();
            self.sort();
            self.send();
        }
    }

    /// Another configuration may be in force.
    fn rebind(&mut self) {
        let rules = self.alerts.rules();
        if Arc::ptr_eq(&rules, &self.rules) {
            return;
        }
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.posts);
        for hook in &rules.webhooks {
            let known = old.iter().position(|post| post.hook.name == hook.name).map(|place| old.swap_remove(place));
            let new = || Post::new(hook.clone(), now);
            self.posts.push(known.map_or_else(new, |post| post.rebound(hook.clone(), now)));
        }
        self.rules = rules;
    }

    /// Puts what was told into the queues of those who want it.
    fn sort(&mut self) {
        for alert in self.alerts.take() {
            let wanting = |post: &&mut Post| post.hook.wants(alert.event.kind, alert.event.tenant.as_deref());
            for post in self.posts.iter_mut().filter(wanting) {
                if !post.push(Arc::clone(&alert)) {
                    self.alerts.count(&post.hook.name, Delivery::Dropped);
                }
            }
        }
    }

    fn send(&mut self) {
        let now = Instant::now();
        for post in &mut self.posts {
            let Some(alert) = post.next(now) else { continue };
            let call = call(&alert, &post.hook, &self.instance);
            let (id, caller) = (post.id, Arc::clone(&self.caller));
            self.running.spawn(async move { (id, ask(caller.as_ref(), call).await) });
        }
    }

    /// What was on its way to an address that is no longer in the configuration is nobody's.
    fn done(&mut self, id: u64, found: &Found) {
        let Some(post) = self.posts.iter_mut().find(|post| post.id == id) else { return };
        let delivery = post.done(found, Instant::now(), chance());
        let name = post.hook.name.as_str();
        self.alerts.count(name, delivery);
        if delivery == Delivery::Failed {
            tracing::error!(webhook = name, ?found, "an alert could not be delivered");
        }
    }
}

fn call(alert: &Alert, hook: &Webhook, instance: &str) -> Call {
    let body = message::body(alert, hook.format, instance);
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let signed = hook.secret.as_ref().map(|secret| signature::of(secret, unix_s, &body));
    let agent = concat!("weir/", env!("CARGO_PKG_VERSION"));
    let text = String::from_utf8(body).unwrap_or_default();
    let call = Call::json(hook.url.whole.expose(), text).with_header("user-agent", agent);
    match signed {
        Some(signed) => call.with_header(signature::HEADER, signed),
        None => call,
    }
}

async fn ask(caller: &dyn Caller, call: Call) -> Found {
    match tokio::time::timeout(PATIENCE, caller.call(call)).await {
        Ok(Ok(reply)) => Found::Answer(reply.status),
        Ok(Err(error)) => {
            tracing::debug!(%error, detail = error.detail(), "a webhook could not be called");
            Found::Nothing
        }
        Err(_) => Found::Nothing,
    }
}

fn chance() -> u32 {
    let mut bytes = [0; 4];
    // Without chance all waits are the shortest, which is no harm.
    let _ = getrandom::fill(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// The machine's name: in a container its id, in Kubernetes the pod's name.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use async_trait::async_trait;

    use super::*;
    use crate::config::alerts::{WebhookFormat, WebhookUrl};
    use crate::config::runtime::BaseUrl;
    use crate::error::Result;
    use crate::limit::clock::Clock;
    use crate::provider::sign::call::Reply;
    use crate::secret::Secret;

    /// Takes its time.
    struct Slow;

    #[async_trait]
    impl Caller for Slow {
        async fn call(&self, _: Call) -> Result<Reply> {
            pending().await
        }
    }

    fn rules(host: &str) -> Arc<Rules> {
        let base = BaseUrl { tls: false, host: host.into(), port: 80, path: "/".into(), authority: host.into() };
        let url = WebhookUrl { base, whole: Secret::new(format!("http://{host}/")) };
        let (format, events, tenants) = (WebhookFormat::Weir, Vec::new(), Vec::new());
        let hook = Webhook { name: "h".into(), url, secret: None, format, events, tenants };
        Arc::new(Rules { webhooks: vec![hook], ..Rules::default() })
    }

    #[tokio::test]
    async fn what_an_address_said_that_was_changed_is_not_taken_for_the_new_ones_word() {
        let alerts = Arc::new(Alerts::new(rules("old.example"), Clock::start()));
        let mut courier = Courier::new(Arc::clone(&alerts), Arc::new(Slow));
        let delivered = || alerts.counts().deliveries.iter().map(|(.., count)| count).sum::<u64>();
        alerts.database(Some("gone"));
        courier.sort();
        courier.send();
        let old = courier.posts[0].id;
        alerts.bind(&rules("new.example"));
        courier.rebind();
        alerts.shared_store(Some("gone"));
        courier.sort();
        courier.send();
        courier.done(old, &Found::Answer(200));
        assert_eq!(delivered(), 0, "the new one's is still on its way");
        let new = courier.posts[0].id;
        courier.done(new, &Found::Answer(200));
        assert_eq!(delivered(), 1);
    }
}
