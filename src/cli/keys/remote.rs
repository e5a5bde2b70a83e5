//! Keys of a running gateway, by its admin API.

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Done, Failed, Wish};
use crate::cli::instance::unreached;
use crate::provider::sign::call::{Call, Caller as _, encoded};
use crate::proxy::credentials::Calls;
use crate::secret::Secret;
use crate::wire::json::Obj;

/// For the whole answer.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// The most that one page of a list holds.
const PAGE: usize = 1_000;

/// See the module documentation.
pub(super) struct Remote {
    pub(super) url: String,
    pub(super) token: Option<Secret>,
}

#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    data: Vec<&'p RawValue>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    message: String,
}

impl Remote {
    pub(super) fn ask(&self, wish: Wish<'_>) -> Done {
        let keys = format!("{}/admin/v1/keys", self.url.trim_end_matches('/'));
        let (method, url, body) = match wish {
            Wish::Create(body) => (Method::POST, keys, body.to_owned()),
            Wish::List(tenant) => return self.list(&keys, tenant),
            Wish::Rotate { id, grace } => {
                let mut body = Vec::new();
                Obj::new(&mut body).text("grace", grace);
                let body = String::from_utf8_lossy(&body).into_owned();
                (Method::POST, format!("{keys}/{}/rotate", encoded(id)), body)
            }
            Wish::Revoke(id) => (Method::DELETE, format!("{keys}/{}", encoded(id)), String::new()),
        };
        self.call(Call { method, url, headers: Vec::new(), body: Secret::new(body) })
    }

    /// All pages, as one.
    fn list(&self, keys: &str, tenant: Option<&str>) -> Done {
        let of = tenant.map(|tenant| format!("&tenant={}", encoded(tenant))).unwrap_or_default();
        let (mut body, mut after) = (Vec::new(), None);
        let mut root = Obj::new(&mut body);
        let mut rows = root.arr("data");
        loop {
            let behind = after.map(|after: String| format!("&cursor={}", encoded(&after))).unwrap_or_default();
            let text = self.call(Call::get(format!("{keys}?limit={PAGE}{of}{behind}")))?;
            let page: Page<'_> = serde_json::from_str(&text)
                .map_err(|error| Failed::Refused(format!("{}: no list of keys: {error}", self.url)))?;
            page.data.iter().for_each(|row| rows.item().extend_from_slice(row.get().as_bytes()));
            after = page.next_cursor;
            if after.is_none() || page.data.is_empty() {
                break;
            }
        }
        drop(rows);
        root.null("next_cursor");
        drop(root);
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn call(&self, mut call: Call) -> Done {
        if let Some(token) = &self.token {
            call = call.with_header("authorization", format!("Bearer {}", token.expose()));
        }
        let refused = |why: String| Failed::Refused(format!("{}: {why}", self.url));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::Refused(error.to_string()))?;
        let answered = runtime.block_on(async { tokio::time::timeout(WITHIN, Calls::new().call(call)).await });
        let reply = answered.map_err(|_| refused("no answer".to_owned()))?;
        let reply = reply.map_err(|error| refused(unreached(error.detail().unwrap_or("no answer"))))?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        match reply.status {
            200..=299 => Ok(text),
            status => {
                let said = serde_json::from_str::<Refusal>(&text).map(|refusal| refusal.error.message);
                Err(refused(said.unwrap_or_else(|_| format!("status {status}"))))
            }
        }
    }
}
