use std::sync::Mutex;

use async_trait::async_trait;
use http::StatusCode;

use super::*;

/// Answers by path, and remembers where it was asked.
#[derive(Debug, Default)]
struct Site {
    asked: Mutex<Vec<(String, Vec<SocketAddr>, String)>>,
}

struct Page {
    status: u16,
    headers: HeaderMap,
    body: Vec<Bytes>,
}

#[async_trait]
impl Answer for Page {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap()
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        Ok((!self.body.is_empty()).then(|| self.body.remove(0)))
    }
}

#[async_trait]
impl Web for Site {
    async fn send(&self, request: Request) -> Result<Box<dyn Answer>, String> {
        let addresses = request.addresses.unwrap_or_default();
        self.asked.lock().unwrap().push((request.server.authority, addresses, request.path.clone()));
        let mut headers = HeaderMap::new();
        let (status, kind, body) = match request.path.as_str() {
            "/html" => (200, "text/html", "<h1>Hi</h1><script>no</script>".to_owned()),
            "/json" => (200, "application/json", "{\"a\":1}".to_owned()),
            "/image" => (200, "image/png", "x".to_owned()),
            "/long" => (200, "text/plain", "x".repeat(500)),
            "/gone" => (410, "text/plain", "it is gone".to_owned()),
            path => match path.strip_prefix("/to?") {
                Some(to) => {
                    headers.insert("location", to.parse().unwrap());
                    (302, "text/plain", String::new())
                }
                None => (404, "text/plain", String::new()),
            },
        };
        headers.insert("content-type", kind.parse().unwrap());
        let body = body.as_bytes().chunks(64).map(Bytes::copy_from_slice).collect();
        Ok(Box::new(Page { status, headers, body }))
    }
}

fn host(host: &str, private: bool, ports: &[u32]) -> FetchHost {
    FetchHost { host: host.into(), private, ports: ports.to_vec() }
}

/// A fetch with hosts of each kind. The names stand for themselves: nothing is looked up that is an address.
fn fetch(hosts: &[FetchHost]) -> (Fetch, Arc<Site>) {
    let site = Arc::new(Site::default());
    (Fetch::new(hosts, 200, Arc::clone(&site) as Arc<dyn Web>), site)
}

async fn asked(fetch: &Fetch, url: &str) -> Outcome {
    fetch.call(&format!("{{\"url\":{url:?}}}")).await
}

#[tokio::test]
async fn what_is_allowed_is_fetched_from_the_address_that_was_looked_at() {
    let (fetch, site) = fetch(&[host("93.184.216.34", false, &[8080])]);
    assert_eq!(asked(&fetch, "http://93.184.216.34/html").await, Outcome::done("Hi"));
    assert_eq!(asked(&fetch, "http://93.184.216.34:8080/json").await, Outcome::done("{\"a\":1}"));
    let address = |port| vec![SocketAddr::from(([93, 184, 216, 34], port))];
    let expected = vec![
        ("93.184.216.34".to_owned(), address(80), "/html".to_owned()),
        ("93.184.216.34:8080".to_owned(), address(8080), "/json".to_owned()),
    ];
    assert_eq!(*site.asked.lock().unwrap(), expected);
    assert!(asked(&fetch, "http://93.184.216.34/image").await.text.contains("image/png"));
    let long = asked(&fetch, "http://93.184.216.34/long").await;
    assert_eq!(long.text, format!("{}\n[cut off after 200 bytes]", "x".repeat(200)));
    let gone = asked(&fetch, "http://93.184.216.34/gone").await;
    assert!(gone.is_error && gone.text.contains("410") && gone.text.contains("it is gone"));
}

/// All spellings of what must not be reached, from a list that has everything but `private`.
#[tokio::test]
async fn nothing_private_is_reached_however_it_is_spelled() {
    let all = [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:7f00:1",
        "::ffff:127.0.0.1",
        "localhost",
        "*.localhost",
    ];
    let hosts: Vec<FetchHost> = all.iter().map(|name| host(name, false, &[8080])).collect();
    let (fetch, site) = fetch(&hosts);
    for url in [
        "http://127.0.0.1/html",
        "http://127.1/html",
        "http://2130706433/html",
        "http://0x7f000001/html",
        "http://0x7f.0.0.1/html",
        "http://017700000001/html",
        "http://0177.0.0.01/html",
        "http://127.0.0.1./html",
        "http://１２７.0.0.1/html",
        "http://[::1]/html",
        "http://[0:0:0:0:0:0:0:1]/html",
        "http://[::ffff:127.0.0.1]/html",
        "http://[::ffff:7f00:1]/html",
        "http://10.0.0.1/html",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/html",
        "http://LOCALHOST./html",
        "http:\\\\\\\\127.0.0.1\\\\html",
        "http:127.0.0.1/html",
    ] {
        let outcome = asked(&fetch, &url.replace("\\\\", "\\")).await;
        assert!(outcome.is_error, "{url}: {outcome:?}");
    }
    assert!(site.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_what_is_listed_is_fetched() {
    let (fetch, site) = fetch(&[host("93.184.216.34", false, &[]), host("*.example.test", true, &[])]);
    for url in [
        "http://93.184.216.35/html",
        "http://93.184.216.34.nip.test/html",
        "http://93.184.216.34@127.0.0.1/html",
        "http://127.0.0.1@93.184.216.34/html",
        "http://user:pass@93.184.216.34/html",
        "http://93.184.216.34:22/html",
        "http://93.184.216.34:6379/html",
        "http://example.test/html",
        "http://badexample.test/html",
        "ftp://93.184.216.34/html",
        "file:///etc/passwd",
        "gopher://93.184.216.34/html",
        "data:text/plain,x",
        "javascript:1",
        "/html",
        "//93.184.216.34/html",
        "",
    ] {
        let outcome = asked(&fetch, url).await;
        assert!(outcome.is_error, "{url}: {outcome:?}");
    }
    assert!(fetch.call("{}").await.is_error && fetch.call("{\"url\":1}").await.is_error);
    assert!(asked(&fetch, &format!("http://93.184.216.34/{}", "x".repeat(3_000))).await.is_error);
    assert!(site.asked.lock().unwrap().is_empty());
    assert!(is_listed("*.example.test", "a.b.example.test") && !is_listed("*.example.test", ".example.test"));
}

#[tokio::test]
async fn every_hop_is_checked() {
    let (fetch, site) = fetch(&[host("93.184.216.34", false, &[]), host("127.0.0.1", false, &[])]);
    assert_eq!(asked(&fetch, "http://93.184.216.34/to?/html").await, Outcome::done("Hi"));
    assert_eq!(asked(&fetch, "http://93.184.216.34/to?/to?/to?/json").await, Outcome::done("{\"a\":1}"));
    let hops = site.asked.lock().unwrap().len();
    for to in
        ["http://127.0.0.1/html", "http://10.1.1.1/html", "//169.254.169.254/x", "file:///etc/passwd", "http://[::1]/"]
    {
        let outcome = asked(&fetch, &format!("http://93.184.216.34/to?{to}")).await;
        assert!(outcome.is_error, "{to}: {outcome:?}");
    }
    // The first hop each, and no more.
    assert_eq!(site.asked.lock().unwrap().len(), hops + 5);
    assert!(asked(&fetch, "https://93.184.216.34/to?http://93.184.216.34/html").await.is_error);
    let round = asked(&fetch, &format!("http://93.184.216.34{}/html", "/to?".repeat(9))).await;
    assert!(round.is_error && round.text.contains("redirects"), "{round:?}");
}

#[tokio::test]
async fn private_hosts_have_to_be_said() {
    let (fetch, site) = fetch(&[host("127.0.0.1", true, &[]), host("::1", true, &[])]);
    assert_eq!(asked(&fetch, "http://127.0.0.1/html").await, Outcome::done("Hi"));
    assert_eq!(asked(&fetch, "http://[0::1]/html").await, Outcome::done("Hi"));
    assert_eq!(site.asked.lock().unwrap().len(), 2);
}

/// A name that stands for something else the next time it is looked up is not looked up again.
#[tokio::test]
async fn a_name_is_asked_where_it_was_looked_at() {
    let (fetch, site) = fetch(&[host("localhost", true, &[])]);
    assert_eq!(asked(&fetch, "http://localhost/html").await, Outcome::done("Hi"));
    let asked = site.asked.lock().unwrap();
    let (authority, addresses, _) = &asked[0];
    assert_eq!(authority, "localhost");
    assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
}

#[test]
fn every_address_of_a_name_has_to_be_public() {
    let at = |address: [u8; 4]| SocketAddr::from((address, 443));
    let (public, private) = (at([93, 184, 216, 34]), at([10, 0, 0, 1]));
    assert!(are_public(&[public, public]));
    assert!(!are_public(&[public, private]) && !are_public(&[private, public]));
}
