//! HTML as text: what stands between the tags, without scripts and styles, in lines.

/// Whether a model can read such a body.
pub(super) fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || ["application/json", "application/xml", "application/javascript", "application/x-ndjson", "application/yaml"]
            .contains(&kind)
}

/// What is in these is not for reading.
const UNREAD: [&str; 6] = ["script", "style", "noscript", "template", "svg", "head"];
/// These do not end a line.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "small", "span", "strong",
    "sub", "sup", "u", "var",
];

/// The text of a page. Linear in its length, whatever it is.
pub(super) fn text(html: &str) -> String {
    let mut out = Text::default();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        out.add(before);
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some((inside, after)) = tag.split_once('>') else {
            rest = "";
            break;
        };
        rest = after;
        let name =
            inside.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        if !INLINE.contains(&name.as_str()) {
            out.end_line();
        }
        if UNREAD.contains(&name.as_str()) && !inside.starts_with('/') && !inside.ends_with('/') {
            rest = behind(rest, &name);
        }
    }
    out.add(rest);
    out.end_line();
    out.done
}

/// What follows the end of an element; nothing where it has none.
fn behind<'h>(html: &'h str, name: &str) -> &'h str {
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once("</") {
        let is_it = tag.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        if is_it {
            return tag.split_once('>').map_or("", |(_, after)| after);
        }
        rest = tag;
    }
    ""
}

#[derive(Default)]
struct Text {
    done: String,
    line: String,
}

impl Text {
    /// Blanks of any kind and number are one.
    fn add(&mut self, raw: &str) {
        let decoded = if raw.contains('&') { decode(raw) } else { raw.to_owned() };
        for (at, word) in decoded.split(char::is_whitespace).enumerate() {
            if at > 0 && !self.line.is_empty() && !self.line.ends_with(' ') {
                self.line.push(' ');
            }
            self.line.push_str(word);
        }
    }

    fn end_line(&mut self) {
        let line = self.line.trim();
        if !line.is_empty() {
            if !self.done.is_empty() {
                self.done.push('\n');
            }
            self.done.push_str(line);
        }
        self.line.clear();
    }
}

fn decode(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // The longest name that is known here has six letters.
        let end = after.bytes().take(9).position(|b| b == b';');
        match end.and_then(|end| after.split_at_checked(end)) {
            Some((name, behind)) if character(name).is_some() => {
                out.extend(character(name));
                rest = behind.strip_prefix(';').unwrap_or_default();
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace());
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "copy" => '©',
        "euro" => '€',
        "hellip" => '…',
        "mdash" => '—',
        "ndash" => '–',
        "laquo" => '«',
        "raquo" => '»',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_page_has_a_text(page in r"(</?(p|b|script|head)>?|<!--|-->|&(amp|#x?[0-9a-f]{0,7}|lt);?|[a-zé🦀<>&; \n]){0,40}") {
            let text = text(&page);
            prop_assert!(text.len() <= page.len() && !text.starts_with(char::is_whitespace), "{:?}", text);
        }
    }

    #[test]
    fn a_page_is_its_text() {
        let page = "<!doctype html><html><head><title>no</title><style>p{}</style></head><body>\n\
            <h1>Prices &amp; more</h1><script>if (a < b) { '</p>' }</script><!-- <p>hidden</p> -->\
            <p>It is <b>5&nbsp;&euro;</b>,\n  <a href='/x'>see</a>&#33;</p><br/><ul><li>one<li>two</ul>&unknown; &#x1F980;</body>";
        assert_eq!(text(page), "Prices & more\nIt is 5 €, see!\none\ntwo\n&unknown; 🦀");
    }

    #[test]
    fn no_page_is_too_odd() {
        assert_eq!(text("plain < text"), "plain");
        assert_eq!(text("<script>never ends"), "");
        assert_eq!(text("a<!-- never ends"), "a");
        assert_eq!(text("&#0;&#xD800;&amp"), "&#0;&#xD800;&amp");
        assert_eq!(text("<SCRIPT>x</ScRiPt>y"), "y");
        assert_eq!(text(""), "");
        let odd = "<".repeat(200_000) + &"&".repeat(200_000) + &"</s<scripté>".repeat(20_000);
        assert!(text(&odd).len() <= odd.len());
    }

    #[test]
    fn what_can_be_read_is_text() {
        for kind in ["text/html; charset=utf-8", "application/json", "application/ld+json", "image/svg+xml"] {
            assert!(is_text(kind), "{kind}");
        }
        for kind in ["image/png", "application/pdf", "application/octet-stream", ""] {
            assert!(!is_text(kind), "{kind}");
        }
    }
}
