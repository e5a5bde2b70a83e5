//! The JSON Schema of the configuration file, for editors: from the declarations in [`super::raw`].

use schemars::generate::SchemaSettings;

use super::raw::Config;

/// The schema, as `conf/schema.json` holds it.
pub fn text() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
