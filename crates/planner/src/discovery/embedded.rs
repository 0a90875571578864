//! Pieces of a stored text that may be ciphertext of their own: strings of a JSON document, and what crypto takes for a part.
use data_encoding::HEXLOWER_PERMISSIVE;
use reencrypt_crypto::parts;
use serde_json::Value;

/// A document above this many bytes is not taken apart.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Pieces of one value that are looked at.
const PIECES_MAX: usize = 256;

/// The pieces of `value`, bounded in number; none where it is one piece itself.
pub(super) fn pieces(value: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(value) else { return Vec::new() };
    if text.len() > DOCUMENT_BYTES_MAX {
        return Vec::new();
    }
    let mut pieces = Vec::new();
    // serde_json bounds the depth.
    let document = text.trim_start().starts_with(['{', '[', '"']).then(|| serde_json::from_str(text).ok()).flatten();
    match document {
        Some(document) => strings(&document, &mut pieces),
        None => pieces.extend(parts(value).map(<[u8]>::to_vec)),
    }
    pieces
}

/// The elements of an array as they are stored, from the JSON array that they were read as: those of bytes are written `\x00ff` in it.
pub(super) fn elements(value: &[u8]) -> Vec<Vec<u8>> {
    let bytes = |piece: &Vec<u8>| HEXLOWER_PERMISSIVE.decode(piece.strip_prefix(b"\\x")?).ok();
    pieces(value).into_iter().map(|piece| bytes(&piece).unwrap_or(piece)).collect()
}

/// Every string of a document, and its parts.
fn strings(document: &Value, pieces: &mut Vec<Vec<u8>>) {
    if pieces.len() >= PIECES_MAX {
        return;
    }
    match document {
        Value::String(text) => {
            pieces.push(text.clone().into_bytes());
            let room = PIECES_MAX.saturating_sub(pieces.len());
            pieces.extend(parts(text.as_bytes()).take(room).map(<[u8]>::to_vec));
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, pieces)),
        Value::Object(members) => members.values().for_each(|member| strings(member, pieces)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &str) -> Vec<String> {
        pieces(value.as_bytes()).into_iter().map(|piece| String::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn strings_of_documents_and_long_words_of_texts_are_pieces() {
        let long = "w".repeat(44);
        assert_eq!(texts(r#"{"a": "x", "b": [1, {"c": "y"}], "d": null}"#), ["x", "y"]);
        assert_eq!(texts(&format!("{long} as any {long}")), [long.clone(), long.clone()]);
        assert_eq!(texts(&format!(r#"{{"n": "{long} z"}}"#)), [format!("{long} z"), long.clone()]);
        assert_eq!(texts(&long), Vec::<String>::new(), "the value as a whole was looked at before");
        assert_eq!(texts("{not json}"), Vec::<String>::new());
        assert_eq!(pieces(&[0xff, 0xfe]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn elements_of_bytes_are_their_bytes() {
        assert_eq!(
            elements(br#"["a", null, ["\\x00FF", "\\xzz"]]"#),
            [b"a".to_vec(), vec![0, 0xff], b"\\xzz".to_vec()]
        );
    }

    #[test]
    fn hostile_documents_are_bounded() {
        let wide = format!("[{}\"x\"]", "\"x\",".repeat(10_000));
        assert!(pieces(wide.as_bytes()).len() <= PIECES_MAX);
        let deep = "[".repeat(100_000);
        assert_eq!(pieces(deep.as_bytes()), Vec::<Vec<u8>>::new());
        assert_eq!(pieces(&vec![b'"'; 2 << 20]), Vec::<Vec<u8>>::new());
    }
}
