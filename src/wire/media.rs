//! Images, documents and sounds, as messages carry them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{Raw, Str};

/// Where an image or a document comes from.
#[derive(Debug, Clone)]
pub enum Media<'a> {
    /// `data` is base64, without quotes.
    Base64 {
        mime: Cow<'a, str>,
        data: Cow<'a, str>,
    },
    Url(Str<'a>),
    /// An id the provider gave out.
    File(Str<'a>),
    /// A document that is plain text.
    Text(Str<'a>),
    /// A form only its own format knows (a document made of content blocks).
    Other(Raw<'a>),
}

impl Media<'_> {
    pub fn into_owned(self) -> Media<'static> {
        match self {
            Self::Base64 { mime, data } => {
                Media::Base64 { mime: Cow::Owned(mime.into_owned()), data: Cow::Owned(data.into_owned()) }
            }
            Self::Url(url) => Media::Url(url.into_owned()),
            Self::File(id) => Media::File(id.into_owned()),
            Self::Text(text) => Media::Text(text.into_owned()),
            Self::Other(raw) => Media::Other(raw.into_owned()),
        }
    }

    /// As a URL: what is inline as `data:`.
    pub fn url(&self) -> Option<Str<'_>> {
        match self {
            Self::Base64 { mime, data } => Some(Str::from_text(&format!("data:{mime};base64,{data}"))),
            Self::Url(url) => Some(url.reborrow()),
            _ => None,
        }
    }

    /// Inline data, also where it stands in a `data:` URL: its type and its base64.
    pub fn inline(&self) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
        match self {
            Self::Base64 { mime, data } => Some((usual_type(mime), Cow::Borrowed(data))),
            Self::Url(url) => {
                let text = url.text();
                let (mime, data) = data_url(&text)?;
                Some((Cow::Owned(usual_type(mime).into_owned()), Cow::Owned(data.to_owned())))
            }
            _ => None,
        }
    }

    /// Whether it is a document of text, which can be told as text.
    pub fn is_text(&self) -> bool {
        let of_text = |mime: &str| mime.starts_with("text/") || mime == "application/json";
        matches!(self, Self::Text(_)) || self.inline().is_some_and(|(mime, _)| of_text(&mime))
    }

    /// The text of an inline document that is one; `None` of all other media, and where it is no UTF-8.
    pub fn inline_text(&self) -> Option<Str<'static>> {
        let (_, data) = self.inline().filter(|_| self.is_text())?;
        let bytes = STANDARD.decode(data.as_bytes()).ok()?;
        Some(Str::from_text(&String::from_utf8(bytes).ok()?))
    }
}

/// The media type and the base64 of a `data:` URL.
pub fn data_url(url: &str) -> Option<(&str, &str)> {
    let is = |text: Option<&str>, word: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(word));
    let (scheme, rest) = url.split_once(':')?;
    let (head, data) = rest.split_once(',')?;
    let mime_bytes = head.len().checked_sub(BASE64.len())?;
    let is_inline = is(Some(scheme), "data") && is(head.get(mime_bytes..), BASE64);
    is_inline.then_some((head.get(..mime_bytes)?, data))
}

const BASE64: &str = ";base64";

/// The type of an image or a PDF as every vendor knows it: clients write `image/jpg`, and names of files behind it.
/// Of sounds what stands behind the type matters.
fn usual_type(mime: &str) -> Cow<'_, str> {
    let bare = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match bare.as_str() {
        "image/jpg" => Cow::Borrowed("image/jpeg"),
        _ if bare != mime && (bare.starts_with("image/") || bare == "application/pdf") => Cow::Owned(bare),
        _ => Cow::Borrowed(mime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_is_read_however_it_is_spelled() {
        assert_eq!(data_url("data:image/png;base64,aGk="), Some(("image/png", "aGk=")));
        assert_eq!(data_url("DATA:image/PNG;BASE64,aGk="), Some(("image/PNG", "aGk=")));
        assert_eq!(data_url("data:image/png;name=a.png;base64,aGk="), Some(("image/png;name=a.png", "aGk=")));
        for other in ["data:image/png,aGk=", "https://x/a;base64,b", "data:;base6,", "data:", ""] {
            assert_eq!(data_url(other), None, "{other}");
        }
    }

    #[test]
    fn types_of_images_are_those_that_vendors_know_and_sounds_keep_what_they_say() {
        let usual = |url: &str| Media::Url(Str::from_text(url)).inline().map(|(mime, _)| mime.into_owned()).unwrap();
        assert_eq!(usual("data:image/jpg;base64,aGk="), "image/jpeg");
        assert_eq!(usual("data:image/png;name=a.png;base64,aGk="), "image/png");
        assert_eq!(usual("DATA:image/PNG;BASE64,aGk="), "image/png");
        assert_eq!(usual("data:application/pdf;name=a.pdf;base64,aGk="), "application/pdf");
        assert_eq!(usual("data:audio/L16;rate=24000;base64,aGk="), "audio/L16;rate=24000");
        let media = Media::Base64 { mime: "image/jpg".into(), data: "aGk=".into() };
        assert_eq!(media.inline(), Some(("image/jpeg".into(), "aGk=".into())));
    }
}
