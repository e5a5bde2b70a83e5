//! Images, documents and sounds: this format names a `format` where others name a media type.

use std::borrow::Cow;

use crate::wire::ir::{Media, Part, PartKind};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::text;
use crate::wire_object;

wire_object! {
    pub(super) struct Block<'a> {
        format: Json<'a>,
        name: Json<'a>,
        source: Json<'a>,
        context: Json<'a>,
        citations: Json<'a>,
    }
}

wire_object! {
    struct Source<'a> {
        bytes: Json<'a>,
        s3: Place<'a> = "s3Location",
        text: Json<'a>,
    }
}

wire_object! {
    struct Place<'a> { uri: Json<'a> }
}

/// Formats of images, with their media types.
const IMAGES: [(&str, &str); 4] =
    [("png", "image/png"), ("jpeg", "image/jpeg"), ("gif", "image/gif"), ("webp", "image/webp")];

const DOCUMENTS: [(&str, &str); 9] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

const SOUNDS: [(&str, &str); 9] = [
    ("mp3", "audio/mpeg"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("aac", "audio/aac"),
    ("m4a", "audio/mp4"),
    ("webm", "audio/webm"),
];

fn format_in(table: &[(&'static str, &str)], mime: &str) -> Option<&'static str> {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    table.iter().find(|(_, known)| *known == mime).map(|(format, _)| *format)
}

/// The `format` of an image.
pub(super) fn image_format(mime: &str) -> Option<&'static str> {
    format_in(&IMAGES, mime)
}

/// The `format` of a document; other kinds of text are plain text.
pub(super) fn document_format(mime: &str) -> Option<&'static str> {
    let plain = mime.starts_with("text/") || mime == "application/json" || mime == "application/xml";
    format_in(&DOCUMENTS, mime).or_else(|| plain.then_some("txt"))
}

/// The `format` of a sound: from its media type, or a name as OpenAI has it.
pub(super) fn audio_format(word: &str) -> Option<&'static str> {
    let by_name = SOUNDS.iter().find(|(format, _)| *format == word).map(|(format, _)| *format);
    by_name.or_else(|| format_in(&SOUNDS, word))
}

fn mime(table: &[(&'static str, &'static str)], format: &str) -> Cow<'static, str> {
    let known = table.iter().find(|(known, _)| *known == format);
    known.map_or_else(|| Cow::Owned(format!("application/{format}")), |(_, mime)| Cow::Borrowed(*mime))
}

pub(super) fn image(block: &Block<'_>) -> Option<PartKind<'static>> {
    Some(PartKind::Image { media: source(block, &IMAGES)?, detail: None })
}

pub(super) fn document(block: &Block<'_>) -> Option<PartKind<'static>> {
    let raw = |value: Option<Json<'_>>| value.map(|value| Raw::owned(value.get().to_owned()));
    Some(PartKind::Document {
        media: source(block, &DOCUMENTS)?,
        title: text(block.name).map(Str::into_owned),
        context: text(block.context).map(Str::into_owned),
        citations: raw(block.citations),
    })
}

pub(super) fn audio(block: &Block<'_>) -> Option<PartKind<'static>> {
    Some(PartKind::Audio { media: source(block, &SOUNDS)?, format: text(block.format).map(Str::into_owned) })
}

fn source(block: &Block<'_>, table: &[(&'static str, &'static str)]) -> Option<Media<'static>> {
    let source: Source<'_> = json::parse(block.source?.get()).ok()?;
    if let Some(data) = text(source.bytes) {
        let format = text(block.format).map(|format| format.text().into_owned()).unwrap_or_default();
        return Some(Media::Base64 { mime: mime(table, &format), data: Cow::Owned(data.text().into_owned()) });
    }
    if let Some(place) = source.s3 {
        return text(place.uri).map(|uri| Media::Url(uri.into_owned()));
    }
    text(source.text).map(|text| Media::Text(text.into_owned()))
}

/// A name for a document: letters, digits, single spaces, hyphens, parentheses and brackets, at most
/// 200, and no two the same in one request.
pub(super) fn free_name(title: Option<&Str<'_>>, taken: &mut Vec<String>) -> String {
    let title = title.map(Str::text).unwrap_or_default();
    let mut name = String::with_capacity(title.len());
    for c in title.chars() {
        let c = if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
        if c != ' ' || !name.ends_with(' ') {
            name.push(c);
        }
    }
    let name: String = name.trim().chars().take(180).collect();
    let name = if name.trim().is_empty() { "document".to_owned() } else { name.trim().to_owned() };
    let mut free = name.clone();
    let mut n = 1_u32;
    while taken.contains(&free) {
        n += 1;
        free = format!("{name} {n}");
    }
    taken.push(free.clone());
    free
}

/// Whether a part is a document.
pub(super) fn is_document(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Document { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_rules() {
        let mut taken = Vec::new();
        let mut name = |title: &str| free_name(Some(&Str::from_text(title)), &mut taken);
        assert_eq!(name("My  report_v2.pdf"), "My report v2 pdf");
        assert_eq!(name("My report v2 pdf"), "My report v2 pdf 2");
        assert_eq!(name("(a) [b]-c"), "(a) [b]-c");
        assert_eq!(name("é…"), "document");
        assert_eq!(name(&"x".repeat(400)).len(), 180);
        assert_eq!(free_name(None, &mut taken), "document 2");
    }

    #[test]
    fn formats_come_from_media_types() {
        assert_eq!(image_format("image/jpeg"), Some("jpeg"));
        assert_eq!(image_format("image/tiff"), None);
        assert_eq!(document_format("text/plain; charset=utf-8"), Some("txt"));
        assert_eq!(document_format("text/x-rust"), Some("txt"));
        assert_eq!(document_format("application/zip"), None);
        assert_eq!(audio_format("wav"), Some("wav"));
        assert_eq!(audio_format("audio/mpeg"), Some("mp3"));
    }
}
