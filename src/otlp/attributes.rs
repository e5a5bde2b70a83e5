//! Attributes: names with a value each. What is not known is left out.

use super::message::{AnyValue, ArrayValue, KeyValue, Value};
use crate::record::Texts;

#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, name: &str, value: Value) -> &mut Self {
        self.0.push(KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }) });
        self
    }

    pub(super) fn text<'t>(&mut self, name: &str, text: impl Into<Option<&'t str>>) -> &mut Self {
        match text.into() {
            Some(text) => self.add(name, Value::Text(text.to_owned())),
            None => self,
        }
    }

    pub(super) fn truth(&mut self, name: &str, is_so: bool) -> &mut Self {
        self.add(name, Value::Truth(is_so))
    }

    pub(super) fn count(&mut self, name: &str, count: impl Into<Option<u64>>) -> &mut Self {
        match count.into() {
            Some(count) => self.add(name, Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
            None => self,
        }
    }

    pub(super) fn number(&mut self, name: &str, number: Option<f64>) -> &mut Self {
        match number {
            Some(number) => self.add(name, Value::Double(number)),
            None => self,
        }
    }

    /// Nothing where there are none.
    pub(super) fn texts(&mut self, name: &str, texts: Texts<'_>) -> &mut Self {
        let values: Vec<AnyValue> =
            texts.iter().map(|text| AnyValue { value: Some(Value::Text(text.to_owned())) }).collect();
        if values.is_empty() { self } else { self.add(name, Value::List(ArrayValue { values })) }
    }

    pub(super) fn into_list(self) -> Vec<KeyValue> {
        self.0
    }
}
