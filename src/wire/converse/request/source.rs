//! Images, documents and sounds as this format takes them: inline or from S3.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::converse::media;
use crate::wire::ir::{Media, Part, PartKind};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire_object;

/// What stands as `source`.
#[derive(Debug)]
pub(super) enum Source<'m> {
    Bytes(Cow<'m, str>),
    S3(Cow<'m, str>),
    Text(&'m Str<'m>),
}

impl Source<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut source = Obj::new(out);
        match self {
            Self::Bytes(data) => _ = source.text("bytes", data),
            Self::S3(uri) => _ = source.obj("s3Location").text("uri", uri),
            Self::Text(text) => {
                let data = STANDARD.encode(text.text().as_bytes());
                source.text("bytes", &data);
            }
        }
    }
}

/// The suffix of the last segment of an address.
fn suffix(uri: &str) -> String {
    let name = uri.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase()).unwrap_or_default()
}

pub(super) fn image<'m>(media: &'m Media<'_>) -> Result<(&'static str, Source<'m>), &'static str> {
    if let Some((mime, data)) = media.inline() {
        let format = media::image_format(&mime).ok_or("this model takes PNG, JPEG, GIF and WebP images")?;
        return Ok((format, Source::Bytes(data)));
    }
    match media {
        Media::Url(url) if url.text().starts_with("s3://") => {
            let format = match suffix(&url.text()).as_str() {
                "png" => "png",
                "gif" => "gif",
                "webp" => "webp",
                _ => "jpeg",
            };
            Ok((format, Source::S3(url.text())))
        }
        Media::Url(_) => Err("this model takes images inline (data: URL) or from S3 only"),
        _ => Err("this model takes images inline, not as a file of another provider"),
    }
}

pub(super) fn document<'m>(media: &'m Media<'_>) -> Result<(&'static str, Source<'m>), &'static str> {
    const KINDS: &str = "this model takes PDF, Word, Excel, CSV, HTML, Markdown and text documents";
    if let Some((mime, data)) = media.inline() {
        return Ok((media::document_format(&mime).ok_or(KINDS)?, Source::Bytes(data)));
    }
    match media {
        Media::Text(text) => Ok(("txt", Source::Text(text))),
        Media::Url(url) if url.text().starts_with("s3://") => {
            let known = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
            let suffix = suffix(&url.text());
            let format = known.into_iter().find(|known| *known == suffix).ok_or(KINDS)?;
            Ok((format, Source::S3(url.text())))
        }
        _ => Err("this model takes documents inline or from S3 only"),
    }
}

pub(super) fn sound<'m>(media: &'m Media<'_>, format: Option<&Str<'_>>) -> Option<(&'static str, Source<'m>)> {
    let (mime, data) = media.inline()?;
    let named = format.and_then(|format| media::audio_format(&format.text()));
    Some((named.or_else(|| media::audio_format(&mime))?, Source::Bytes(data)))
}

pub(super) fn encode_media(name: &str, format: &str, source: &Source<'_>, list: &mut Arr<'_>) {
    let mut item = list.obj();
    let mut o = item.obj(name);
    o.text("format", format);
    source.encode(o.key("source"));
}

wire_object! {
    struct Citations<'a> { enabled: bool }
}

pub(super) fn encode_document(part: &Part<'_>, list: &mut Arr<'_>, names: &mut Vec<String>) {
    let PartKind::Document { media, title, context, citations } = &part.kind else { return };
    let Ok((format, source)) = document(media) else { return };
    let cited = citations.as_ref().and_then(Raw::read::<Citations<'_>>).is_some_and(|it| it.enabled == Some(true));
    let mut item = list.obj();
    let mut o = item.obj("document");
    o.text("format", format).text("name", &media::free_name(title.as_ref(), names));
    match source {
        // Citations count the letters of a text as it stands.
        Source::Text(text) if cited => _ = o.obj("source").str("text", text),
        source => source.encode(o.key("source")),
    }
    context.iter().for_each(|context| _ = o.str("context", context));
    if cited {
        o.obj("citations").bool("enabled", true);
    }
}
