//! What a unit of each class costs.

use super::{Charge, PicoUsd, amount};
use crate::usage::tokens::Usage;

/// How a class is priced where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// USD per million tokens (or characters).
    Million,
    /// USD each.
    Each,
}

macro_rules! rates {
    ($($(#[doc = $doc:literal])* $class:ident: $unit:ident,)*) => {
        /// Pico-USD per unit of each class; `None` falls back as its field says.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Rates {
            $($(#[doc = $doc])* pub $class: Option<i64>,)*
        }

        impl Rates {
            /// The names of the classes, as the configuration and the table spell them.
            pub const CLASSES: &'static [&'static str] = &[$(stringify!($class)),*];

            /// How the configuration and the table write a class; `None` where there is no such class.
            pub fn unit(class: &str) -> Option<Unit> {
                match class {
                    $(stringify!($class) => Some(Unit::$unit),)*
                    _ => None,
                }
            }

            fn slot(&mut self, class: &str) -> Option<&mut Option<i64>> {
                match class {
                    $(stringify!($class) => Some(&mut self.$class),)*
                    _ => None,
                }
            }

            /// These where they say something, else those.
            #[must_use]
            pub(super) fn over(self, below: Self) -> Self {
                Self { $($class: self.$class.or(below.$class),)* }
            }
        }
    };
}

rates! {
    input: Million,
    /// Else `input`.
    cached: Million,
    /// Else `input`.
    cache_write: Million,
    /// Else `cache_write`.
    cache_write_1h: Million,
    output: Million,
    /// Else `output`.
    reasoning: Million,
    /// Else `input`; nothing where `second` has paid for it.
    audio_input: Million,
    /// Else `output`.
    audio_output: Million,
    /// Else `input`.
    image_input: Million,
    /// Else `output`; nothing where `image` has paid for it.
    image_output: Million,
    /// Per image made, of models that are billed by the image: where `image_output` is there too, it holds
    /// for answers that count no tokens.
    image: Each,
    /// Per second of audio that was listened to.
    second: Each,
    /// Per character that was spoken.
    character: Million,
    /// Per search of the web that the provider made.
    web_search: Each,
    /// Per request, else nothing. Of rankings: per search unit.
    request: Each,
}

impl Rates {
    /// Sets a class from its decimal: USD per million, or USD each.
    pub fn set(&mut self, class: &str, decimal: &str) -> Result<(), amount::Invalid> {
        let unit = Self::unit(class).ok_or(amount::Invalid::UnknownClass)?;
        let rate = match unit {
            Unit::Each => amount::each(decimal)?,
            Unit::Million => amount::per_million(decimal)?,
        };
        self.put(class, rate);
        Ok(())
    }

    /// Sets a class in pico-USD.
    pub fn put(&mut self, class: &str, pico: i64) {
        if let Some(slot) = self.slot(class) {
            *slot = Some(pico);
        }
    }

    /// The rate of a class by its name, without fallback.
    pub fn get(&self, class: &str) -> Option<i64> {
        let mut rates = *self;
        rates.slot(class).and_then(|rate| *rate)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says something of every request: an input or an output rate, or a fee.
    pub fn is_usable(&self) -> bool {
        let Self { input, output, request, image, second, character, .. } = *self;
        input.or(output).or(request).or(image).or(second).or(character).is_some()
    }

    /// The cost at these rates; not whole where something that was used has no rate.
    pub fn charge(&self, usage: &Usage) -> Charge {
        if usage.search_units > 0 {
            return sum(0, &[(usage.search_units, self.request)]);
        }
        let by_image = usage.images > 0
            && self.image.is_some()
            && (self.image_output.is_none() || usage.image_output_tokens == 0 && usage.visible_output_tokens == 0);
        let by_second = usage.audio_seconds > 0 && self.second.is_some();
        let by_character = usage.characters > 0 && self.character.is_some();
        // Whoever bills by another unit does not bill for the tokens behind it, unless that is said.
        let paid = |is: bool, rate: Option<i64>| if is { rate.or(Some(0)) } else { rate };
        let by_unit = by_image || by_second || by_character;
        let (input, output) = (paid(by_unit, self.input), paid(by_unit, self.output));
        let cache_write = self.cache_write.or(input);
        let audio_input = self.audio_input.or(if by_second { Some(0) } else { input });
        let image_output = self.image_output.or(if by_image { Some(0) } else { output });
        // Seconds and characters without tokens are all that there is to bill; images too.
        let by_tokens = usage.total_tokens() > 0;
        let classes = [
            (usage.fresh_input_tokens, input),
            (usage.cached_tokens, self.cached.or(input)),
            (usage.cache_write_tokens, cache_write),
            (usage.cache_write_1h_tokens, self.cache_write_1h.or(cache_write)),
            (usage.audio_input_tokens, audio_input),
            (usage.image_input_tokens, self.image_input.or(input)),
            (usage.visible_output_tokens, output),
            (usage.reasoning_tokens, self.reasoning.or(output)),
            (usage.audio_output_tokens, self.audio_output.or(output)),
            (usage.image_output_tokens, image_output),
            (usage.images, if by_image { self.image } else { by_tokens.then_some(0) }),
            (usage.audio_seconds, if by_second { self.second } else { by_tokens.then_some(0) }),
            (usage.characters, if by_character { self.character } else { by_tokens.then_some(0) }),
            (usage.web_searches, self.web_search),
        ];
        // A model without any rate has no price, whatever it was asked.
        if self.is_empty() { Charge::default() } else { sum(self.request.unwrap_or(0), &classes) }
    }
}

fn sum(fee: i64, classes: &[(u64, Option<i64>)]) -> Charge {
    let mut sum = Charge::whole(PicoUsd(fee.into()));
    for (count, rate) in classes.iter().filter(|(count, _)| *count > 0) {
        // The product of 64 bits by 63 fits.
        let part = rate.map(|rate| i128::from(*count) * i128::from(rate));
        match part.and_then(|part| sum.floor.0.checked_add(part)) {
            Some(floor) => sum.floor = PicoUsd(floor),
            None => sum.is_whole = false,
        }
    }
    sum
}
