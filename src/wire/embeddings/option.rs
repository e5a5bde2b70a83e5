//! Options of a request, under every name that clients give them.

use super::super::json::{Raw, Rest};

pub(super) const DIMENSIONS: &[&str] =
    &["dimensions", "output_dimension", "outputDimensionality", "output_dimensionality"];
/// What the vectors are for.
pub(super) const PURPOSE: &[&str] = &["input_type", "task", "task_type", "taskType"];
/// What becomes of input that is too long.
pub(super) const TRUNCATION: &[&str] = &["truncate", "truncation", "autoTruncate", "auto_truncate"];
/// Of the numbers.
pub(super) const TYPE: &[&str] = &["output_dtype", "embedding_type", "embedding_types"];

/// The options of a request, taken one by one; what is left at the end was not expressed.
#[derive(Debug)]
pub(super) struct Options<'r, 'a> {
    left: Vec<(&'r str, &'r Raw<'a>)>,
}

impl<'r, 'a> Options<'r, 'a> {
    pub(super) fn new(options: &'r Rest<'a>) -> Self {
        Self { left: options.iter().map(|(name, value)| (&**name, value)).collect() }
    }

    /// The first of these names that is there. Names may stand behind where their list is
    /// (`requests[0].title`).
    pub(super) fn take(&mut self, names: &[&str]) -> Option<&'r Raw<'a>> {
        self.take_if(names, |_| true)
    }

    /// The same, if the value can be told.
    pub(super) fn take_if(&mut self, names: &[&str], can: impl FnOnce(&Raw<'a>) -> bool) -> Option<&'r Raw<'a>> {
        let bare = |name: &'r str| name.rsplit('.').next().unwrap_or(name);
        let at = self.left.iter().position(|(name, _)| names.contains(&bare(name)))?;
        can(self.left.get(at)?.1).then(|| self.left.remove(at).1)
    }

    /// The purpose in the vendor's words; one that it has no word for is left.
    pub(super) fn purpose(&mut self, vendor: Words) -> Option<String> {
        let mut word = None;
        self.take_if(PURPOSE, |value| {
            word = value.as_str().and_then(|said| vendor.word(&said.text()));
            word.is_some()
        });
        word
    }

    /// The truncation, if `can` says that the vendor has that one.
    pub(super) fn truncation(&mut self, can: fn(Truncation) -> bool) -> Option<Truncation> {
        let mut found = None;
        self.take_if(TRUNCATION, |value| {
            found = Truncation::of(value).filter(|truncation| can(*truncation));
            found.is_some()
        });
        found
    }

    /// The names of what nobody took.
    pub(super) fn left(&self) -> Vec<String> {
        self.left.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// Whose words for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Cohere,
    Google,
    Voyage,
    Jina,
    Nova,
}

/// The words of Cohere, Google, Voyage, Jina and Nova for the same purpose, then others for it.
const PURPOSES: [([&str; 5], &[&str]); 8] = [
    (["search_query", "RETRIEVAL_QUERY", "query", "retrieval.query", "GENERIC_RETRIEVAL"], &["text_retrieval"]),
    (["search_document", "RETRIEVAL_DOCUMENT", "document", "retrieval.passage", "GENERIC_INDEX"], &["passage"]),
    (["classification", "CLASSIFICATION", "", "classification", "CLASSIFICATION"], &[]),
    (["clustering", "CLUSTERING", "", "separation", "CLUSTERING"], &[]),
    (["", "SEMANTIC_SIMILARITY", "", "text-matching", ""], &[]),
    (["", "QUESTION_ANSWERING", "", "", ""], &[]),
    (["", "FACT_VERIFICATION", "", "", ""], &[]),
    (["", "CODE_RETRIEVAL_QUERY", "", "", ""], &[]),
];

impl Words {
    /// The vendor's word for what was said in anybody's; a word that nobody is known for stays.
    fn word(self, said: &str) -> Option<String> {
        let is = |word: &&str| word.eq_ignore_ascii_case(said);
        let known = PURPOSES.iter().find(|(words, others)| words.iter().any(&is) || others.iter().any(&is));
        let Some((words, _)) = known else { return Some(said.to_owned()) };
        let [cohere, google, voyage, jina, nova] = words;
        let word = match self {
            Self::Cohere => cohere,
            Self::Google => google,
            Self::Voyage => voyage,
            Self::Jina => jina,
            Self::Nova => nova,
        };
        (!word.is_empty()).then(|| (*word).to_owned())
    }
}

/// What becomes of input that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truncation {
    /// An error.
    None,
    Start,
    End,
}

impl Truncation {
    fn of(value: &Raw<'_>) -> Option<Self> {
        match value.as_bool() {
            Some(true) => return Some(Self::End),
            Some(false) => return Some(Self::None),
            None => {}
        }
        let all = [Self::None, Self::Start, Self::End];
        let said = value.as_str()?.text().to_ascii_uppercase();
        all.into_iter().find(|truncation| truncation.word() == said)
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Start => "START",
            Self::End => "END",
        }
    }

    /// Whether a yes or a no can say it.
    pub(super) fn is_plain(self) -> bool {
        self != Self::Start
    }
}
