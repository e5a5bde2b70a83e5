//! An answer that has to be JSON: what becomes of it where it is not what was asked for.

use std::ops::Range;
use std::sync::Arc;

use super::schema::{Fit, Schema};
use super::{Action, Board, Kind, Outcome, Watch};

/// In how many places a text is looked into for the JSON that it wraps.
const MOST_BEGINNINGS: usize = 16;
/// All that a model is told at once.
const MOST_COMPLAINT_BYTES: usize = 1_600;

/// What an answer is held against, and what is done.
#[derive(Debug, Clone)]
pub struct Form {
    schema: Schema,
    /// Puts the client's own values back: it is the client's answer that has to fit.
    restores: Option<Watch>,
    board: Arc<Board>,
    rules: Rules,
    /// The model may be asked again.
    may_ask: bool,
    /// This is the answer to a complaint.
    is_second: bool,
}

/// What the guards say that hold answers against it.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Their places among the request's.
    pub guards: Vec<usize>,
    /// The strictest.
    pub action: Action,
    /// What a client is told where it blocks.
    pub message: String,
    /// One that does not fit is mended, or asked for once more.
    pub repairs: bool,
    /// What cannot be judged passes.
    pub fails_open: bool,
}

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Passes,
    /// This part of its text passes.
    Part(Range<usize>),
    /// The model is told this, and asked again.
    Again(String),
    /// It does not pass; this is said in its place.
    Blocked(String),
}

impl Form {
    pub fn new(schema: Schema, rules: Rules, watch: &Watch) -> Self {
        let board = Arc::clone(watch.board());
        let mut it = Self { schema, restores: None, board, rules, may_ask: true, is_second: false };
        it.go_on(watch);
        it
    }

    /// More was hidden in the meantime.
    pub fn go_on(&mut self, watch: &Watch) {
        self.restores = Some(watch.restoring()).filter(Watch::is_needed);
    }

    /// Whether nothing of an answer may pass before it was judged.
    pub fn holds(&self) -> bool {
        self.rules.repairs || self.rules.action == Action::Block
    }

    /// Of several answers at once none is asked for again.
    pub fn never_ask(&mut self) {
        self.may_ask = false;
    }

    /// What follows is the answer to a complaint, and the last one.
    pub fn be_second(&mut self) {
        (self.may_ask, self.is_second) = (false, true);
    }

    /// Judges a text as the model wrote it, and counts what comes of that.
    pub fn judge(&self, text: &str) -> Fate {
        let wrong = match self.fit(text) {
            Fit::Fits => {
                if self.is_second {
                    self.count(Board::repaired);
                }
                return Fate::Passes;
            }
            Fit::Unjudged => {
                self.count(|board, guard| board.failed(guard, Kind::Schema));
                return if self.passes_unjudged() { Fate::Passes } else { Fate::Blocked(self.rules.message.clone()) };
            }
            Fit::Wrong(wrong) => wrong,
        };
        if self.rules.repairs {
            if let Some(part) = self.part(text) {
                self.count(Board::repaired);
                return Fate::Part(part);
            }
            if self.may_ask {
                return Fate::Again(self.complaint(text, wrong));
            }
        }
        self.give_up()
    }

    /// What becomes of one that did not fit, and that nobody mends.
    pub fn give_up(&self) -> Fate {
        self.count(|board, guard| board.count(guard, Kind::Schema));
        match self.rules.action {
            Action::Block => Fate::Blocked(self.rules.message.clone()),
            Action::Allow | Action::Flag | Action::Mask => Fate::Passes,
        }
    }

    fn passes_unjudged(&self) -> bool {
        self.rules.fails_open || self.rules.action != Action::Block
    }

    fn count(&self, count: impl Fn(&Board, usize)) {
        self.rules.guards.iter().for_each(|guard| count(&self.board, *guard));
    }

    fn fit(&self, text: &str) -> Fit {
        match self.restores.clone().map(|mut restores| restores.whole(text)) {
            Some(Outcome::Changed(restored)) => self.schema.check(&restored),
            _ => self.schema.check(text),
        }
    }

    /// The one object or list that stands in a text, in a fence or among words, where that fits.
    fn part(&self, text: &str) -> Option<Range<usize>> {
        let mut parts = parts(text);
        let only = parts.next().filter(|_| parts.next().is_none())?;
        (self.fit(text.get(only.clone())?) == Fit::Fits).then_some(only)
    }

    /// For the model, who has to know nothing that was hidden from it.
    fn complaint(&self, text: &str, mut wrong: Vec<String>) -> String {
        if self.restores.is_some() {
            wrong = match self.schema.check(text) {
                Fit::Wrong(wrong) => wrong,
                Fit::Fits | Fit::Unjudged => Vec::new(),
            };
        }
        let mut said = "Your last answer is not the JSON that was asked for.".to_owned();
        for one in wrong {
            said.push_str("\n- ");
            said.push_str(&one);
        }
        said.truncate(said.floor_char_boundary(MOST_COMPLAINT_BYTES));
        said + "\nAnswer again with the corrected JSON alone: no words before or after it, no code fence."
    }
}

/// Objects and lists in a text, outermost ones.
fn parts(text: &str) -> impl Iterator<Item = Range<usize>> {
    let (mut at, mut tries) = (0, MOST_BEGINNINGS);
    std::iter::from_fn(move || {
        while tries > 0 {
            tries -= 1;
            let start = at + text.get(at..)?.find(['{', '['])?;
            let mut values =
                serde_json::Deserializer::from_str(text.get(start..)?).into_iter::<serde::de::IgnoredAny>();
            if let Some(Ok(_)) = values.next() {
                at = start + values.byte_offset();
                return Some(start..at);
            }
            at = start + 1;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Detectors, Guard};
    use super::*;

    const POINT: &str = r#"{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}"#;

    fn watch(action: Action) -> Watch {
        let detectors = Detectors::new(&[Kind::Email], &[], &[]).unwrap();
        let message = String::new();
        let guard = Guard { name: "g".into(), detectors, action, on_input: true, on_output: false, message };
        Watch::new(Arc::new([Arc::new(guard)]))
    }

    fn form(action: Action, repairs: bool) -> Form {
        let rules = Rules { guards: vec![0], action, message: "no".into(), repairs, fails_open: false };
        Form::new(Schema::new(POINT).unwrap(), rules, &watch(action))
    }

    #[test]
    fn json_is_taken_out_of_what_wraps_it_where_there_is_no_doubt() {
        let form = form(Action::Block, true);
        let part = |text: &str| match form.judge(text) {
            Fate::Part(part) => text.get(part).unwrap().to_owned(),
            fate => format!("{fate:?}").chars().take(5).collect(),
        };
        assert_eq!(part("```json\n{\"x\": 1}\n```"), "{\"x\": 1}");
        assert_eq!(part("Here it is: {\"x\": 1}. Anything else?"), "{\"x\": 1}");
        assert_eq!(part("a } b [ c {\"x\": {\"y\": 1}, \"x\": 2} :]"), "{\"x\": {\"y\": 1}, \"x\": 2}");
        assert_eq!(part("{\"x\": 1} or {\"x\": 2}"), "Again");
        assert_eq!(part("I mean {\"y\": 1}"), "Again");
        assert_eq!(part(&"[".repeat(100_000)), "Again");
        assert_eq!(form.board.lines(), ["g:repair:schema:3"]);
    }

    #[test]
    fn the_model_is_asked_once_more_and_then_the_action_holds() {
        for (action, end) in [(Action::Block, Fate::Blocked("no".into())), (Action::Flag, Fate::Passes)] {
            let mut form = form(action, true);
            let Fate::Again(complaint) = form.judge("{\"x\": \"one\"}") else { panic!() };
            assert!(complaint.contains("\n- /x: expected integer, not string\n"), "{complaint}");
            form.be_second();
            assert_eq!(form.judge("{}"), end);
            assert_eq!(form.board.lines(), [format!("g:{}:schema:1", action.as_str())]);
            assert_eq!(form.judge("{\"x\": 1}"), Fate::Passes);
            assert_eq!(form.board.lines().len(), 2);
        }
        assert_eq!(form(Action::Flag, false).judge("{}"), Fate::Passes);
        assert_eq!(form(Action::Block, false).judge("{\"x\": 1}"), Fate::Passes);
    }

    #[test]
    fn the_clients_own_values_are_judged_and_the_model_is_told_nothing_of_them() {
        let mut watch = watch(Action::Mask);
        assert_eq!(watch.whole("jane@x.example"), Outcome::Changed("[EMAIL_1]".into()));
        let rules =
            Rules { guards: vec![0], action: Action::Block, message: String::new(), repairs: true, fails_open: true };
        let schema =
            Schema::new(r#"{"properties":{"to":{"pattern":"^[^@]+@x"}},"additionalProperties":false}"#).unwrap();
        let form = Form::new(schema, rules, &watch);
        assert_eq!(form.judge(r#"{"to":"[EMAIL_1]"}"#), Fate::Passes);
        let Fate::Again(complaint) = form.judge(r#"{"[EMAIL_1]":1}"#) else { panic!() };
        assert!(complaint.contains("[EMAIL_1]") && !complaint.contains("jane"), "{complaint}");
    }

    #[test]
    fn what_cannot_be_judged_passes_where_it_may() {
        let deep = r##"{"$ref":"#"}"##;
        for (action, fails_open, fate) in [
            (Action::Block, false, Fate::Blocked("no".into())),
            (Action::Block, true, Fate::Passes),
            (Action::Flag, false, Fate::Passes),
        ] {
            let rules = Rules { guards: vec![0], action, message: "no".into(), repairs: true, fails_open };
            let form = Form::new(Schema::new(deep).unwrap(), rules, &watch(action));
            assert_eq!(form.judge("{}"), fate);
            assert_eq!(form.board.lines(), ["g:error:schema:1"]);
        }
    }
}
