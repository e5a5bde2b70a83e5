//! A form that is read still says the same after its model was replaced, and nothing else changed.
#![no_main]

use weir::wire::multipart::Form;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(form) = Form::parse(bytes, "XX") else { return };
    let renamed = form.with_model(bytes, "another-model");
    let Some(model) = form.model(bytes) else { return };
    let again = Form::parse(&renamed, "XX").expect("it is still a form");
    assert_eq!(again.model(&renamed), Some("another-model"));
    assert_eq!(again.stream(&renamed), form.stream(bytes));
    assert_eq!(again.with_model(&renamed, model), bytes);
});
