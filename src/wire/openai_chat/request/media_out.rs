//! Pictures and documents of a message, as chat has them.

use super::encode::{Context, nested};
use super::message_out::join;
use crate::wire::ir::{Media, Part};
use crate::wire::json::{Obj, Str, write_text};

pub(super) fn image(
    part: &Part<'_>,
    media: &Media<'_>,
    detail: Option<&Str<'_>>,
    cx: &Context<'_>,
    obj: &mut Obj<'_>,
) -> bool {
    let url = match media {
        Media::Base64 { mime, data } => data_url(mime, data),
        // What is inline is no address, however it is written.
        Media::Url(url) if cx.same || cx.target.quirks.image_urls || media.inline().is_some() => {
            url.raw().as_bytes().to_vec()
        }
        _ => return false,
    };
    obj.text("type", "image_url");
    let mut it = obj.obj("image_url");
    it.key("url").extend_from_slice(&url);
    if let Some(detail) = detail {
        it.str("detail", detail);
    }
    if cx.same {
        nested("image_url.", &part.rest, &mut it);
    }
    true
}

/// What clients call base64 may be anything: it is escaped like any text.
fn data_url(mime: &str, data: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    write_text(&mut out, &format!("data:{mime};base64,{data}"));
    out
}

/// A document, with its title and what is known of it: one of text as text, whatever it came in, for the vendor takes
/// no other files than PDF.
pub(super) fn document(
    part: &Part<'_>,
    media: &Media<'_>,
    (title, context): (Option<&Str<'_>>, Option<&Str<'_>>),
    cx: &Context<'_>,
    obj: &mut Obj<'_>,
) -> bool {
    let text = match media {
        Media::Text(text) => Some(text.reborrow()),
        _ if cx.same => None,
        _ => media.inline_text(),
    };
    match text {
        Some(text) => _ = obj.text("type", "text").str("text", &document_text(&text, title, context)),
        None => return file(part, media, title, cx, obj),
    }
    true
}

fn file(part: &Part<'_>, media: &Media<'_>, title: Option<&Str<'_>>, cx: &Context<'_>, obj: &mut Obj<'_>) -> bool {
    let data = match media {
        Media::Base64 { mime, data } => data_url(mime, data),
        Media::File(_) if cx.same => Vec::new(),
        Media::Url(_) if cx.same || media.inline().is_some() => Vec::new(),
        _ => return false,
    };
    obj.text("type", "file");
    let mut it = obj.obj("file");
    match (title, media) {
        (Some(title), _) => _ = it.str("filename", title),
        (None, Media::Base64 { .. } | Media::Url(_)) if !cx.same => _ = it.text("filename", "document.pdf"),
        _ => {}
    }
    match media {
        Media::File(id) => _ = it.str("file_id", id),
        Media::Url(url) => _ = it.str("file_data", url),
        _ => it.key("file_data").extend_from_slice(&data),
    }
    if cx.same {
        nested("file.", &part.rest, &mut it);
    }
    true
}

/// A document that is text, with what is known of it before it.
pub(super) fn document_text(text: &Str<'_>, title: Option<&Str<'_>>, context: Option<&Str<'_>>) -> Str<'static> {
    let mut out = Vec::new();
    let before: Vec<Str<'_>> = [title, context, Some(text)].into_iter().flatten().map(Str::reborrow).collect();
    join(&before, "\\n\\n", &mut out);
    let literal = String::from_utf8(out).unwrap_or_default();
    Str::from_raw(&literal).map_or_else(|| Str::from_text(""), Str::into_owned)
}
