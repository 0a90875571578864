//! One secret, one purpose.
use super::{Check, secrets::Held};

/// That no secret stands in two places, and that the application's field key is one of the configured pairs.
pub(super) fn examine(held: &[Held]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (at, one) in held.iter().enumerate() {
        // Pairs among themselves are looked at where pairs are.
        for other in held[..at].iter().filter(|other| other.print == one.print && !(other.field_key && one.field_key)) {
            checks.push(Check::fail(
                "secret.reuse",
                format!("{} and {} hold the same secret: whoever learns one has the other", other.name, one.name),
                "give each purpose a random secret of its own, for example with `openssl rand -hex 32`",
            ));
        }
    }
    if checks.is_empty() && held.len() > 1 {
        checks.push(Check::pass("secret.reuse", format!("{} secrets, and none serves two purposes", held.len())));
    }
    let in_pair = |held: &&Held| held.name.starts_with("key.");
    let pairs: Vec<&Held> = held.iter().filter(in_pair).collect();
    for alias in held.iter().filter(|held| held.field_key && !held.name.starts_with("key.")) {
        if !pairs.is_empty() && !pairs.iter().any(|key| key.print == alias.print) {
            checks.push(Check::warn(
                "secret.field_key",
                format!("{} is neither the old nor the new key of any pair", alias.name),
                "see which key the application encrypts with: a run rotates from the old key of a pair to its new one",
            ));
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use reencrypt_crypto::SecretKey;

    fn held(name: &str, byte: u8, field_key: bool) -> Held {
        Held { name: name.to_owned(), print: SecretKey::new(vec![byte; 32]).fingerprint(), field_key }
    }

    fn told(held: &[Held]) -> Vec<(Status, String)> {
        examine(held).into_iter().map(|check| (check.status, check.name)).collect()
    }

    #[test]
    fn a_secret_with_two_purposes_fails_and_the_field_key_has_two_names() {
        let reuse = |status| (status, "secret.reuse".to_owned());
        let old = || held("key.default.old", 1, true);
        let new = || held("key.default.new", 2, true);
        let application = |byte| held("ENCRYPTION_KEY", byte, true);
        assert_eq!(told(&[old(), new(), application(1), held("JWT_SECRET", 3, false)]), [reuse(Status::Pass)]);
        assert_eq!(told(&[old(), new(), application(1), held("JWT_SECRET", 2, false)]), [reuse(Status::Fail)]);
        assert_eq!(told(&[held("JWT_SECRET", 3, false), held("SESSION", 3, false)]), [reuse(Status::Fail)]);
        let stranger = (Status::Warn, "secret.field_key".to_owned());
        assert_eq!(told(&[old(), new(), application(9)]), [reuse(Status::Pass), stranger]);
        assert_eq!(told(&[application(9)]), []);
    }
}
