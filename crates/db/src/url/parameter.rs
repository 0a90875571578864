//! The parameters of a URL: what Prisma, libpq and hosting providers write there.
use super::{Host, Server, UrlError};
use crate::TlsMode;
use std::{path::PathBuf, time::Duration};
use zeroize::Zeroizing;

/// Those that change where or how to connect.
const HONOURED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "password",
    "port",
    "schema",
    "ssl",
    "sslaccept",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Those that are about pools, caches, and other clients' habits, and mean nothing to a connection of this tool.
const WITHOUT_EFFECT: &[&str] = &[
    "client_encoding",
    "connection_limit",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "pgbouncer",
    "pool_timeout",
    "single_use_connections",
    "socket_timeout",
    "sslcompression",
    "sslsni",
    "statement_cache_size",
    "supa",
    "tcp_user_timeout",
    "uselibpqcompat",
    "workaround",
];

/// Those that ask for something that is not done here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("options", "settings of a session do not survive a pooler; set them on the role"),
    ("passfile", "password files are not read; put the whole URL into a secret"),
    ("service", "service files are not read; write the parameters out"),
    ("sslidentity", "PKCS#12 files are not read; give sslcert and sslkey as PEM files"),
    ("sslpassword", "encrypted key files are not read"),
    ("sslcrl", "revocation lists are not read"),
    ("sslcrldir", "revocation lists are not read"),
    ("replication", "a replication connection takes no statements"),
    ("requirepeer", "the owner of a socket is not checked"),
    ("require_auth", "the method is the server's choice"),
];

/// Parameters of an SQLite URL, all Prisma's and all without effect.
pub(super) fn of_a_file(name: &str) -> Result<(), UrlError> {
    let known = ["connection_limit", "socket_timeout", "pool_timeout", "mode", "cache"];
    if known.contains(&name) { Ok(()) } else { Err(unknown(name, known.iter().copied())) }
}

/// Puts one parameter of a PostgreSQL URL where it belongs.
pub(super) fn apply(server: &mut Server, name: &str, value: &str) -> Result<(), UrlError> {
    match name {
        "host" | "hostaddr" => server.host = Host::of(value),
        "port" => server.port = value.parse().map_err(|_| invalid("port", "a port number"))?,
        "user" => server.user = value.to_owned(),
        "password" => server.password = Some(Zeroizing::new(value.to_owned())),
        "dbname" => server.database = value.to_owned(),
        "schema" => server.schema = Some(value.to_owned()).filter(|schema| !schema.is_empty()),
        "application_name" => server.application_name = Some(value.to_owned()),
        "connect_timeout" => {
            let seconds: u64 = value.parse().map_err(|_| invalid("connect_timeout", "a number of seconds"))?;
            // Zero means no limit to libpq and Prisma; here it leaves the tool's own.
            server.connect_timeout = (seconds > 0).then_some(Duration::from_secs(seconds));
        }
        "sslmode" => server.tls = sslmode(value)?,
        "ssl" => server.tls = Some(ssl(value)?),
        "sslaccept" => sslaccept(server, value)?,
        // `system` is libpq's word for the public authorities, which are the default here.
        "sslrootcert" => server.ca = (value != "system").then(|| PathBuf::from(value)),
        "sslcert" => server.client_certificate = Some(PathBuf::from(value)),
        "sslkey" => server.client_key = Some(PathBuf::from(value)),
        "channel_binding" => {
            server.channel_binding = one_of("channel_binding", value, &["disable", "prefer", "require"])? == "require";
        }
        "gssencmode" => one_of("gssencmode", value, &["disable", "prefer"]).map(|_| ())?,
        "sslnegotiation" => one_of("sslnegotiation", value, &["postgres"]).map(|_| ())?,
        "target_session_attrs" => {
            one_of("target_session_attrs", value, &["any", "read-write", "primary"])?;
        }
        _ if WITHOUT_EFFECT.contains(&name) => {}
        _ => return Err(refused(name)),
    }
    Ok(())
}

fn sslmode(value: &str) -> Result<Option<TlsMode>, UrlError> {
    Ok(match value {
        "disable" => Some(TlsMode::Disable),
        "allow" | "prefer" => None,
        "require" | "no-verify" => Some(TlsMode::Require),
        "verify-ca" => Some(TlsMode::VerifyCa),
        "verify-full" => Some(TlsMode::VerifyFull),
        _ => return Err(invalid("sslmode", "disable, prefer, require, verify-ca or verify-full")),
    })
}

fn ssl(value: &str) -> Result<TlsMode, UrlError> {
    Ok(match value {
        "true" | "1" => TlsMode::VerifyFull,
        "false" | "0" => TlsMode::Disable,
        _ => return Err(invalid("ssl", "true or false")),
    })
}

/// Prisma's word for whether the certificate is checked.
fn sslaccept(server: &mut Server, value: &str) -> Result<(), UrlError> {
    match one_of("sslaccept", value, &["strict", "accept_invalid_certs"])? {
        "strict" => server.tls = Some(TlsMode::VerifyFull),
        _ => server.tls = server.tls.or(Some(TlsMode::Require)),
    }
    Ok(())
}

fn one_of(name: &'static str, value: &str, taken: &[&'static str]) -> Result<&'static str, UrlError> {
    let expected = match name {
        "channel_binding" => "disable, prefer or require",
        "gssencmode" => "disable or prefer (GSSAPI encryption is not spoken)",
        "sslnegotiation" => "postgres",
        "sslaccept" => "strict or accept_invalid_certs",
        _ => "any, read-write or primary",
    };
    taken.iter().find(|known| **known == value).copied().ok_or(invalid(name, expected))
}

fn invalid(name: &'static str, expected: &'static str) -> UrlError {
    UrlError::Value { name, expected }
}

fn refused(name: &str) -> UrlError {
    match REFUSED.iter().find(|(known, _)| *known == name) {
        Some((name, reason)) => UrlError::Unsupported { name, reason },
        None => unknown(name, HONOURED.iter().chain(WITHOUT_EFFECT).copied()),
    }
}

/// The known name most like it, if any is like it at all.
fn unknown(name: &str, known: impl Iterator<Item = &'static str>) -> UrlError {
    let like = |known: &'static str| (strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known), known);
    let nearest = known.map(like).min().filter(|(distance, known)| *distance <= known.len().div_ceil(3));
    UrlError::UnknownParameter { name: crate::identifier::shown(name), nearest: nearest.map(|(_, known)| known) }
}
