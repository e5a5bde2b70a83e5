//! Amazon's chain of credentials, each link against a double of what it asks: keys are found, fetched
//! again before they end, and their absence is told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::ask::{CHAT, chat};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, config, new_dir};
use crate::support::sigv4::Signed;
use crate::support::upstream::{Request, Upstream};
use crate::support::wait::until;

const LONG: Duration = Duration::from_secs(3600);
const NOT_FETCHED: &str = "the gateway's credential for the provider could not be fetched";

fn bedrock() -> Upstream {
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    });
    Upstream::json(200, answer.to_string())
}

/// A gateway that finds its keys with the help of these variables.
fn gateway(upstream: &Upstream, dir: &Path, env: &[(&str, &str)]) -> Gateway {
    let address = upstream.address;
    let provider = format!("  bedrock: {{base_url: \"http://{address}\", region: eu-west-1}}\ntenants:");
    let text = config(address, address, "defaults: {retries: 0}\n").replacen("tenants:", &provider, 1);
    let home = dir.display().to_string();
    let mut all = vec![("HOME", home.as_str())];
    all.extend_from_slice(env);
    Gateway::start_in(dir.to_owned(), &text, &all)
}

fn ask(gateway: &Gateway) -> Answer {
    gateway.post(CHAT, &chat("bedrock/amazon.nova-lite-v1:0", "hi"))
}

/// The last request's signature was made with this set of keys.
fn signed_with(upstream: &Upstream, number: usize) {
    let (id, secret, token) = keys(number);
    let signed = Signed {
        access_key_id: &id,
        secret_access_key: &secret,
        session_token: Some(&token),
        scope: "eu-west-1/bedrock",
    };
    signed.check(upstream.requests().last().unwrap());
}

fn keys(number: usize) -> (String, String, String) {
    (format!("AKID{number}"), format!("secret-canary/{number}"), format!("token-canary+{number}="))
}

/// As Amazon writes a moment.
fn moment(at: SystemTime) -> String {
    let http = httpdate::fmt_http_date(at);
    let parts: Vec<&str> = http.split(' ').collect();
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.iter().position(|name| *name == parts[2]).unwrap() + 1;
    format!("{}-{month:02}-{}T{}Z", parts[3], parts[1], parts[4])
}

/// The form of the container's and the instance's endpoints.
fn found(number: usize, lifetime: Duration) -> String {
    let (id, secret, token) = keys(number);
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": moment(SystemTime::now()), "AccessKeyId": id,
        "SecretAccessKey": secret, "Token": token, "Expiration": moment(SystemTime::now() + lifetime),
    })
    .to_string()
}

/// The form of the token service's.
fn assumed(action: &str, number: usize) -> String {
    let (id, secret, token) = keys(number);
    let end = moment(SystemTime::now() + LONG);
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>{end}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>\
         <Arn>arn:aws:sts::1:assumed-role/weir/s</Arn></AssumedRoleUser></{action}Result>\
         <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn token_service(action: &'static str) -> Upstream {
    Upstream::start(move |request, conn| {
        assert_eq!(form(request, "Action").as_deref(), Some(action));
        let body = assumed(action, 7);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n", body.len());
        conn.raw(head + &body);
    })
}

fn form(request: &Request, name: &str) -> Option<String> {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let value = body.split('&').filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name)?.1;
    Some(percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
}

#[test]
fn keys_of_a_container_are_fetched_again_before_they_end() {
    let upstream = bedrock();
    let fetches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetches);
    let container = Upstream::start(move |request, conn| {
        assert_eq!(
            (request.path.as_str(), request.header("authorization")),
            ("/credentials/weir", Some("container-token"))
        );
        // The second ones last.
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        conn.json(200, &found(number, if number == 1 { Duration::from_secs(8) } else { LONG }));
    });
    let url = format!("http://{}/credentials/weir", container.address);
    let env = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token"),
    ];
    let gateway = gateway(&upstream, &new_dir(), &env);
    assert_eq!(ask(&gateway).status(), 200);
    signed_with(&upstream, 1);
    until("the second keys", || (fetches.load(Ordering::SeqCst) == 2).then_some(()));
    until("a request with the second keys", || {
        assert_eq!(ask(&gateway).status(), 200);
        let last = upstream.requests().pop().unwrap();
        last.header("authorization").unwrap().contains("AKID2/").then_some(())
    });
    signed_with(&upstream, 2);
    assert_eq!(fetches.load(Ordering::SeqCst), 2, "many requests, no fetch of their own");
    let all = [gateway.stderr(), gateway.stdout(), gateway.metrics(), gateway.admin("GET", "/admin/v1/config").text()];
    assert!(all.iter().all(|text| !text.contains("secret-canary") && !text.contains("token-canary")), "{all:?}");
}

#[test]
fn keys_of_an_instance_come_by_its_second_protocol() {
    let upstream = bedrock();
    let instance = Upstream::start(|request, conn| {
        let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
        if request.method == "PUT" {
            assert_eq!(request.path, "/latest/api/token");
            return conn.json_with(200, &ttl, "imds-token");
        }
        assert_eq!(request.header("x-aws-ec2-metadata-token"), Some("imds-token"), "{}", request.path);
        match request.path.rsplit("security-credentials").next() {
            Some("/" | "") => conn.json(200, "weir-role"),
            Some("/weir-role") => conn.json(200, &found(5, LONG)),
            _ => conn.json(404, "{}"),
        }
    });
    let url = format!("http://{}", instance.address);
    let gateway = gateway(&upstream, &new_dir(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]);
    assert_eq!(ask(&gateway).status(), 200);
    signed_with(&upstream, 5);
}

#[test]
fn a_web_identity_is_exchanged_for_keys() {
    let upstream = bedrock();
    let service = token_service("AssumeRoleWithWebIdentity");
    let dir = new_dir();
    let file = dir.join("token");
    std::fs::write(&file, "web.identity.token").unwrap();
    let (file, url) = (file.display().to_string(), format!("http://{}", service.address));
    let env = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/weir"),
        ("AWS_ENDPOINT_URL_STS", &url),
    ];
    let gateway = gateway(&upstream, &dir, &env);
    assert_eq!(ask(&gateway).status(), 200);
    signed_with(&upstream, 7);
    let asked = service.request();
    assert_eq!(form(&asked, "WebIdentityToken").as_deref(), Some("web.identity.token"));
    assert_eq!(form(&asked, "RoleArn").as_deref(), Some("arn:aws:iam::1:role/weir"));
}

#[test]
fn a_profile_may_assume_a_role() {
    let upstream = bedrock();
    let service = token_service("AssumeRole");
    let dir = new_dir();
    let file = dir.join("aws-config");
    let (id, secret, token) = keys(3);
    let profiles = format!(
        "[profile weir]\nrole_arn = arn:aws:iam::1:role/weir\nsource_profile = own\nregion = eu-west-1\n\
         [profile own]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
    );
    std::fs::write(&file, profiles).unwrap();
    let (file, url) = (file.display().to_string(), format!("http://{}", service.address));
    let env = [("AWS_CONFIG_FILE", file.as_str()), ("AWS_PROFILE", "weir"), ("AWS_ENDPOINT_URL_STS", &url)];
    let gateway = gateway(&upstream, &dir, &env);
    assert_eq!(ask(&gateway).status(), 200);
    signed_with(&upstream, 7);
    assert_eq!(form(&service.request(), "RoleArn").as_deref(), Some("arn:aws:iam::1:role/weir"));
    assert!(
        service.request().header("authorization").unwrap().contains("Credential=AKID3/"),
        "by the profile's own keys"
    );
}

#[test]
fn keys_of_the_environment_come_first() {
    let upstream = bedrock();
    let (id, secret, token) = keys(9);
    let nobody = format!("http://{}", Upstream::nobody());
    let env = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_SESSION_TOKEN", &token),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &nobody),
    ];
    let gateway = gateway(&upstream, &new_dir(), &env);
    assert_eq!(ask(&gateway).status(), 200);
    signed_with(&upstream, 9);
}

#[test]
fn where_there_are_no_keys_the_client_is_told_and_the_log_says_why() {
    let upstream = bedrock();
    let nobody = format!("http://{}/credentials", Upstream::nobody());
    let gateway = gateway(&upstream, &new_dir(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &nobody)]);
    let got = ask(&gateway);
    assert_eq!((got.status(), &got.json()["error"]["message"]), (502, &json!(NOT_FETCHED)), "{}", got.text());
    assert_eq!(upstream.requests().len(), 0);
    until("the failure to be logged and counted", || {
        let counted = gateway.metric("weir_credential_refresh_failures_total", &["provider=\"bedrock\""]) >= 1.0;
        (counted && gateway.stderr().contains("could not be fetched")).then_some(())
    });
    assert!(gateway.stderr().contains("Connection refused"), "the reason is told");
}
