//! Keys in the database of a gateway, whether it runs or not.

use std::path::Path;
use std::time::SystemTime;

use super::{Done, Failed, Wish};
use crate::cli::print;
use crate::config::env::{Env as _, System};
use crate::config::load;
use crate::config::runtime::{Runtime, State};
use crate::secret::Secret;
use crate::store::{Database, Desk, Fault};
use crate::tenant::stored::{Configured, Held, StoredKey, made, shown};
use crate::wire::json::Obj;

/// See the module documentation.
pub(super) struct Direct {
    state: State,
    /// Of a configuration; without one nobody knows which tenants there are.
    runtime: Option<Runtime>,
}

impl Direct {
    pub(super) fn of_file(file: &Path) -> Result<Self, Failed> {
        let runtime = load::from_file(file, &System).map_err(|report| Failed::Usage(report.to_string()))?;
        Ok(Self { state: runtime.state.clone(), runtime: Some(runtime) })
    }

    pub(super) fn of_directory(directory: &Path) -> Self {
        Self { state: State { dir: directory.to_owned(), ..State::default() }, runtime: None }
    }

    pub(super) fn ask(&self, wish: Wish<'_>) -> Done {
        let refused = |why: String| Failed::Refused(why);
        self.there(wish)?;
        if let Wish::List(tenant) = wish {
            return self.list(tenant);
        }
        let database = Database::open(&self.state).map_err(|error| refused(error.to_string()))?;
        let user = ["USER", "LOGNAME"].iter().find_map(|name| System.var(name)).unwrap_or_else(|| "unknown".to_owned());
        let who = format!("cli:{user}");
        let desk = Desk { database: &database, who: &who };
        let done = match wish {
            Wish::Create(body) => {
                let asked = made::members(body.as_bytes()).map_err(Failed::Usage)?;
                self.check(asked.clone())?;
                desk.create(asked).map(|(key, secret)| (key, Some(secret)))
            }
            Wish::Rotate { id, grace } => {
                let grace = made::grace(Some(grace)).map_err(Failed::Usage)?;
                desk.rotate(id, grace).map(|(key, secret)| (key, Some(secret)))
            }
            Wish::Revoke(id) => desk.revoke(id).map(|key| (key, None)),
            Wish::List(_) => return Err(refused("it was listed".to_owned())),
        };
        let (key, secret) = done.map_err(|failure| refused(failure.to_string()))?;
        Ok(self.shown(key, secret.as_ref()))
    }

    /// A directory may be mistyped: nothing is looked for where no database is, and one that is made is told of.
    fn there(&self, wish: Wish<'_>) -> Result<(), Failed> {
        if self.runtime.is_some() {
            return Ok(());
        }
        match (Database::open_to_read(&self.state), wish) {
            (Err(error), Wish::Create(_)) if error.fault() == Fault::Missing => {
                print::note(&format!("weir: {error}: it is made now"));
                Ok(())
            }
            (Err(error), _) if error.fault() == Fault::Missing => Err(Failed::Refused(error.to_string())),
            (Ok(_) | Err(_), _) => Ok(()),
        }
    }

    /// A key of a tenant that there is, with an id of its own.
    fn check(&self, mut asked: made::Members) -> Result<(), Failed> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let tenant = made::text(&mut asked, "tenant").map_err(Failed::Usage)?.unwrap_or_default();
        if !runtime.tenants.iter().any(|known| known.id == tenant) {
            return Err(Failed::Usage(format!("the configuration has no tenant `{tenant}`")));
        }
        made::reaching(&asked, &tenant, runtime).map_err(|why| Failed::Refused(why.trim_end().to_owned()))?;
        let id = made::text(&mut asked, "id").map_err(Failed::Usage)?;
        match id.filter(|id| runtime.keys.values().any(|key| key.id == *id)) {
            Some(id) => Err(Failed::Usage(format!("the configuration has a key `{id}` already"))),
            None => Ok(()),
        }
    }

    /// Those in the database; nothing is made where there is none.
    fn list(&self, tenant: Option<&str>) -> Done {
        let keys = match Database::open_to_read(&self.state).and_then(|database| database.keys_since(0)) {
            Ok((keys, _)) => keys,
            Err(error) if error.fault() == Fault::Missing => Vec::new(),
            Err(error) => return Err(Failed::Refused(error.to_string())),
        };
        let mut wanted: Vec<_> = keys.into_iter().filter(|key| tenant.is_none_or(|of| key.tenant == of)).collect();
        wanted.sort_by(|a, b| a.id.cmp(&b.id));
        let mut out = Vec::new();
        {
            let mut root = Obj::new(&mut out);
            let mut rows = root.arr("data");
            wanted.into_iter().for_each(|key| self.write(key, &mut rows.obj()));
            drop(rows);
            root.null("next_cursor");
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    fn shown(&self, key: StoredKey, secret: Option<&Secret>) -> String {
        let mut out = Vec::new();
        {
            let mut row = Obj::new(&mut out);
            if let Some(secret) = secret {
                row.text("secret", secret.expose());
            }
            self.write(key, &mut row);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn write(&self, key: StoredKey, row: &mut Obj<'_>) {
        let held = Held::new(key);
        shown::write(&held, held.standing(self.runtime.as_ref().map(Configured::of).as_ref(), SystemTime::now()), row);
    }
}
