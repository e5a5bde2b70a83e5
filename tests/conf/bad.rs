//! Every file in `bad/` fails, with exactly the report at its end, and shows no secret.

use crate::world::{bless, load, root, yaml_files};

const MARK: &str = "# expected:\n";

#[test]
fn every_bad_file_fails_with_the_report_at_its_end() {
    let mut wrong = Vec::new();
    let files = yaml_files(&root().join("tests/conf/bad"));
    assert!(files.len() >= 20, "the fixtures are missing");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (input, expected) = text.split_once(MARK).unwrap_or((&text, ""));
        let Err(report) = load(input) else { panic!("{} loads", path.display()) };
        let shown: String =
            report.to_string().trim_end().lines().map(|l| format!("# {l}").trim_end().to_owned() + "\n").collect();
        if shown != expected && bless() {
            std::fs::write(&path, format!("{input}{MARK}{shown}")).unwrap();
        } else if shown != expected {
            wrong.push(format!("{}:\n{report}", path.display()));
        }
        for secret in
            ["sk-very-secret", "hunter22", "hunt3r", "abcdefgh-", "ijklmnop-", "password", "not a url", "one\ntwo"]
        {
            assert!(!report.to_string().contains(secret), "{} shows a secret:\n{report}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_report_is_also_data() {
    let report = load("server: {max_bdy: 1}\n").unwrap_err();
    let problem = report.problems.iter().find(|p| p.message.contains("max_bdy")).unwrap();
    assert_eq!((problem.line, problem.column, problem.help.as_deref()), (1, 10, Some("did you mean `max_body`?")));
}
