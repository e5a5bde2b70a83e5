use super::*;
use crate::cache::key::{Ask, key};
use crate::limit::clock::unix_ms;
use crate::wire::envelope::Envelope;

fn key_of(tenant: &str) -> Key {
    let body = Envelope::parse_str("{}").unwrap();
    key(&Ask { tenant, body: &body, ..Ask::default() })
}

fn vector(numbers: &[f32]) -> Vector {
    Vector::new(numbers.to_vec()).unwrap()
}

fn question(text: &str, answer: &str, until_ms: u64) -> Question {
    Question::new(text.into(), Some(vector(&[1.0, 0.0])), key_of(answer), until_ms)
}

fn texts(questions: &Questions, now_ms: u64) -> Vec<String> {
    questions.of(&key_of("place"), now_ms).iter().map(|it| it.text.to_string()).collect()
}

#[test]
fn vectors_are_compared_by_their_angle() {
    let it = question("a", "a", 0);
    let similarity = |numbers: &[f32]| it.similarity(&vector(numbers));
    assert_eq!(
        (similarity(&[3.0, 0.0]), similarity(&[0.0, 2.0]), similarity(&[-1.0, 0.0])),
        (Some(1.0), Some(0.0), Some(-1.0))
    );
    assert!((similarity(&[1.0, 1.0]).unwrap() - 0.5_f32.sqrt()).abs() < 1e-6);
    assert_eq!(similarity(&[1.0, 0.0, 0.0]), None, "another model's");
    assert_eq!((Vector::new(vec![0.0; 3]), Vector::new(Vec::new()), Vector::new(vec![f32::NAN])), (None, None, None));
    let long: Vec<f32> = (0..19_u8).map(f32::from).collect();
    assert!((dot(&long, &long) - long.iter().map(|n| n * n).sum::<f32>()).abs() < 1e-3);
}

#[test]
fn a_question_learns_its_vector_once() {
    let it = Question::new("a".into(), None, key_of("a"), 0);
    assert_eq!((it.has_vector(), it.similarity(&vector(&[1.0]))), (false, None));
    it.learn(vector(&[1.0, 0.0]));
    it.learn(vector(&[0.0, 1.0]));
    assert_eq!(it.similarity(&vector(&[1.0, 0.0])), Some(1.0));
}

#[test]
fn a_question_is_found_at_its_place_for_as_long_as_it_is_wanted() {
    let (questions, now) = (Questions::new(1 << 20), unix_ms());
    questions.put(&key_of("place"), question("one", "1", now + 60_000), now);
    questions.put(&key_of("place"), question("two", "2", now + 90_000), now);
    questions.put(&key_of("place"), question("one", "3", now + 60_000), now);
    assert_eq!(texts(&questions, now), ["two", "one"], "the same text is there once, the newest last");
    questions.put(&key_of("place"), question("in other words", "3", now + 60_000), now);
    assert_eq!(texts(&questions, now), ["two", "in other words"], "an answer has one question");
    assert!(questions.of(&key_of("elsewhere"), now).is_empty());
    assert_eq!(texts(&questions, now + 70_000), ["two"]);
    questions.forget(&key_of("place"), &key_of("2"));
    questions.forget(&key_of("place"), &key_of("3"));
    assert!(texts(&questions, now).is_empty());
}

#[test]
fn no_more_are_kept_than_there_is_room_for() {
    let (questions, until) = (Questions::new(1 << 30), unix_ms() + 60_000);
    (0..MOST_QUESTIONS + 3)
        .for_each(|n| questions.put(&key_of("place"), question(&n.to_string(), &n.to_string(), until), 0));
    let all = texts(&questions, 0);
    assert_eq!((all.len(), all[0].as_str()), (MOST_QUESTIONS, "3"));
    let small = Questions::new(10_000);
    (0..100).for_each(|n: u32| small.put(&key_of(&n.to_string()), question("a", "a", until), 0));
    assert!(small.bytes() <= 10_000);
}

#[test]
fn a_place_is_one_tenants_and_one_models_and_one_sort_of_questions() {
    let at = |tenant: &str, model: &str, text: &str| place(&key_of(tenant), model, text).unwrap();
    let it = at("acme", "m", "How do I pay for 2 seats?");
    assert_eq!(it, at("acme", "m", "What do I do to pay for two seats?"));
    assert_ne!(it, at("other", "m", "How do I pay for 2 seats?"));
    assert_ne!(it, at("acme", "n", "How do I pay for 2 seats?"));
    assert_ne!(it, at("acme", "m", "How do I pay for 3 seats?"));
    let none = |text: &str| place(&key_of("acme"), "m", text);
    assert_eq!((none(" "), none(&"a".repeat(MOST_TEXT_BYTES + 1)), none("как дела")), (None, None, None));
}
