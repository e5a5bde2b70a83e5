//! Citations: Cohere's to Anthropic's, which is what clients' formats can show.
//!
//! <https://docs.cohere.com/v2/docs/rag-citations>. One citation has several sources: documents, known
//! by an id (`doc:0`, of one that the request gave none), and results of tools, known by the call's
//! (`call_1:0`). What a source says is told whole. The characters of the text that are about it stand with
//! sources that have an address, as in OpenAI's annotations: Anthropic's citations have no slot for them.

use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::lenient::{count, filled, items, read, text};
use crate::wire_object;

wire_object! {
    struct Citation<'a> {
        sources: Json<'a>,
        index: Json<'a> = "content_index",
        kind: Json<'a> = "type",
        start: Json<'a>,
        end: Json<'a>,
    }
}

wire_object! {
    struct Source<'a> { id: Json<'a>, document: Said<'a>, output: Said<'a> = "tool_output" }
}

wire_object! {
    struct Said<'a> {
        text: Json<'a>,
        snippet: Json<'a>,
        content: Json<'a>,
        title: Json<'a>,
        url: Json<'a>,
    }
}

/// Which block of the content it is about; `None` where it does not say.
pub(super) fn index(json: &str) -> Option<u64> {
    count(json::parse::<Citation<'_>>(json).ok()?.index)
}

/// Whether it is about the text of the answer, and not about thinking or the plan for the calls.
pub(super) fn is_of_text(json: &str) -> bool {
    let it: Citation<'_> = json::parse(json).unwrap_or_default();
    text(it.kind).is_none_or(|kind| kind.is("TEXT_CONTENT"))
}

/// Rewrites one citation: one for each of its sources.
pub(super) fn anthropic(json: &str) -> Vec<Raw<'static>> {
    let it: Citation<'_> = json::parse(json).unwrap_or_default();
    let span = count(it.start).zip(count(it.end)).filter(|(start, end)| start <= end);
    items(it.sources).into_iter().filter_map(|raw| source(&read(Some(raw))?, span)).collect()
}

fn source(it: &Source<'_>, span: Option<(u64, u64)>) -> Option<Raw<'static>> {
    let none = Said::default();
    let said = it.document.as_ref().or(it.output.as_ref()).unwrap_or(&none);
    let id = text(it.id).unwrap_or_else(|| Str::from_text(""));
    let cited = text(said.text).or_else(|| text(said.snippet)).or_else(|| text(said.content));
    let cited = cited.unwrap_or_else(|| Str::from_text(""));
    let is_address = |text: &Str<'_>| text.escaped().starts_with("http");
    let url = filled(said.url).or_else(|| is_address(&id).then(|| id.clone()));
    let number = id.text().rsplit_once(':').and_then(|(_, number)| number.parse::<u64>().ok());
    let mut out = Vec::new();
    {
        let mut o = Obj::new(&mut out);
        let document = id.escaped().strip_prefix("doc:").and(number);
        match (url, document) {
            (Some(url), _) => {
                o.text("type", "web_search_result_location").str("cited_text", &cited).text("encrypted_index", "");
                literal(&mut o, "title", text(said.title));
                o.str("url", &url);
                span.iter().for_each(|(start, end)| _ = o.num("start_index", *start).num("end_index", *end));
            }
            (None, Some(index)) => {
                let chars = u64::try_from(cited.text().chars().count()).unwrap_or(u64::MAX);
                o.text("type", "char_location").str("cited_text", &cited).num("document_index", index);
                literal(&mut o, "document_title", text(said.title));
                o.num("start_char_index", 0).num("end_char_index", chars).null("file_id");
            }
            (None, None) => {
                o.text("type", "search_result_location").str("cited_text", &cited);
                o.num("search_result_index", number.unwrap_or(0)).str("source", &id);
                o.num("start_block_index", 0).num("end_block_index", 1);
                literal(&mut o, "title", text(said.title));
            }
        }
    }
    String::from_utf8(out).ok().map(Raw::owned)
}

fn literal(o: &mut Obj<'_>, name: &str, text: Option<Str<'_>>) {
    match text {
        Some(text) => o.str(name, &text),
        None => o.null(name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_counterpart() {
        let table = [
            (
                r#"{"type":"document","id":"doc:2","document":{"id":"doc:2","text":"é a","title":"facts"}}"#,
                r#"{"type":"char_location","cited_text":"é a","document_index":2,"document_title":"facts","start_char_index":0,"end_char_index":3,"file_id":null}"#,
            ),
            (
                r#"{"type":"tool","id":"weather_1:1","tool_output":{"content":"15°C"}}"#,
                r#"{"type":"search_result_location","cited_text":"15°C","search_result_index":1,"source":"weather_1:1","start_block_index":0,"end_block_index":1,"title":null}"#,
            ),
            (
                r#"{"type":"document","id":"https://e/x","document":{"snippet":"s","title":"t"}}"#,
                r#"{"type":"web_search_result_location","cited_text":"s","encrypted_index":"","title":"t","url":"https://e/x","start_index":0,"end_index":4}"#,
            ),
            (
                r#"{"type":"tool","id":"s:0","tool_output":{"url":"https://e/y"}}"#,
                r#"{"type":"web_search_result_location","cited_text":"","encrypted_index":"","title":null,"url":"https://e/y","start_index":0,"end_index":4}"#,
            ),
        ];
        for (theirs, ours) in table {
            let json =
                format!(r#"{{"start":0,"end":4,"text":"Ruby","sources":[{theirs},{theirs}],"content_index":1}}"#);
            let got = anthropic(&json);
            assert_eq!((got.len(), got[0].get(), index(&json)), (2, ours, Some(1)));
        }
        assert!(anthropic("{}").is_empty() && anthropic("[]").is_empty() && index("{}").is_none());
        assert!(is_of_text("{}") && !is_of_text(r#"{"type":"THINKING_CONTENT"}"#));
    }
}
