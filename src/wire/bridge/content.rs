//! What two formats have in common: content that only the client's own knows stays behind, by name.

use crate::error::{Error, Result};
use crate::wire::ir::{At, Dropped, Media, Part, PartKind, Request, Role};
use crate::wire::json::{Json, Str};
use crate::wire::lenient::{items, read, text};
use crate::wire_object;

/// Types of content that show the model something. Here they are of a kind, or in a form, that their
/// own format alone knows.
const SHOWN: [&str; 10] = [
    "image",
    "document",
    "image_url",
    "file",
    "input_audio",
    "video_url",
    "input_image",
    "input_file",
    "inlineData",
    "fileData",
];

/// Leaves out, by name, what only the client's own format knows: what the model said in such a way
/// (calls of tools that its provider runs, and their results), and content of unknown types.
///
/// # Errors
/// Content without which the question would be another: what is shown to the model, and a turn that
/// holds nothing else.
pub(super) fn keep(request: &mut Request<'_>, dropped: &mut Dropped) -> Result<()> {
    for turn in &mut request.turns {
        for part in &mut turn.parts {
            if let PartKind::ToolResult { content, .. } = &mut part.kind {
                content.iter_mut().for_each(|part| as_document(part, dropped));
                leave_out(content, dropped);
            }
            as_document(part, dropped);
        }
        let shown = turn.parts.iter().find(|part| turn.role != Role::Assistant && is_own(part, &SHOWN));
        if let Some(part) = shown {
            return Err(refused(part.at));
        }
        let (at, had_any) = (turn.at, !turn.parts.is_empty());
        leave_out(&mut turn.parts, dropped);
        if had_any && turn.parts.is_empty() && turn.role != Role::Assistant {
            return Err(refused(at));
        }
    }
    request.turns.retain(|turn| !(turn.role == Role::Assistant && turn.parts.is_empty() && turn.rest.is_empty()));
    Ok(())
}

wire_object! {
    struct SearchResult<'a> {
        kind: Json<'a> = "type",
        source: Json<'a>,
        title: Json<'a>,
        content: Json<'a>,
    }
}

wire_object! {
    struct Said<'a> { text: Json<'a> }
}

/// Anthropic's `search_result` is a document of texts, with a title and where it is from.
fn as_document(part: &mut Part<'_>, dropped: &mut Dropped) {
    let PartKind::Other { tag, json } = &part.kind else { return };
    let Some(found) = json.read::<SearchResult<'_>>().filter(|_| tag.is("search_result")) else { return };
    let said = items(found.content).into_iter().filter_map(|raw| text(read::<Said<'_>>(Some(raw))?.text));
    // Where it is from is read by every model, but has a slot of its own in few formats.
    let said: Vec<String> = text(found.source).into_iter().chain(said).map(|text| text.text().into_owned()).collect();
    dropped.push_rest(part.at, &found.rest);
    part.kind = PartKind::Document {
        media: Media::Text(Str::from_text(&said.join("\n\n"))),
        title: text(found.title).map(Str::into_owned),
        context: None,
        citations: None,
    };
}

fn leave_out(parts: &mut Vec<Part<'_>>, dropped: &mut Dropped) {
    parts.retain(|part| {
        let keep = !is_own(part, &[]);
        if !keep {
            dropped.push(part.at);
        }
        keep
    });
}

/// Whether it is content of one of these types, or of any where there are none, in a form that its own
/// format alone knows.
fn is_own(part: &Part<'_>, types: &[&str]) -> bool {
    matches!(&part.kind, PartKind::Other { tag, .. } if types.is_empty() || types.iter().any(|kind| tag.is(kind)))
}

fn refused(at: At) -> Error {
    Error::invalid(at.to_string(), format!("{at}: this model takes no content of this type"))
}
