//! The two-key readers of `docs/readers`, each in its own language, against values of both keys that another implementation made.
use reencrypt_tests::{Cipher, KEYS, Random, email_hash, plaintext};
use serde_json::{Value, json};
use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The Python that has the package `cryptography`.
const PYTHON: &str = "REENCRYPT_TEST_PYTHON";

fn interpreter(name: &str) -> PathBuf {
    if name == "python3" {
        return env::var_os(PYTHON)
            .unwrap_or_else(|| panic!("{PYTHON} is not set: run the tests by scripts/test.sh"))
            .into();
    }
    name.into()
}

/// What the reader of a language says of `asked`.
fn ask(interpreter_name: &str, extension: &str, asked: &Value) -> Value {
    let reader = Path::new(FOLDER).join(format!("../docs/readers/phi_reader.{extension}"));
    let reader = reader.canonicalize().expect("the reader is there");
    let question = Path::new(FOLDER).join(format!("tests/suite/readers/ask.{extension}"));
    let mut command = Command::new(interpreter(interpreter_name));
    command.arg(question).arg(reader).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{interpreter_name} cannot be started ({e}): scripts/test.sh installs it"));
    child.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("it reads");
    let told = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success(), "{interpreter_name}: {stderr}");
    assert_eq!(stderr, "", "{interpreter_name} complains");
    serde_json::from_slice(&told.stdout).unwrap_or_else(|e| panic!("{interpreter_name}: {e}"))
}

/// Every value that a rotation can bring before a reader, and a good many that nobody may take for one.
fn the_reader_opens_both_keys_and_nothing_else(interpreter_name: &str, extension: &str) {
    let mut random = Random::of_test(&format!("reader in {interpreter_name}"));
    let [new, old, lost] = [KEYS.new, KEYS.old, KEYS.lost].map(|key| Cipher::new(&key));
    let mut values = vec![Value::Null];
    let mut expected = vec![Some(Value::Null)];
    for number in 1..40 {
        let texts = (0..10).filter_map(|column| plaintext(number, column)).chain([
            String::new(),
            "x".repeat(70_000),
            "\u{feff}\0:".into(),
        ]);
        for (nth, text) in texts.enumerate().filter(|(nth, _)| *nth < 10 || number == 1) {
            let cipher = if (number + nth as i64) % 2 == 0 { &new } else { &old };
            values.push(cipher.seal(&text, &mut random).into());
            expected.push(Some(text.into()));
        }
    }
    let sealed = old.seal("Zoë 7", &mut random);
    let parts: Vec<&str> = sealed.split(':').collect();
    let mut damaged = sealed.clone().into_bytes();
    damaged[2] = if damaged[2] == b'A' { b'B' } else { b'A' };
    for unreadable in [
        lost.seal("Zoë 7", &mut random),
        String::from_utf8(damaged).expect("ASCII"),
        // A shorter tag authenticates less.
        format!(
            "{}:{}:{}",
            parts[0],
            &data_encoding::BASE64.encode(&data_encoding::BASE64.decode(parts[1].as_bytes()).expect("base64")[..4]),
            parts[2]
        ),
        format!("{}:{}:", parts[0], parts[1]),
        format!("{}::{}", parts[0], parts[2]),
        format!("{}:{}", parts[0], parts[1]),
        format!("{sealed}:"),
        format!("{sealed}\n"),
        format!(" {sealed}"),
        sealed.replace('=', ""),
        sealed.replacen(':', "!:", 1),
        "[Encrypted]".to_owned(),
        "Boise".to_owned(),
        "12:30:45".to_owned(),
        String::new(),
    ] {
        values.push(unreadable.into());
        expected.push(None);
    }
    let keys = json!([KEYS.new_hex(), KEYS.old_hex()]);
    let asked = json!({ "keys": keys, "values": values, "normalized": "patient.7@example.com" });
    let told = ask(interpreter_name, extension, &asked);
    let answers = told["values"].as_array().expect("answers");
    assert_eq!(answers.len(), expected.len());
    for ((value, answer), expected) in values.iter().zip(answers).zip(&expected) {
        match expected {
            Some(text) => assert_eq!(answer.get("opened"), Some(text), "{interpreter_name}: {value}: {answer}"),
            None => {
                let raised = answer["raised"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{interpreter_name} takes {value} for {answer}"));
                assert!(!raised.contains("Zoë") && !raised.contains(parts[2]), "{interpreter_name}: {raised}");
            }
        }
    }
    let hashes = [KEYS.new, KEYS.old].map(|key| email_hash(&key, "patient.7@example.com").expect("a hash"));
    assert_eq!(told["hashes"], json!(hashes), "{interpreter_name}");
    // Once the old key is taken away, its values raise: nobody gets an empty field instead.
    let asked = json!({ "keys": [KEYS.new_hex()], "values": [sealed], "normalized": "" });
    let told = ask(interpreter_name, extension, &asked);
    assert!(told["values"][0]["raised"].is_string(), "{interpreter_name}: {told}");
}

#[test]
fn node() {
    the_reader_opens_both_keys_and_nothing_else("node", "mjs");
}

#[test]
fn python() {
    the_reader_opens_both_keys_and_nothing_else("python3", "py");
}

#[test]
fn ruby() {
    the_reader_opens_both_keys_and_nothing_else("ruby", "rb");
}

#[test]
fn php() {
    the_reader_opens_both_keys_and_nothing_else("php", "php");
}
