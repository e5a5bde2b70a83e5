use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn calculated(expression: &str) -> Result<(String, bool), String> {
    let value = parse::value(expression)?;
    let (text, is_whole) = decimal(&value.number);
    Ok((text, value.is_rounded || !is_whole))
}

#[test]
fn what_comes_out_even_is_exact() {
    for (expression, result) in [
        ("0.1+0.2", "0.3"),
        ("(0.1 + 0.2) * 3", "0.9"),
        ("2^128", "340282366920938463463374607431768211456"),
        ("2**10 - 1", "1023"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^3^2", "512"),
        ("2^-3", "0.125"),
        ("7 % 3", "1"),
        ("-7 % 3", "2"),
        ("7.5 % 2", "1.5"),
        ("1/8 + 1/8", "0.25"),
        ("1/3 + 2/3", "1"),
        ("1e3 + 1.5E-3", "1000.0015"),
        ("1_000 * 1_000", "1000000"),
        ("abs(-3) + max(1, 2, 3) - min(4, 5)", "2"),
        ("round(10 / 3, 2)", "3.33"),
        ("round(-2.5) + floor(-0.5) + ceil(0.2)", "-3"),
        ("round(1234, -2)", "1200"),
        ("sqrt(144) + sqrt(1/4)", "12.5"),
        ("--3 + +4", "7"),
        ("6 × 7 − 84 ÷ 2", "0"),
        (".5 + 1.", "1.5"),
        ("19.99 * 3 * 1.19", "71.3643"),
        ("-0.05", "-0.05"),
    ] {
        assert_eq!(calculated(expression), Ok((result.to_owned(), false)), "{expression}");
    }
}

#[test]
fn what_does_not_is_rounded_and_says_so() {
    for (expression, result) in [
        ("1/3", "0.333333333333333333333333333333"),
        ("2/3", "0.666666666666666666666666666667"),
        ("-22/7", "-3.142857142857142857142857142857"),
        ("sqrt(2)", "1.41421356237309504880168872421"),
        ("1 / 3e20", "0.000000000000000000003333333333333333333333333333"),
    ] {
        let (text, is_rounded) = calculated(expression).unwrap();
        assert!(is_rounded, "{expression}");
        assert!(text.starts_with(result.strip_suffix(char::is_numeric).unwrap()), "{expression}: {text}");
    }
    let told = call(r#"{"expression": "sqrt(2) * sqrt(2)"}"#);
    assert!(told.text.ends_with(r#","rounded":true}"#) && !told.is_error, "{told:?}");
    assert_eq!(call(r#"{"expression": "0.1+0.2"}"#).text, r#"{"result":"0.3","rounded":false}"#);
}

#[test]
fn what_is_no_expression_is_said() {
    for expression in [
        "",
        "1 +",
        "(1",
        "1)",
        "1 / 0",
        "5 % 0",
        "0^-1",
        "2^0.5",
        "sqrt(-1)",
        "pi",
        "exp(1)",
        "abs()",
        "abs(1, 2)",
        "1 2",
        "15%",
        "50% * 3",
        ".",
        "1e",
        "a",
        "$",
        "round(1, 0.5)",
        "round(1, 5000)",
        "1,2",
        "🦀",
    ] {
        assert!(calculated(expression).is_err(), "{expression}");
    }
    assert!(call("{}").is_error && call(r#"{"expression": 3}"#).is_error);
}

#[test]
fn no_expression_takes_long() {
    let began = Instant::now();
    for expression in [
        "9^9^9^9".to_owned(),
        "9^99999999".to_owned(),
        "2^8000 * 2^8000".to_owned(),
        "1e2400 * 1e2400".to_owned(),
        "1e9999999999".to_owned(),
        "(".repeat(1_000),
        "-".repeat(1_000),
        "2^".repeat(500),
        "sqrt(".repeat(200),
        format!("{}1{}", "(".repeat(70), ")".repeat(70)),
        "1".repeat(5_000),
    ] {
        assert!(calculated(&expression).is_err(), "{expression:.8}");
    }
    // The dearest that are allowed: many steps with the longest numbers.
    for expression in ["9^2500 / 7^2900", "1/3^5000", "sqrt(3^5000 + 1)", "(1/7)^500 + (1/11)^500 * 3^3000"] {
        assert!(calculated(expression).is_ok(), "{expression}");
    }
    let long = vec!["1/3^5000"; 110].join("-");
    assert!(calculated(&long).is_ok());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

proptest! {
    /// Whatever is asked, an answer comes, and what is exact reads back as the same number.
    #[test]
    fn every_expression_has_an_answer(expression in r"([0-9.e]{1,6}|[-+*/%^(),]|abs|max|round|sqrt| ){0,24}") {
        if let Ok((text, false)) = calculated(&expression) {
            let again = calculated(&text);
            prop_assert_eq!(again, Ok((text, false)), "{}", expression);
        }
    }

    #[test]
    fn whole_numbers_are_as_the_machine_has_them(a in -1_000_000_i64..1_000_000, b in 1_i64..1_000_000) {
        for (operator, expected) in [("+", a + b), ("-", a - b), ("*", a * b), ("%", a.rem_euclid(b))] {
            prop_assert_eq!(calculated(&format!("{a} {operator} {b}")), Ok((expected.to_string(), false)));
        }
        prop_assert_eq!(calculated(&format!("{a} / {b} * {b}")), Ok((a.to_string(), false)));
    }
}
