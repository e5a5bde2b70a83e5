//! Which form an answer has to have, by what the request asks for and what its guards say.

use std::sync::Arc;

use super::{Guarded, Looks};
use crate::config::guards::{Form as Rule, Guarding};
use crate::error::{Error, Result};
use crate::guard::schema::Schema;
use crate::guard::{Action, Form, FormRules, Kind};
use crate::wire::edge::form::{Asked, asked};
use crate::wire::envelope::Envelope;

impl Guarded {
    /// What the answer has to be, with what is hidden from the model by now.
    pub fn form(&self) -> Option<Form> {
        let mut form = self.form.clone()?;
        form.go_on(&self.watch);
        Some(form)
    }

    /// Finds out what the answer is held against, where a guard does that. Behind all that hides something in
    /// the request: the client's own values are put back for it.
    ///
    /// # Errors
    /// The schema cannot be used, and nothing passes without it.
    pub fn open_form(&mut self, body: &Envelope<'_>, choices: u64) -> Result<()> {
        let Some((first, rules)) = self.form_rules() else { return Ok(()) };
        let Looks::At(dialect) = self.looks else { return Ok(()) };
        let schema = match asked(dialect, body) {
            None => return Ok(()),
            Some(Asked::Json) => Ok(Schema::of_json()),
            Some(Asked::Schema(json)) => Schema::new(&json),
        };
        match schema {
            Ok(schema) => {
                let mut form = Form::new(schema, rules, &self.watch);
                if choices > 1 {
                    form.never_ask();
                }
                self.form = Some(form);
                Ok(())
            }
            Err(why) => {
                rules.guards.iter().for_each(|guard| self.board().failed(*guard, Kind::Schema));
                if rules.fails_open || rules.action != Action::Block {
                    return Ok(());
                }
                let text = format!(
                    "the schema cannot be used by the guard `{}`, and nothing passes without it: {why}",
                    first.guard.name
                );
                Err(Error::invalid("schema", text))
            }
        }
    }

    /// What the guards say together that hold answers against it, and the first of them: the strictest action;
    /// mended where one of them mends; open where all of them are.
    fn form_rules(&self) -> Option<(Arc<Guarding>, FormRules)> {
        let holding = || self.guards.iter().enumerate().filter_map(|(at, it)| Some((at, it, it.form?)));
        // Of the same the first.
        let (_, strictest, _) = holding().rev().max_by_key(|(_, it, _)| it.guard.action)?;
        let all = |is: fn(&Rule) -> bool| holding().all(|(_, _, rule)| is(&rule));
        let rules = FormRules {
            guards: holding().map(|(at, ..)| at).collect(),
            action: strictest.guard.action,
            message: strictest.guard.message.clone(),
            repairs: !all(|rule| !rule.repairs),
            fails_open: all(|rule| rule.fails_open),
        };
        Some((Arc::clone(strictest), rules))
    }
}
