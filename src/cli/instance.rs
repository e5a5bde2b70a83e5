//! A running gateway, asked over its admin API.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::env::{Env as _, System};
use crate::config::load;
use crate::config::report::Report;
use crate::config::runtime::Runtime;
use crate::provider::sign::call::{Call, Caller as _, Reply};
use crate::proxy::credentials::Calls;
use crate::secret::Secret;

/// The admin address where nothing is said.
const USUAL: &str = "http://127.0.0.1:8081";
const WITHIN: Duration = Duration::from_secs(10);

/// Which one.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Which {
    /// Its admin address [default: that of the configuration, else WEIR_ADMIN_URL, else http://127.0.0.1:8081]
    #[arg(long, value_name = "URL", value_parser = address)]
    url: Option<String>,
    /// The admin token; others on this machine can read it here, so rather set WEIR_ADMIN_TOKEN
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    token: Option<Secret>,
    /// Its configuration: for the address
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) url: String,
    token: Option<Secret>,
    calls: Calls,
}

impl Which {
    /// The configuration, where one is named.
    pub(super) fn runtime(&self) -> Option<Result<Runtime, Report>> {
        self.config.as_deref().map(|path: &Path| load::from_file(path, &System))
    }

    /// Where the configuration has it listen, whatever else is wrong in it.
    pub(super) fn listen(&self, runtime: Option<&Runtime>) -> Option<SocketAddr> {
        let of_file = || load::whereabouts(self.config.as_deref()?, &System).admin;
        runtime.map(|runtime| runtime.admin.listen).or_else(of_file)
    }

    pub(super) fn instance(&self, runtime: Option<&Runtime>) -> Instance {
        let of_file = self.listen(runtime).map(|listen| format!("http://{}", reachable(listen)));
        let url = self.url.clone().or(of_file).or_else(usual).unwrap_or_else(|| USUAL.to_owned());
        let token = token_of(self.token.as_ref());
        Instance { url: url.trim_end_matches('/').to_owned(), token, calls: Calls::new() }
    }
}

/// The admin address of the environment.
pub(super) fn usual() -> Option<String> {
    System.var("WEIR_ADMIN_URL").filter(|url| !url.is_empty())
}

/// An admin address that is one: what is none would be waited for in vain.
pub(super) fn address(text: &str) -> Result<String, String> {
    match text.starts_with("http://") || text.starts_with("https://") {
        true => Ok(text.to_owned()),
        false => Err("expected a URL that begins with `http://` or `https://`".to_owned()),
    }
}

/// An option's token, of which nothing is printed.
pub(super) fn token(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// The option's, or that of the environment. A configuration has no more than a hash of it to give.
pub(super) fn token_of(option: Option<&Secret>) -> Option<Secret> {
    let of_environment = || System.var("WEIR_ADMIN_TOKEN").map(Secret::new);
    option.cloned().or_else(of_environment).filter(|token| !token.expose().is_empty())
}

/// Why the operator's side of a gateway was not reached: calls are made as to a provider, which this is none.
pub(super) fn unreached(why: &str) -> String {
    match why {
        why if !why.contains("the provider could not be reached") => why.to_owned(),
        why if why.contains("ConnectRefused") => "the gateway's admin address refuses the connection".to_owned(),
        _ => "the gateway's admin address cannot be reached".to_owned(),
    }
}

/// Where one connects to what listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

impl Instance {
    /// Whether it runs on this machine.
    pub(super) fn is_here(&self) -> bool {
        let host = self.url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// A GET of this path. The error is for a person.
    pub(super) async fn get(&self, path: &str) -> Result<Reply, String> {
        let call = Call::get(format!("{}{path}", self.url));
        let call = match &self.token {
            Some(token) => call.with_header("authorization", format!("Bearer {}", token.expose())),
            None => call,
        };
        self.ask(call).await.map_err(|why| unreached(&why))
    }

    /// A GET of any address, without the token.
    pub(super) async fn get_elsewhere(&self, url: &str) -> Result<Reply, String> {
        self.ask(Call::get(url)).await
    }

    async fn ask(&self, call: Call) -> Result<Reply, String> {
        match tokio::time::timeout(WITHIN, self.calls.call(call)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(error.detail().unwrap_or_else(|| error.public()).to_owned()),
            Err(_) => Err(format!("no answer within {} s", WITHIN.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        let to = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(
            [to("0.0.0.0:1"), to("[::]:2"), to("10.0.0.1:3")],
            ["127.0.0.1:1", "[::1]:2", "10.0.0.1:3"].map(str::to_owned)
        );
    }

    #[test]
    fn a_broken_file_still_says_where_it_is() {
        let file = std::env::temp_dir().join(format!("weir-where-{}.yaml", std::process::id()));
        std::fs::write(&file, "admin: {listen: '0.0.0.0:4', token: '${WEIR_TEST_NOT_SET}'}\nodd: 1\n").unwrap();
        let which = Which { config: Some(file.clone()), ..Which::default() };
        assert!(which.runtime().unwrap().is_err());
        assert_eq!(which.instance(None).url, "http://127.0.0.1:4");
        std::fs::remove_file(file).unwrap();
    }

    #[tokio::test]
    async fn an_address_where_nobody_is_refuses_in_plain_words() {
        // Port 1 is nobody's.
        let url = "http://127.0.0.1:1".to_owned();
        let why = Instance { url, token: None, calls: Calls::new() }.get("/livez").await.unwrap_err();
        assert_eq!(why, "the gateway's admin address refuses the connection");
    }

    #[test]
    fn nothing_of_the_token_is_printed() {
        let which = Which { token: token("token-canary").ok(), ..Which::default() };
        assert_eq!(which.instance(None).token.unwrap().expose(), "token-canary");
        assert!(!format!("{which:?} {:?}", which.instance(None)).contains("canary"));
    }

    #[test]
    fn where_it_runs_is_read_off_its_address() {
        let is_here = |url: &str| Instance { url: url.into(), token: None, calls: Calls::new() }.is_here();
        assert!(is_here("http://127.0.0.1:8081") && is_here("http://localhost") && is_here("http://[::1]:8081/x"));
        assert!(!is_here("https://admin.example.com") && !is_here("http://10.0.0.1:8081"));
    }
}
