//! stub
#[derive(Debug, Default)]
pub struct Telemetry;
impl Telemetry {
    pub fn throttled(&self, _t: &str, _l: &str) {}
    pub fn attempt(&self, _p: &str, _c: &str) {}
}
