use super::*;

/// Pairs that may be compared: the rest is the vectors' affair.
#[test]
fn paraphrases_agree() {
    for (one, other) in [
        ("How do I reset my password?", "What do I have to do to reset my password?"),
        ("What is the capital of France?", "Tell me the capital of France."),
        ("Can I use it without an account?", "Is it possible for me to use this without an account"),
        ("How do I pay for 2 seats?", "what must I do to pay for two seats"),
        ("Why can't I log in?", "Why am I not able to log in?"),
        ("It costs 5kg", "it costs 5 kg"),
        ("Is 20% enough?", "would 20 percent be enough?"),
        ("What does “foo” mean?", "Explain what “foo” means, please"),
        ("What's NASA's budget?", "what is the budget of NASA"),
        ("How do I turn on dark mode?", "How can I enable dark mode?"),
        ("Wie kann ich das Passwort ändern?", "Wie ändere ich das Passwort?"),
        ("Wie kündige ich das Abo?", "Wie kann ich das Abo kündigen?"),
        ("Kann ich ohne Konto bestellen?", "ist es möglich, ohne Konto zu bestellen?"),
        ("Comment changer mon mot de passe ?", "comment est-ce que je change mon mot de passe"),
        ("Why can't I pay by card?", "Why am I not able to pay by card?"),
        ("How do I pay later without a card?", "Without a card, how do I pay later?"),
        ("¿Cómo cambio mi contraseña?", "¿qué tengo que hacer para cambiar mi contraseña?"),
    ] {
        assert_eq!(facts(one), facts(other), "{one} | {other}");
    }
}

#[test]
fn near_misses_do_not() {
    for (one, other) in [
        ("How do I reset my password?", "How do I not reset my password?"),
        ("Can I pay later?", "Can't I pay later?"),
        ("Which are vegan?", "Which are non-vegan?"),
        ("What does it do with cookies?", "What does it do without cookies?"),
        ("Convert 5 km to miles", "Convert 6 km to miles"),
        ("Convert 5 km to miles", "Convert 5 m to miles"),
        ("Convert 5 m to miles", "Convert 5 g to miles"),
        ("How far is 10 km?", "How far is 10 miles?"),
        ("Is -5 even?", "Is 5 even?"),
        ("It costs $5", "It costs €5"),
        ("The deadline is 3 May", "The deadline is 3 June"),
        ("What happened in 1989?", "What happened in 1998?"),
        ("What is the capital of France?", "What is the capital of Spain?"),
        ("what is the capital of france?", "what is the capital of spain?"),
        ("Paris is how big?", "London is how big?"),
        ("How do I enable it?", "How do I disable it?"),
        ("Do I open it before lunch?", "Do I open it after lunch?"),
        ("Which is the cheapest plan?", "Which is the most expensive plan?"),
        ("How do I buy shares?", "How do I sell shares?"),
        ("Who founded it?", "When was it founded?"),
        ("Where is it made?", "Why is it made?"),
        ("What is \"cat\" in French?", "What is \"dog\" in French?"),
        ("Explain `a.push(b)`", "Explain `a.pop()`"),
        ("Explain ```\nx = 1\n``` please", "Explain ```\nx = 2\n``` please"),
        ("What is at https://a.example/x ?", "What is at https://a.example/y ?"),
        ("What does max_tokens do?", "What does top_p do?"),
        ("How do I use useState?", "How do I use useEffect?"),
        ("Is gpt-4o faster?", "Is gpt-5 faster?"),
        ("Kann ich mit Konto bestellen?", "Kann ich ohne Konto bestellen?"),
        ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
        ("Wie viele Tage dauert das?", "Wie viele Stunden dauert das?"),
        ("Wie kaufe ich Aktien?", "Wie verkaufe ich Aktien?"),
        ("Puis-je payer plus tard ?", "Je ne peux pas payer plus tard ?"),
        ("C'est possible avec un compte ?", "C'est possible sans un compte ?"),
        ("Fly from Paris to Rome", "Fly from Rome to Paris"),
        ("Alice paid Mark", "Mark paid Alice"),
        ("Is 10 > 9", "Is 9 > 10"),
        ("Is 10 > 9", "Is 10 < 9"),
        ("Is 10 more than two", "Is two more than 10"),
        ("Convert 7 km to miles", "Convert 7 miles to km"),
        ("Import it, then export it", "Export it, then import it"),
        ("Can I work without a licence?", "Can't I work with a licence?"),
        ("May cats not eat it, but dogs?", "May cats eat it, but not dogs?"),
        ("¿Puedo pagar con tarjeta?", "¿Puedo pagar sin tarjeta?"),
        ("¿Está abierto hoy?", "¿Está abierto mañana?"),
    ] {
        assert_ne!(facts(one), facts(other), "{one} | {other}");
    }
}

#[test]
fn scripts_whose_words_are_not_known_have_no_facts() {
    for text in ["Как дела?", "你好", "สวัสดี", "what is 猫", "Τι κάνεις;", "مرحبا"]
    {
        assert_eq!(facts(text), None, "{text}");
    }
    assert!(facts("Où est l'Île ? Größe, ¿señor? 5 €").is_some());
}

#[test]
fn any_text_is_looked_at_without_harm() {
    for text in [
        "", " ", "'", "'''", "\"", "```", "`", "„", "5", "5 5", "-", "$", "%5", "5%%", "a'", "'a", "''", "é'é", "€5€",
        "ß9ß",
    ] {
        assert!(facts(text).is_some(), "{text}");
    }
    assert_eq!(facts("don't and can't"), Some(vec!["!".to_owned(), "!".to_owned()]), "no quote begins in a word");
}
