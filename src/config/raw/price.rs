//! `providers.*.models.*.price`: declared with serde by [`crate::usage::price::raw`], which also
//! reads `prices.file`.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::config::read::{Context, Read};
use crate::config::yaml::{Kind, Node};
use crate::usage::price::Price;
use crate::usage::price::raw::{RawPrice, resolve_prices};

/// The prices of one model, newest first.
#[derive(Debug, Clone)]
pub struct PriceList(pub Vec<Price>);

impl Read for PriceList {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut text = String::new();
        render(node, cx, &mut text)?;
        let text = if matches!(node.kind, Kind::Map(_)) { format!("[{text}]") } else { text };
        let raw: Result<Vec<RawPrice>, _> = serde_saphyr::from_str(&text);
        let prices = match raw {
            Ok(raw) => resolve_prices(&raw).map_err(|e| e.to_string()),
            // The place is one of the text rendered here: nobody knows it.
            Err(error) => Err(error.without_snippet().to_string().split(" at line ").next().unwrap_or_default().into()),
        };
        match prices {
            // It would take the built-in price away, and leave none.
            Ok(prices) if prices.is_empty() => {
                cx.say(node.place, "no price").label("expected at least one; leave it out for the built-in price");
                None
            }
            Ok(prices) => Some(Self(prices)),
            Err(message) => {
                cx.say(node.place, "invalid price").label(message);
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<RawPrice>();
        json_schema!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
    }
}

/// The node as YAML again, with variables put in.
fn render(node: &Node, cx: &mut Context<'_>, out: &mut String) -> Option<()> {
    match &node.kind {
        Kind::Null => out.push('~'),
        Kind::Scalar(_) => {
            let text = cx.text(node)?;
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            out.push_str(&if plain { text } else { serde_json::to_string(&text).ok()? });
        }
        Kind::List(items) => {
            out.push('[');
            for item in items {
                render(item, cx, out)?;
                out.push(',');
            }
            out.push(']');
        }
        Kind::Map(entries) => {
            out.push('{');
            for entry in entries {
                out.push_str(&serde_json::to_string(&entry.name).ok()?);
                out.push_str(": ");
                render(&entry.value, cx, out)?;
                out.push(',');
            }
            out.push('}');
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::config::env::Table;
    use crate::config::load::from_text;

    #[test]
    fn a_list_of_no_prices_is_an_error() {
        let load = |price: &str| {
            let text = format!(
                "providers: {{openai: {{api_key: k, models: {{gpt-5-mini: {{price: {price}}}}}}}}}\ntenants: {{t: {{keys: [{{id: k, secret: kkkk}}]}}}}\n"
            );
            from_text(&text, "x", &Table::default()).map(drop).map_err(|report| report.to_string())
        };
        assert!(load("[]").unwrap_err().contains("leave it out for the built-in price"));
        assert_eq!((load("{input: 1, output: 2}"), load("~")), (Ok(()), Ok(())));
    }
}
