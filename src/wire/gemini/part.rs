//! One part of a content, as requests and answers share it.
//!
//! Reading never fails: a part of an unknown kind, or one whose members have not the types that its
//! kind asks for, is kept whole as [`PartKind::Other`].

use std::borrow::Cow;

use crate::wire::ir::{Arguments, At, Media, Part, PartKind};
use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::lenient::{Value, filled, is_object, items, read, text};
use crate::wire::scan;
use crate::wire::seal::{PACKED_MARK, Seal};
use crate::wire_object;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sha2::{Digest as _, Sha256};

wire_object! {
    pub(super) struct Fields<'a> {
        text: Json<'a>,
        thought: Json<'a>,
        signature: Json<'a> = "thoughtSignature" | "thought_signature",
        call: Json<'a> = "functionCall" | "function_call",
        result: Json<'a> = "functionResponse" | "function_response",
        inline: Json<'a> = "inlineData" | "inline_data",
        file: Json<'a> = "fileData" | "file_data",
    }
}

wire_object! {
    pub(super) struct CallFields<'a> {
        id: Json<'a>,
        name: Json<'a>,
        args: Json<'a>,
        partial: Json<'a> = "partialArgs" | "partial_args",
        will_continue: Json<'a> = "willContinue" | "will_continue",
    }
}

wire_object! {
    struct ResultFields<'a> {
        id: Json<'a>,
        name: Json<'a>,
        response: Json<'a>,
        parts: Json<'a>,
    }
}

wire_object! {
    struct Blob<'a> {
        mime: Json<'a> = "mimeType" | "mime_type",
        data: Json<'a>,
        uri: Json<'a> = "fileUri" | "file_uri",
    }
}

/// The ids of a conversation's calls: most calls have none, so they are told by their order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Between `call_` and the number.
    seed: String,
    /// Name, id, and whether its result has come.
    seen: Vec<(String, String, bool)>,
}

impl Calls {
    /// Of one answer: ids are unlike those of other answers. `said` is what stands for the id of one that has none.
    pub(super) fn of(answer: Option<&Str<'_>>, said: &str) -> Self {
        const MOST_BYTES: usize = 24;
        let id = answer.map(Str::text).unwrap_or_default();
        let plain = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').take(MOST_BYTES);
        let seed: String = plain.collect();
        let seed = if seed.is_empty() { hex::encode(Sha256::digest(said).get(..6).unwrap_or_default()) } else { seed };
        Self { seed: format!("{seed}_"), seen: Vec::new() }
    }

    /// The id of the next call.
    pub(super) fn call<'a>(&mut self, id: Option<Str<'a>>, name: &Str<'_>) -> Str<'a> {
        let id = id.unwrap_or_else(|| Str::from_text(&format!("call_{}{}", self.seed, self.seen.len())));
        self.seen.push((name.text().into_owned(), id.text().into_owned(), false));
        id
    }

    /// The id of the call that a result belongs to: the first of that name that has none yet.
    fn result<'a>(&mut self, id: Option<Str<'a>>, name: &str) -> Str<'a> {
        let open = match &id {
            Some(id) => self.seen.iter_mut().find(|(_, own, _)| id.is(own)),
            None => self.seen.iter_mut().find(|(own, _, answered)| own == name && !*answered),
        };
        let found = open.map(|(_, own, answered)| {
            *answered = true;
            Str::from_text(own)
        });
        id.or(found).unwrap_or_else(|| Str::from_text(name))
    }
}

/// A signature as it is kept: a seal of ours, which stands here in base64, or the provider's own.
pub(super) fn signature(value: Value<'_>) -> Option<Str<'_>> {
    let own = filled(value)?;
    if own.escaped().starts_with(PACKED_MARK) {
        let bytes = STANDARD.decode(own.escaped()).or_else(|_| URL_SAFE.decode(own.escaped())).ok()?;
        let plain = String::from_utf8(bytes).ok().filter(|plain| Seal::is_sealed(plain));
        return Some(plain.map_or(own, |plain| Str::from_text(&plain)));
    }
    Some(own)
}

/// The value of a `thoughtSignature`, which is base64.
pub(super) fn write_signature(signature: &Str<'_>, out: &mut Vec<u8>) {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b);
    let plain = signature.text();
    match !Seal::is_sealed(&plain) && plain.bytes().all(is_base64) {
        true => out.extend_from_slice(signature.raw().as_bytes()),
        false => json::write_text(out, &STANDARD.encode(plain.as_bytes())),
    }
}

/// Reads one part: a signature on anything but a thought is a thought of its own before it.
pub(super) fn decode<'a>(raw: Json<'a>, at: At, calls: &mut Calls, parts: &mut Vec<Part<'a>>) {
    let fields: Fields<'a> = read(Some(raw)).unwrap_or_default();
    let signature = signature(fields.signature);
    if fields.thought.is_some_and(|thought| thought.get() == "true")
        && let Some(text) = text(fields.text)
    {
        return parts.push(Part { rest: fields.rest, ..Part::new(at, PartKind::Reasoning { text, signature }) });
    }
    let is_bare = fields.text.is_some_and(|text| text.get() == "\"\"") && signature.is_some();
    let Some(part) = known(&fields, at, calls) else {
        return parts.push(whole(raw, at, &fields));
    };
    if signature.is_some() {
        let text = Str::from_text("");
        parts.push(Part::new(at, PartKind::Reasoning { text, signature }));
    }
    if !is_bare {
        parts.push(Part { rest: fields.rest, ..part });
    }
}

fn known<'a>(fields: &Fields<'a>, at: At, calls: &mut Calls) -> Option<Part<'a>> {
    let kind = if let Some(call) = read::<CallFields<'a>>(fields.call) {
        let name = text(call.name)?;
        let arguments = Arguments::Object(Raw::new(call.args.map_or("{}", Json::get)));
        PartKind::ToolCall { id: calls.call(filled(call.id), &name), name, arguments }
    } else if let Some(result) = read::<ResultFields<'a>>(fields.result) {
        result_of(&result, at, calls)
    } else if fields.inline.is_some() || fields.file.is_some() {
        media(fields)?
    } else {
        PartKind::Text { text: text(fields.text)?, citations: None }
    };
    Some(Part::new(at, kind))
}

/// Whether a part of an answer has a place in no other format: media but for pictures, and pictures that are
/// thoughts.
pub(super) fn is_own_media(fields: &Fields<'_>) -> bool {
    let Some(blob) = fields.inline.or(fields.file) else { return false };
    let mime = read::<Blob<'_>>(Some(blob)).and_then(|blob| filled(blob.mime));
    let is_picture = mime.is_some_and(|mime| mime.text().starts_with("image/"));
    !is_picture || fields.thought.is_some_and(|thought| thought.get() == "true")
}

/// A part kept whole, under the name of what it holds.
pub(super) fn whole<'a>(raw: Json<'a>, at: At, fields: &Fields<'a>) -> Part<'a> {
    let name = match (fields.inline, fields.file, fields.call, fields.rest.first()) {
        (Some(_), ..) => "inlineData",
        (_, Some(_), ..) => "fileData",
        (_, _, Some(_), _) => "functionCall",
        (.., Some((name, _))) => name,
        _ => "",
    };
    Part::new(at, PartKind::Other { tag: Str::from_text(name), json: Raw::new(raw.get()) })
}

/// A result: what it says under `output` or `error` alone is text, any other object is its own JSON.
fn result_of<'a>(result: &ResultFields<'a>, at: At, calls: &mut Calls) -> PartKind<'a> {
    let name = text(result.name).map(|name| name.text().into_owned()).unwrap_or_default();
    let id = calls.result(filled(result.id), &name);
    let json = result.response.map_or("{}", Json::get);
    let mut members = scan::members(json);
    let only = members.next().filter(|_| members.next().is_none());
    let word = only.and_then(|(name, value)| Some((name, Str::from_raw(value)?)));
    let is_object = |text: &Str<'_>| is_object(json::parse(&text.text()).ok());
    let (said, is_error) = match word {
        Some(("error", text)) => (text, true),
        Some(("output", text)) if !is_object(&text) => (text, false),
        _ if json == "{}" => (Str::from_text(""), false),
        _ => (Str::from_text(json), false),
    };
    let mut content = vec![Part::new(at, PartKind::Text { text: said, citations: None })];
    for raw in items(result.parts) {
        decode(raw, at, calls, &mut content);
    }
    PartKind::ToolResult { id, content, is_error }
}

/// An image, a sound or a document. What has no kind of its own elsewhere (video, files that the
/// provider keeps) is kept whole.
fn media<'a>(fields: &Fields<'a>) -> Option<PartKind<'a>> {
    let blob: Blob<'a> = read(fields.inline.or(fields.file))?;
    let mime = filled(blob.mime).map(|mime| mime.text().into_owned()).unwrap_or_default();
    let media = match (text(blob.data), text(blob.uri)) {
        (Some(data), _) => Media::Base64 { mime: Cow::Owned(mime.clone()), data: Cow::Owned(standard(&data.text())) },
        (None, Some(uri)) if is_public(&uri.text()) => Media::Url(uri),
        _ => return None,
    };
    Some(match mime.split_once('/').map_or("", |(class, _)| class) {
        "image" => PartKind::Image { media, detail: None },
        "audio" => PartKind::Audio { media, format: None },
        "application" | "text" => PartKind::Document { media, title: None, context: None, citations: None },
        _ => return None,
    })
}

/// Base64 in the alphabet that other formats take; this one takes both.
fn standard(data: &str) -> String {
    data.replace('-', "+").replace('_', "/")
}

/// Whether anyone may fetch it: files of the provider's own stores may not be.
fn is_public(uri: &str) -> bool {
    let own = ["generativelanguage.googleapis.com", "youtube.com", "youtu.be"];
    uri.starts_with("http") && !own.iter().any(|host| uri.contains(host))
}

/// Writes a media part's own member.
pub(super) fn write_media(kind: &PartKind<'_>, body: &mut Obj<'_>) -> bool {
    let (PartKind::Image { media, .. } | PartKind::Audio { media, .. } | PartKind::Document { media, .. }) = kind
    else {
        return false;
    };
    if let Some((mime, data)) = media.inline() {
        body.obj("inlineData").text("mimeType", &mime).text("data", &data);
        return true;
    }
    let Media::Url(uri) = media else { return false };
    let mime = mime_of(&uri.text(), kind);
    body.obj("fileData").text("mimeType", mime).str("fileUri", uri);
    true
}

/// The type of what a URL names, by its ending; this format wants one.
fn mime_of(uri: &str, kind: &PartKind<'_>) -> &'static str {
    const KNOWN: [(&str, &str); 15] = [
        (".png", "image/png"),
        (".webp", "image/webp"),
        (".gif", "image/gif"),
        (".heic", "image/heic"),
        (".heif", "image/heif"),
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".txt", "text/plain"),
        (".md", "text/plain"),
        (".html", "text/html"),
        (".csv", "text/csv"),
        (".mp3", "audio/mpeg"),
        (".ogg", "audio/ogg"),
        (".flac", "audio/flac"),
        (".wav", "audio/wav"),
    ];
    let path = uri.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let found = KNOWN.iter().find(|(ending, _)| path.ends_with(ending));
    found.map_or_else(
        || match kind {
            PartKind::Audio { .. } => "audio/wav",
            PartKind::Document { .. } => "application/pdf",
            _ => "image/jpeg",
        },
        |(_, mime)| mime,
    )
}

/// Writes the arguments of a call: an object, whatever the model made of it.
pub(super) fn write_args(arguments: &Arguments<'_>, out: &mut Vec<u8>) {
    match (arguments.object(), arguments) {
        // Some models say `null` for no arguments.
        (None, Arguments::Encoded(text)) if matches!(text.text().trim(), "null" | "\"\"") => {
            out.extend_from_slice(b"{}")
        }
        (Some(object), _) => out.extend_from_slice(object.trim().as_bytes()),
        // A call cut by the token limit: nothing of it is lost and the part stays valid.
        (None, Arguments::Encoded(text)) => _ = Obj::new(out).str("arguments", text),
        (None, Arguments::Object(_) | Arguments::Text(_)) => out.extend_from_slice(b"{}"),
    }
}
