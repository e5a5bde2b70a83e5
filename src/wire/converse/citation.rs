//! Citations: Converse's to Anthropic's, which is what clients' formats can show.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html>

use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::lenient::{count, items, read, text};
use crate::wire_object;

wire_object! {
    struct Citation<'a> {
        title: Json<'a>,
        source: Json<'a>,
        source_content: Json<'a> = "sourceContent",
        location: Json<'a>,
    }
}

wire_object! {
    struct Location<'a> {
        chars: Span<'a> = "documentChar",
        pages: Span<'a> = "documentPage",
        chunks: Span<'a> = "documentChunk",
        search: Span<'a> = "searchResultLocation",
        web: Web<'a>,
    }
}

wire_object! {
    struct Span<'a> {
        document: Json<'a> = "documentIndex",
        search: Json<'a> = "searchResultIndex",
        start: Json<'a>,
        end: Json<'a>,
    }
}

wire_object! {
    struct Web<'a> { url: Json<'a>, domain: Json<'a> }
}

wire_object! {
    struct Source<'a> { text: Json<'a> }
}

/// Rewrites one citation; one that says no place is `None`.
pub(super) fn anthropic(json: &str) -> Option<Raw<'static>> {
    let it: Citation<'_> = json::parse(json).ok()?;
    let place: Location<'_> = read(it.location)?;
    let (kind, index, from, to, span) = match place {
        Location { chars: Some(span), .. } => {
            ("char_location", "document_index", "start_char_index", "end_char_index", span)
        }
        Location { pages: Some(span), .. } => {
            ("page_location", "document_index", "start_page_number", "end_page_number", span)
        }
        Location { chunks: Some(span), .. } => {
            ("content_block_location", "document_index", "start_block_index", "end_block_index", span)
        }
        Location { search: Some(span), .. } => {
            ("search_result_location", "search_result_index", "start_block_index", "end_block_index", span)
        }
        Location { web: Some(ref web), .. } => return Some(of_web(&it, web)),
        _ => return None,
    };
    let mut out = Vec::new();
    {
        let mut o = Obj::new(&mut out);
        o.text("type", kind).raw("cited_text", &cited(&it));
        o.num(index, count(span.document.or(span.search)).unwrap_or(0));
        o.num(from, count(span.start).unwrap_or(0)).num(to, count(span.end).unwrap_or(0));
        match kind {
            "search_result_location" => {
                o.raw("source", or_empty(text(it.source)).raw());
                literal(&mut o, "title", text(it.title));
            }
            _ => {
                literal(&mut o, "document_title", text(it.title));
                o.null("file_id");
            }
        }
    }
    String::from_utf8(out).ok().map(Raw::owned)
}

fn of_web(it: &Citation<'_>, web: &Web<'_>) -> Raw<'static> {
    let mut out = Vec::new();
    {
        let mut o = Obj::new(&mut out);
        o.text("type", "web_search_result_location").raw("cited_text", &cited(it)).text("encrypted_index", "");
        literal(&mut o, "title", text(it.title).or_else(|| text(web.domain)));
        o.str("url", &or_empty(text(web.url)));
    }
    Raw::owned(String::from_utf8(out).unwrap_or_default())
}

fn or_empty(text: Option<Str<'_>>) -> Str<'_> {
    text.unwrap_or_else(|| Str::from_text(""))
}

fn literal(o: &mut Obj<'_>, name: &str, text: Option<Str<'_>>) {
    match text {
        Some(text) => o.str(name, &text),
        None => o.null(name),
    };
}

/// The text of the source, as a literal.
fn cited(it: &Citation<'_>) -> String {
    let mut out = String::from("\"");
    for item in items(it.source_content) {
        if let Some(piece) = read::<Source<'_>>(Some(item)).and_then(|source| text(source.text).map(Str::into_owned)) {
            out.push_str(piece.escaped());
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_counterpart() {
        let table = [
            (
                r#"{"location":{"documentChar":{"documentIndex":0,"end":73,"start":1}},"sourceContent":[{"text":"a "},{"text":"b"}],"title":"facts"}"#,
                r#"{"type":"char_location","cited_text":"a b","document_index":0,"start_char_index":1,"end_char_index":73,"document_title":"facts","file_id":null}"#,
            ),
            (
                r#"{"location":{"documentPage":{"documentIndex":2,"end":2,"start":1}}}"#,
                r#"{"type":"page_location","cited_text":"","document_index":2,"start_page_number":1,"end_page_number":2,"document_title":null,"file_id":null}"#,
            ),
            (
                r#"{"location":{"searchResultLocation":{"end":1,"searchResultIndex":3,"start":0}},"source":"https://e","title":"t"}"#,
                r#"{"type":"search_result_location","cited_text":"","search_result_index":3,"start_block_index":0,"end_block_index":1,"source":"https://e","title":"t"}"#,
            ),
            (
                r#"{"location":{"web":{"domain":"e","url":"https://e/x"}}}"#,
                r#"{"type":"web_search_result_location","cited_text":"","encrypted_index":"","title":"e","url":"https://e/x"}"#,
            ),
        ];
        for (theirs, ours) in table {
            assert_eq!(anthropic(theirs).unwrap().get(), ours);
        }
        assert!(anthropic(r#"{"location":{}}"#).is_none());
        assert!(anthropic("[]").is_none());
    }
}
