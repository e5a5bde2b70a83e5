//! A record as bytes, and back, without a copy of any text.
//!
//! A sequence of members, each a byte (its number, and in the lowest bit what follows) and a value: a
//! number ([`varint`](super::varint)); or a length and so many bytes,
//! which may be members again. What is not known is not there. Who meets a number that it does not know
//! skips it, so that a newer version's log can be read and an older one's too.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::trace::{Parent, TraceId};
use super::{OK, Outcome, Record, Step, Texts, Timeline, ToolCall, ToolCalls, Why, varint};
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::{Usage, UsageSource};

/// Numbers of a record's members. A number is never given to something else.
mod of_record {
    pub(super) const REQUEST_ID: u8 = 1;
    pub(super) const CLIENT_REQUEST_ID: u8 = 2;
    pub(super) const STARTED_MS: u8 = 3;
    pub(super) const TENANT: u8 = 4;
    pub(super) const KEY_ID: u8 = 5;
    pub(super) const USER: u8 = 6;
    pub(super) const TAGS: u8 = 7;
    pub(super) const FORMAT: u8 = 8;
    pub(super) const ROUTE: u8 = 9;
    pub(super) const MODEL: u8 = 10;
    pub(super) const PROVIDER: u8 = 11;
    pub(super) const UPSTREAM_MODEL: u8 = 12;
    pub(super) const STREAM: u8 = 13;
    pub(super) const STATUS: u8 = 14;
    pub(super) const OUTCOME: u8 = 15;
    pub(super) const ATTEMPTS: u8 = 16;
    pub(super) const FALLBACK: u8 = 17;
    pub(super) const TIMELINE: u8 = 18;
    pub(super) const PRICE_VERSION: u8 = 19;
    pub(super) const DURATION_US: u8 = 20;
    pub(super) const TTFT_US: u8 = 21;
    pub(super) const OVERHEAD_US: u8 = 22;
    pub(super) const DROPPED: u8 = 23;
    pub(super) const ERROR: u8 = 24;
    pub(super) const TRACE_ID: u8 = 25;
    pub(super) const TRACEPARENT: u8 = 26;
    pub(super) const RESPONSE_MODEL: u8 = 27;
    pub(super) const ROUTE_REASON: u8 = 28;
    pub(super) const COMPRESSION_SAVED: u8 = 29;
    pub(super) const COMPRESSION_STRATEGIES: u8 = 30;
    pub(super) const GUARDS: u8 = 31;
    // 32 to 36 are what both have.
    pub(super) const TOOLS_EXECUTED: u8 = 37;
    pub(super) const CACHE: u8 = 38;
    pub(super) const TOOL_CALLS: u8 = 39;
    pub(super) const CACHE_SIMILARITY: u8 = 40;
    pub(super) const PURPOSE: u8 = 41;
}

/// Of a call of a tool.
mod of_call {
    pub(super) const NAME: u8 = 1;
    pub(super) const ID: u8 = 2;
    pub(super) const AT_US: u8 = 3;
    pub(super) const DURATION_US: u8 = 4;
    pub(super) const ERROR: u8 = 5;
}

/// And of an attempt's.
mod of_step {
    pub(super) const PROVIDER: u8 = 1;
    /// Where it is not the provider.
    pub(super) const ENDPOINT: u8 = 2;
    pub(super) const MODEL: u8 = 3;
    pub(super) const WHY: u8 = 4;
    pub(super) const AT_US: u8 = 5;
    pub(super) const DURATION_US: u8 = 6;
    /// Where it is not ok.
    pub(super) const OUTCOME: u8 = 7;
    pub(super) const STATUS: u8 = 8;
    pub(super) const ERROR: u8 = 9;
}

/// What both have.
mod of_both {
    pub(super) const USAGE: u8 = 32;
    pub(super) const USAGE_SOURCE: u8 = 33;
    pub(super) const SERVICE_TIER: u8 = 34;
    /// Of all that was used.
    pub(super) const COST: u8 = 35;
    /// Of a part of it.
    pub(super) const COST_AT_LEAST: u8 = 36;
}

/// In a list every member has this number.
const ITEM: u8 = 1;
/// Room for a usual record.
const USUAL_BYTES: usize = 512;
/// A length that is written before it is known takes so many bytes.
const LENGTH_BYTES: usize = 4;
/// And is below this.
const MOST_GROUP_BYTES: usize = 1 << (7 * LENGTH_BYTES);

impl<'a> Record<'a> {
    /// The record as bytes.
    pub fn pack(&self) -> Vec<u8> {
        use of_record as n;
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        let mut out = Out(&mut bytes);
        out.bytes(n::REQUEST_ID, self.request_id.as_bytes());
        out.text(n::CLIENT_REQUEST_ID, self.client_request_id);
        if let Some(id) = self.trace_id {
            out.bytes(n::TRACE_ID, &id.to_bytes());
        }
        if let Some(parent) = self.traceparent {
            out.bytes(n::TRACEPARENT, &parent.to_bytes());
        }
        out.number(n::STARTED_MS, self.started_ms());
        out.text(n::TENANT, self.tenant);
        out.text(n::KEY_ID, self.key_id);
        out.text(n::USER, self.user);
        out.texts(n::TAGS, self.tags);
        out.text(n::FORMAT, Some(self.format));
        out.text(n::ROUTE, self.route);
        out.text(n::ROUTE_REASON, self.route_reason);
        out.text(n::MODEL, self.model);
        out.text(n::PROVIDER, self.provider);
        out.text(n::UPSTREAM_MODEL, self.upstream_model);
        out.text(n::RESPONSE_MODEL, self.response_model);
        out.truth(n::STREAM, self.stream);
        out.number(n::STATUS, self.status.into());
        out.number(n::OUTCOME, place(&Outcome::ALL, self.outcome));
        out.number(n::ATTEMPTS, self.attempts.into());
        out.truth(n::FALLBACK, self.fallback);
        out.used(self.usage.as_ref(), self.usage_source, self.service_tier, self.charge);
        out.text(n::PRICE_VERSION, self.price_version);
        out.time(n::DURATION_US, Some(self.duration));
        out.time(n::TTFT_US, self.ttft);
        out.time(n::OVERHEAD_US, Some(self.overhead));
        out.texts(n::DROPPED, self.dropped);
        if let Some(saved) = self.compression_saved_tokens {
            out.number(n::COMPRESSION_SAVED, saved);
        }
        out.text(n::COMPRESSION_STRATEGIES, self.compression_strategies);
        out.text(n::TOOLS_EXECUTED, self.tools_executed);
        let mut calls = self.tool_calls.iter().peekable();
        if calls.peek().is_some() {
            out.group(n::TOOL_CALLS, |out| calls.for_each(|call| out.group(ITEM, |out| call.pack(out))));
        }
        out.texts(n::GUARDS, self.guards);
        out.text(n::CACHE, self.cache);
        if let Some(similarity) = self.cache_similarity {
            out.number(n::CACHE_SIMILARITY, similarity.into());
        }
        out.text(n::PURPOSE, self.purpose);
        out.text(n::ERROR, self.error);
        let mut steps = self.timeline.iter().peekable();
        if steps.peek().is_some() {
            out.group(n::TIMELINE, |out| steps.for_each(|step| out.group(ITEM, |out| step.pack(out))));
        }
        bytes
    }

    /// `None`: the bytes are no record.
    pub fn unpack(bytes: &'a [u8]) -> Option<Self> {
        use of_record as n;
        let (mut record, mut used) = (Self::new(Uuid::nil(), SystemTime::UNIX_EPOCH, ""), Used::default());
        let mut members = Members(bytes);
        while let Some((number, value)) = members.next_member()? {
            match number {
                n::REQUEST_ID => record.request_id = Uuid::from_slice(value.bytes()?).ok()?,
                n::CLIENT_REQUEST_ID => record.client_request_id = Some(value.text()?),
                n::TRACE_ID => record.trace_id = Some(TraceId::of(value.bytes()?.try_into().ok()?)?),
                n::TRACEPARENT => record.traceparent = Some(Parent::of(value.bytes()?.try_into().ok()?)?),
                n::STARTED_MS => {
                    record.started_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(value.number()?))?;
                }
                n::TENANT => record.tenant = Some(value.text()?),
                n::KEY_ID => record.key_id = Some(value.text()?),
                n::USER => record.user = Some(value.text()?),
                n::TAGS => record.tags = Texts::Packed(value.bytes()?),
                n::FORMAT => record.format = value.text()?,
                n::ROUTE => record.route = Some(value.text()?),
                n::ROUTE_REASON => record.route_reason = Some(value.text()?),
                n::MODEL => record.model = Some(value.text()?),
                n::PROVIDER => record.provider = Some(value.text()?),
                n::UPSTREAM_MODEL => record.upstream_model = Some(value.text()?),
                n::RESPONSE_MODEL => record.response_model = Some(value.text()?),
                n::STREAM => record.stream = value.number()? != 0,
                n::STATUS => record.status = value.small()?,
                n::OUTCOME => record.outcome = at(&Outcome::ALL, value)?,
                n::ATTEMPTS => record.attempts = value.small()?,
                n::FALLBACK => record.fallback = value.number()? != 0,
                n::TIMELINE => record.timeline = Timeline::Packed(value.bytes()?),
                n::PRICE_VERSION => record.price_version = Some(value.text()?),
                n::DURATION_US => record.duration = value.time()?,
                n::TTFT_US => record.ttft = Some(value.time()?),
                n::OVERHEAD_US => record.overhead = value.time()?,
                n::DROPPED => record.dropped = Texts::Packed(value.bytes()?),
                n::COMPRESSION_SAVED => record.compression_saved_tokens = Some(value.number()?),
                n::COMPRESSION_STRATEGIES => record.compression_strategies = Some(value.text()?),
                n::TOOLS_EXECUTED => record.tools_executed = Some(value.text()?),
                n::TOOL_CALLS => record.tool_calls = ToolCalls::Packed(value.bytes()?),
                n::GUARDS => record.guards = Texts::Packed(value.bytes()?),
                n::CACHE => record.cache = Some(value.text()?),
                n::CACHE_SIMILARITY => record.cache_similarity = Some(value.small()?),
                n::PURPOSE => record.purpose = Some(value.text()?),
                n::ERROR => record.error = Some(value.text()?),
                _ => used.take(number, value)?,
            }
        }
        (record.usage, record.usage_source) = (used.usage, used.source);
        (record.service_tier, record.charge) = (used.service_tier, used.charge);
        Some(record)
    }
}

impl<'a> Step<'a> {
    fn pack(&self, out: &mut Out<'_>) {
        use of_step as n;
        out.text(n::PROVIDER, Some(self.provider));
        out.text(n::ENDPOINT, Some(self.endpoint).filter(|endpoint| *endpoint != self.provider));
        out.text(n::MODEL, Some(self.model));
        out.number(n::WHY, place(&Why::ALL, self.why));
        out.time(n::AT_US, Some(self.at));
        out.time(n::DURATION_US, Some(self.duration));
        out.text(n::OUTCOME, Some(self.outcome).filter(|outcome| *outcome != OK));
        if let Some(status) = self.status {
            out.number(n::STATUS, status.into());
        }
        out.text(n::ERROR, self.error);
        let (usage, source) = self.usage.as_ref().map(|(usage, source)| (usage, *source)).unzip();
        out.used(usage, source, self.service_tier, self.charge);
    }

    fn unpack(bytes: &'a [u8]) -> Option<Self> {
        use of_step as n;
        let (mut provider, mut endpoint, mut used) = ("", None, Used::default());
        let (mut model, mut why, mut outcome) = ("", Why::First, OK);
        let (mut began, mut duration, mut status, mut error) = (Duration::ZERO, Duration::ZERO, None, None);
        let mut members = Members(bytes);
        while let Some((number, value)) = members.next_member()? {
            match number {
                n::PROVIDER => provider = value.text()?,
                n::ENDPOINT => endpoint = Some(value.text()?),
                n::MODEL => model = value.text()?,
                n::WHY => why = at(&Why::ALL, value)?,
                n::AT_US => began = value.time()?,
                n::DURATION_US => duration = value.time()?,
                n::OUTCOME => outcome = value.text()?,
                n::STATUS => status = Some(value.small()?),
                n::ERROR => error = Some(value.text()?),
                _ => used.take(number, value)?,
            }
        }
        let Used { usage, source, service_tier, charge } = used;
        Some(Self {
            endpoint: endpoint.unwrap_or(provider),
            usage: usage.map(|usage| (usage, source.unwrap_or_default())),
            provider,
            model,
            why,
            at: began,
            duration,
            outcome,
            status,
            error,
            service_tier,
            charge,
        })
    }
}

impl<'a> ToolCall<'a> {
    fn pack(&self, out: &mut Out<'_>) {
        use of_call as n;
        out.text(n::NAME, Some(self.name));
        out.text(n::ID, self.id);
        out.time(n::AT_US, Some(self.at));
        out.time(n::DURATION_US, Some(self.duration));
        out.text(n::ERROR, self.error);
    }

    fn unpack(bytes: &'a [u8]) -> Option<Self> {
        use of_call as n;
        let mut call = Self { name: "", id: None, at: Duration::ZERO, duration: Duration::ZERO, error: None };
        let mut members = Members(bytes);
        while let Some((number, value)) = members.next_member()? {
            match number {
                n::NAME => call.name = value.text()?,
                n::ID => call.id = Some(value.text()?),
                n::AT_US => call.at = value.time()?,
                n::DURATION_US => call.duration = value.time()?,
                n::ERROR => call.error = Some(value.text()?),
                // A newer version's.
                _ => {}
            }
        }
        Some(call)
    }
}

/// What was used, of a record or an attempt.
#[derive(Default)]
struct Used<'a> {
    usage: Option<Usage>,
    source: Option<UsageSource>,
    service_tier: Option<&'a str>,
    charge: Charge,
}

impl<'a> Used<'a> {
    fn take(&mut self, number: u8, value: Value<'a>) -> Option<()> {
        use of_both as n;
        match number {
            n::USAGE => self.usage = Some(unpack_usage(value.bytes()?)?),
            n::USAGE_SOURCE => self.source = Some(at(&UsageSource::ALL, value)?),
            n::SERVICE_TIER => self.service_tier = Some(value.text()?),
            n::COST => self.charge = Charge::whole(value.pico()?),
            n::COST_AT_LEAST => self.charge = Charge { floor: value.pico()?, is_whole: false },
            // A newer version's.
            _ => {}
        }
        Some(())
    }
}

fn unpack_usage(bytes: &[u8]) -> Option<Usage> {
    let (mut usage, mut members) = (Usage::default(), Members(bytes));
    while let Some((number, value)) = members.next_member()? {
        let place = usize::from(number).checked_sub(1)?;
        if let Some(count) = usage.classes_mut().into_iter().nth(place) {
            *count = value.number()?;
        }
    }
    Some(usage)
}

/// A list of texts. What comes behind damage is left out.
pub(super) fn texts(bytes: &[u8]) -> impl Iterator<Item = &str> {
    Members(bytes).map_while(|(_, value)| value.text())
}

/// A list of attempts.
pub(super) fn steps(bytes: &[u8]) -> impl Iterator<Item = Step<'_>> {
    Members(bytes).map_while(|(_, value)| Step::unpack(value.bytes()?))
}

/// A list of calls of tools.
pub(super) fn calls(bytes: &[u8]) -> impl Iterator<Item = ToolCall<'_>> {
    Members(bytes).map_while(|(_, value)| ToolCall::unpack(value.bytes()?))
}

fn place<T: PartialEq + Copy>(all: &[T], one: T) -> u64 {
    all.iter().position(|other| *other == one).and_then(|place| u64::try_from(place).ok()).unwrap_or_default()
}

fn at<T: Copy>(all: &[T], value: Value<'_>) -> Option<T> {
    all.get(usize::try_from(value.number()?).ok()?).copied()
}

struct Out<'o>(&'o mut Vec<u8>);

impl Out<'_> {
    fn number(&mut self, number: u8, value: u64) {
        self.0.push(number << 1);
        varint::write(self.0, value);
    }

    fn truth(&mut self, number: u8, value: bool) {
        if value {
            self.number(number, 1);
        }
    }

    fn time(&mut self, number: u8, time: Option<Duration>) {
        if let Some(time) = time {
            self.number(number, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.0.push(number << 1 | 1);
        varint::write(self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u8, texts: Texts<'_>) {
        let mut texts = texts.iter().peekable();
        if texts.peek().is_some() {
            self.group(number, |out| texts.for_each(|text| out.text(ITEM, Some(text))));
        }
    }

    fn used(&mut self, usage: Option<&Usage>, source: Option<UsageSource>, tier: Option<&str>, charge: Charge) {
        use of_both as n;
        if let Some(usage) = usage {
            self.group(n::USAGE, |out| {
                (1..).zip(usage.classes()).filter(|(_, count)| *count > 0).for_each(|(n, count)| out.number(n, count));
            });
        }
        if let Some(source) = source {
            self.number(n::USAGE_SOURCE, place(&UsageSource::ALL, source));
        }
        self.text(n::SERVICE_TIER, tier);
        match charge {
            Charge { floor, is_whole: true } => self.pico(n::COST, floor),
            Charge { floor, is_whole: false } if floor.0 != 0 => self.pico(n::COST_AT_LEAST, floor),
            Charge { .. } => {}
        }
    }

    /// Without the bytes that a small number does not need.
    fn pico(&mut self, number: u8, pico: PicoUsd) {
        let all = pico.0.to_le_bytes();
        let filler = if pico.0 < 0 { 0xff } else { 0 };
        let mut length = all.len();
        // The last byte that is kept says by its highest bit what those behind it were.
        while length > 1
            && all.get(length - 1) == Some(&filler)
            && all.get(length - 2).is_some_and(|next| (next ^ filler) & 0x80 == 0)
        {
            length -= 1;
        }
        self.bytes(number, all.get(..length).unwrap_or_default());
    }

    /// Members in a member. One that grows beyond all measure is left out.
    fn group(&mut self, number: u8, write: impl FnOnce(&mut Out<'_>)) {
        let begin = self.0.len();
        self.0.push(number << 1 | 1);
        self.0.extend_from_slice(&[0; LENGTH_BYTES]);
        let from = self.0.len();
        write(&mut Out(self.0));
        let length = self.0.len() - from;
        if length >= MOST_GROUP_BYTES {
            self.0.truncate(begin);
            return;
        }
        for (group, byte) in self.0.iter_mut().skip(begin + 1).take(LENGTH_BYTES).enumerate() {
            let more = if group + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = varint::low_bits(length as u64 >> (7 * group)) | more;
        }
    }
}

#[derive(Clone, Copy)]
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

impl<'b> Value<'b> {
    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }

    fn small<T: TryFrom<u64>>(self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn time(self) -> Option<Duration> {
        self.number().map(Duration::from_micros)
    }

    fn bytes(self) -> Option<&'b [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    fn text(self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn pico(self) -> Option<PicoUsd> {
        let bytes = self.bytes()?;
        let filler = if bytes.last()? & 0x80 == 0 { 0 } else { 0xff };
        let mut all = [filler; size_of::<i128>()];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(PicoUsd(i128::from_le_bytes(all)))
    }
}

/// What is left to read.
struct Members<'b>(&'b [u8]);

impl<'b> Members<'b> {
    /// `Some(None)` at the end, `None` where there is no member.
    fn next_member(&mut self) -> Option<Option<(u8, Value<'b>)>> {
        let Some((head, rest)) = self.0.split_first() else { return Some(None) };
        self.0 = rest;
        let number = varint::take(&mut self.0)?;
        let value = if head & 1 == 0 {
            Value::Number(number)
        } else {
            let (bytes, rest) = self.0.split_at_checked(usize::try_from(number).ok()?)?;
            self.0 = rest;
            Value::Bytes(bytes)
        };
        Some(Some((head >> 1, value)))
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = (u8, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_member()?
    }
}
