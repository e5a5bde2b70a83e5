//! The table of models: the built-in one, with the operator's prices over it.
//!
//! The built-in data is `conf/models.tsv`, sorted text that `scripts/build-models.py` writes and its
//! head explains. It stays text in the binary; a catalogue is parsed when the first of its models is
//! asked for, so that a gateway in front of two vendors neither reads nor keeps the other twenty.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use sha2::{Digest, Sha256};

use super::litellm::{self, Listed};
use super::raw::{self, FileError};
use super::{Capabilities, Column, ModelInfo, Price, Rates, amount};
use crate::wire::Thinking;

const TEXT: &str = include_str!("../../../conf/models.tsv");

static BUILTIN: LazyLock<Vec<Catalogue>> = LazyLock::new(catalogues);

/// The models of one vendor, by their names.
type Models = HashMap<&'static str, Arc<ModelInfo>>;

#[derive(Debug)]
struct Catalogue {
    name: &'static str,
    text: &'static str,
    models: OnceLock<Models>,
}

impl Catalogue {
    fn models(&self) -> &Models {
        self.models.get_or_init(|| self.text.lines().filter_map(model).collect())
    }
}

/// The built-in table with the operator's overrides.
#[derive(Debug, Default)]
pub struct PriceTable {
    /// Says which prices held: the day the built-in data was made and a hash over it, and where an
    /// operator has prices `+` and a hash over those.
    pub version: String,
    builtin: &'static [Catalogue],
    overrides: HashMap<Box<str>, HashMap<Box<str>, Arc<ModelInfo>>>,
    /// What was found in a price file of LiteLLM's.
    found: Option<litellm::Found>,
    own: Sha256,
}

/// Digits of a hash in a version.
const HASH_DIGITS: usize = 12;

impl PriceTable {
    /// What this binary knows.
    pub fn builtin() -> Self {
        let version = TEXT.lines().find_map(|line| line.strip_prefix("version\t")).unwrap_or_default();
        Self { version: version.to_owned(), builtin: &BUILTIN, ..Self::default() }
    }

    /// With the prices of a file (`prices.file`) over it: they replace a model's prices, not what
    /// else is known of it. The file is our YAML or LiteLLM's JSON, which shows by its shape.
    pub fn with_overrides(mut self, text: &str) -> Result<Self, FileError> {
        let listed = match litellm::read(text)? {
            Some(Listed { prices, found }) => {
                self.found = Some(found);
                prices
            }
            None => raw::read(text)?,
        };
        for (catalogue, models) in listed {
            for (model, prices) in models {
                let known = self.exact(&catalogue, &model).map(|info| ModelInfo::clone(info));
                let info = ModelInfo { prices, ..known.unwrap_or_default() };
                self.overrides.entry(catalogue.clone()).or_default().insert(model, Arc::new(info));
            }
        }
        self.stamp(text);
        Ok(self)
    }

    /// Prices that are written elsewhere are a part of what the version stands for.
    pub fn stamp(&mut self, text: &str) {
        self.own.update(text);
        self.own.update([0]);
        let hash = hex::encode(self.own.clone().finalize());
        let builtin = self.version.split('+').next().unwrap_or_default();
        self.version = format!("{builtin}+{}", hash.get(..HASH_DIGITS).unwrap_or_default());
    }

    /// The day the built-in data was made, since 1970-01-01.
    pub fn built_on(&self) -> Option<i64> {
        amount::day(self.version.get(..10)?).ok()
    }

    /// What was found in a price file of LiteLLM's, if there is one.
    pub fn found(&self) -> Option<&litellm::Found> {
        self.found.as_ref()
    }

    /// What the operator's file prices: catalogue (or provider), model, and what holds.
    pub fn overridden(&self) -> impl Iterator<Item = (&str, &str, &Arc<ModelInfo>)> {
        let models = self.overrides.iter();
        models.flat_map(|(catalogue, models)| models.iter().map(|(model, info)| (&**catalogue, &**model, info)))
    }

    /// What the built-in table alone knows of exactly this name.
    pub fn builtin_exact(&self, catalogue: &str, model: &str) -> Option<&Arc<ModelInfo>> {
        self.catalogue(catalogue)?.models().get(model)
    }

    /// Whether the built-in table lists the model, by this name or what it is a case of. The operator's
    /// prices do not count: what a price file says never changes where requests go.
    pub fn lists(&self, catalogue: &str, model: &str) -> bool {
        self.walk(model, |name| self.builtin_exact(catalogue, name)).is_some()
    }

    /// Puts prices in place of those of `catalogue/model`; what else is known of it stays.
    pub fn set(&mut self, name: &str, prices: Vec<Price>) {
        let (catalogue, model) = name.split_once('/').unwrap_or(("", name));
        let known = self.exact(catalogue, model).map(|info| ModelInfo::clone(info));
        let info = ModelInfo { prices, ..known.unwrap_or_default() };
        self.overrides.entry(catalogue.into()).or_default().insert(model.into(), Arc::new(info));
    }

    /// What is known of a model of a catalogue. A name that is not listed falls back to what it is
    /// a case of: without a tag (`:free`), an `@` version, a date (`-2024-07-18`, `-20250929`),
    /// `-latest`, a region (`eu.`), a path (`accounts/.../models/`).
    pub fn find(&self, catalogue: &str, model: &str) -> Option<&Arc<ModelInfo>> {
        self.listed(catalogue, model).map(|(_, info)| info)
    }

    /// As [`Self::find`], with the name under which the model is listed: names of a bounded set,
    /// whatever clients write.
    pub fn listed<'m>(&self, catalogue: &str, model: &'m str) -> Option<(Cow<'m, str>, &Arc<ModelInfo>)> {
        self.walk(model, |name| self.exact(catalogue, name))
    }

    /// Asks for a name, then for what it is a case of.
    fn walk<'m, 't>(
        &'t self,
        model: &'m str,
        exact: impl Fn(&str) -> Option<&'t Arc<ModelInfo>>,
    ) -> Option<(Cow<'m, str>, &'t Arc<ModelInfo>)> {
        let mut name = model;
        loop {
            if let Some(info) = exact(name) {
                return Some((Cow::Borrowed(name), info));
            }
            match shorter(name) {
                Some(short) => name = short,
                None => break,
            }
        }
        // Some models are listed by their moving name only.
        let moving = format!("{name}-latest");
        exact(&moving).map(|info| (Cow::Owned(moving), info))
    }

    /// As [`Self::find`], where the operator's prices may stand under the provider's name in the
    /// configuration instead of its catalogue; they hold in every region. Else those of the region come
    /// first: where Amazon's differ, the table lists `region/model` too.
    pub fn find_in(
        &self,
        provider: &str,
        catalogue: &str,
        region: Option<&str>,
        model: &str,
    ) -> Option<&Arc<ModelInfo>> {
        let said = |name: &str| self.overrides.get(name).and_then(|models| models.get(model));
        let regional = || self.exact(catalogue, &format!("{}/{model}", region?)).filter(|info| !info.prices.is_empty());
        said(provider).or_else(|| said(catalogue)).or_else(regional).or_else(|| self.find(catalogue, model))
    }

    /// The catalogues, in alphabetical order.
    pub fn catalogues(&self) -> Vec<&str> {
        let listed = self.builtin.iter().map(|c| c.name);
        let mut names: Vec<&str> = listed.chain(self.overrides.keys().map(|name| &**name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All models of a catalogue, in alphabetical order.
    pub fn models(&self, catalogue: &str) -> Vec<(&str, &Arc<ModelInfo>)> {
        let mut models: HashMap<&str, &Arc<ModelInfo>> = HashMap::new();
        if let Some(builtin) = self.catalogue(catalogue) {
            models.extend(builtin.models().iter().map(|(name, info)| (*name, info)));
        }
        if let Some(overrides) = self.overrides.get(catalogue) {
            models.extend(overrides.iter().map(|(name, info)| (&**name, info)));
        }
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_unstable_by_key(|(name, _)| *name);
        models
    }

    /// Those that can be asked for: Bedrock's table has prices by region and commitment too. Only what
    /// is built in, for a price file says what things cost, not what there is.
    pub fn askable(&self, catalogue: &str) -> impl Iterator<Item = (&'static str, &Arc<ModelInfo>)> {
        let is_bedrock = catalogue == "bedrock";
        let builtin = self.catalogue(catalogue).into_iter().flat_map(|catalogue| catalogue.models());
        let mut models: Vec<(&'static str, &Arc<ModelInfo>)> = builtin.map(|(name, info)| (*name, info)).collect();
        models.sort_unstable_by_key(|(name, _)| *name);
        models
            .into_iter()
            .filter(move |(name, _)| !is_bedrock || !(name.contains('/') || name.starts_with("regional.")))
    }

    /// What is known of exactly this name.
    pub fn exact(&self, catalogue: &str, model: &str) -> Option<&Arc<ModelInfo>> {
        let own = self.overrides.get(catalogue).and_then(|models| models.get(model));
        own.or_else(|| self.builtin_exact(catalogue, model))
    }

    fn catalogue(&self, name: &str) -> Option<&'static Catalogue> {
        self.builtin.iter().find(|c| c.name == name)
    }
}

/// Regions that some vendors put before a model's name.
const REGIONS: [&str; 9] = ["global.", "us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "in."];
/// Paths that some vendors take before a model's name.
const PATHS: [&str; 3] = ["accounts/fireworks/models/", "publishers/google/models/", "models/"];

/// The name of what this name is a case of.
fn shorter(name: &str) -> Option<&str> {
    if let Some(tuned) = name.strip_prefix("ft:") {
        // `ft:<base>:<organisation>::<id>` costs more than its base and is listed as `ft:<base>`.
        let base = tuned.split_once(':')?.0;
        return name.get(..base.len().checked_add(3)?);
    }
    if let Some(profile) = name.strip_prefix("arn:") {
        // An inference profile of several regions, by its whole name.
        return profile.rsplit_once('/').map(|(_, model)| model).filter(|model| !model.is_empty());
    }
    if let Some(model) = REGIONS.iter().find_map(|region| name.strip_prefix(region)) {
        return Some(model).filter(|model| !model.is_empty());
    }
    let before = |parts: Option<(&'_ str, &'_ str)>| parts.map(|(before, _)| before.len());
    let cut = before(name.rsplit_once('@'))
        .or_else(|| before(name.rsplit_once(':')))
        .or_else(|| name.strip_suffix("-latest").map(str::len))
        .or_else(|| undated(name));
    if let Some(end) = cut {
        return name.get(..end).filter(|base| !base.is_empty());
    }
    PATHS.iter().find_map(|prefix| name.strip_prefix(prefix)).filter(|base| !base.is_empty())
}

/// The length of the name before `-2024-07-18` or `-20240718`.
fn undated(name: &str) -> Option<usize> {
    [("-dddd-dd-dd", 11), ("-dddddddd", 9)].into_iter().find_map(|(pattern, length)| {
        let end = name.len().checked_sub(length)?;
        let tail = name.get(end..)?;
        let fits = |(c, p): (u8, u8)| if p == b'd' { c.is_ascii_digit() } else { c == p };
        (tail.starts_with("-20") && tail.bytes().zip(pattern.bytes()).all(fits)).then_some(end)
    })
}

/// Splits the text at its `[catalogue]` lines.
fn catalogues() -> Vec<Catalogue> {
    let mut rest = TEXT;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once("\n[") {
        let Some((name, body)) = after.split_once("]\n") else { break };
        let end = body.find("\n[").map_or(body.len(), |end| end.saturating_add(1));
        let end = if body.starts_with('[') { 0 } else { end };
        let text = body.get(..end).unwrap_or_default();
        found.push(Catalogue { name, text, models: OnceLock::new() });
        rest = after;
    }
    found
}

/// One line of the table; what cannot be read is left out (a test reads them all).
fn model(line: &'static str) -> Option<(&'static str, Arc<ModelInfo>)> {
    let mut fields = line.split('\t');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    let (context_tokens, max_output_tokens) = (number(), number());
    let flags = fields.next()?;
    let mut prices = fields.map(price).collect::<Option<Vec<_>>>()?;
    prices.reverse();
    let info = ModelInfo {
        context_tokens,
        max_output_tokens,
        thinking: thinking(flags),
        capabilities: known(flags),
        prices,
        ..ModelInfo::default()
    };
    Some((name, Arc::new(info)))
}

fn thinking(flags: &str) -> Thinking {
    match flags.bytes().last() {
        Some(b'a') => Thinking::Adaptive,
        Some(b'b') => Thinking::Budget,
        Some(b'n') => Thinking::None,
        _ => Thinking::Unknown,
    }
}

fn known(flags: &str) -> Option<Capabilities> {
    let has = |flag: char| flags.contains(flag);
    let all = Capabilities { reasoning: has('r'), vision: has('v'), tools: has('t'), json_schema: has('j') };
    (!has('?')).then_some(all)
}

/// `2024-07-18 input=0.15 output=0.6 >200000 input=0.3 /batch input=0.075 @eu=1.1`
fn price(field: &str) -> Option<Price> {
    let mut words = field.split(' ');
    let from = words.next()?;
    let from_day = if from == "-" { 0 } else { amount::day(from).ok()? };
    let mut price = Price { from_day, ..Price::default() };
    for word in words {
        if let Some((region, factor)) = word.strip_prefix('@').and_then(|word| word.split_once('=')) {
            let factor = u32::try_from(amount::per_million(factor).ok()?).ok()?;
            price.regions.push((region.into(), factor));
            continue;
        }
        if let Some(service) = word.strip_prefix('/') {
            price.service.push((service.into(), Column::default()));
            continue;
        }
        let column = price.service.last_mut().map_or(&mut price.standard, |(_, column)| column);
        if let Some(above) = word.strip_prefix('>') {
            column.tiers.push((above.parse().ok()?, Rates::default()));
            continue;
        }
        let rates = column.tiers.last_mut().map_or(&mut column.rates, |(_, rates)| rates);
        let (class, decimal) = word.split_once('=')?;
        rates.set(class, decimal).ok()?;
    }
    Some(price)
}
