use super::*;

fn parsed(text: &str) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn postgres(text: &str) -> Server {
    parsed(text).server().expect("a PostgreSQL URL").clone()
}

fn refused(text: &str) -> UrlError {
    DatabaseUrl::parse(text).expect_err(text)
}

#[test]
fn the_parts_of_a_server_url() {
    let server = postgres("postgresql://app%40team:p%3Ass%2F%23%3f@db.example:6432/clinic%20one");
    assert_eq!((server.user.as_str(), server.database.as_str()), ("app@team", "clinic one"));
    assert_eq!(server.password.as_ref().map(|p| p.as_str()), Some("p:ss/#?"));
    assert_eq!(server.address(), "db.example:6432");
}

#[test]
fn what_is_not_said_has_a_default() {
    let server = postgres("postgres://app@db.example");
    assert_eq!((server.port, server.database.as_str(), server.schema.as_deref()), (5432, "app", None));
    assert_eq!(server.password, None);
    assert_eq!(refused("postgres://db.example/clinic"), UrlError::Malformed { reason: "it names no user" });
    for text in ["postgres://app@/clinic", "postgres://app@:5433/clinic", "postgres:///clinic?user=app"] {
        assert_eq!(postgres(text).host, Host::Name("localhost".to_owned()), "{text}");
    }
    assert_eq!(postgres("postgres://app@:5433/clinic").port, 5433);
}

#[test]
fn addresses_and_sockets() {
    assert_eq!(postgres("postgres://app@[::1]:6000/clinic").address(), "[::1]:6000");
    assert_eq!(postgres("postgres://app@10.0.0.7/clinic").address(), "10.0.0.7:5432");
    for text in [
        "postgres://app@%2Fvar%2Frun%2Fpostgresql/clinic",
        "postgres://app@localhost/clinic?host=/var/run/postgresql",
        "postgres:///clinic?host=%2Fvar%2Frun%2Fpostgresql&user=app",
    ] {
        assert_eq!(postgres(text).address(), "/var/run/postgresql/.s.PGSQL.5432", "{text}");
    }
}

#[test]
fn tls_is_verified_by_default_except_on_this_machine() {
    let mode = |text: &str| postgres(text).tls(None);
    assert_eq!(mode("postgres://app@db.example/clinic"), TlsMode::VerifyFull);
    assert_eq!(mode("postgres://app@10.0.0.7/clinic"), TlsMode::VerifyFull);
    assert_eq!(mode("postgres://app@localhost.example/clinic"), TlsMode::VerifyFull);
    for local in ["localhost", "127.0.0.1", "127.3.2.1", "[::1]", "%2Ftmp"] {
        assert_eq!(mode(&format!("postgres://app@{local}/clinic")), TlsMode::Disable, "{local}");
    }
    let with = |parameter: &str| mode(&format!("postgres://app@db.example/clinic?{parameter}"));
    assert_eq!(with("sslmode=disable"), TlsMode::Disable);
    assert_eq!(with("sslmode=prefer"), TlsMode::VerifyFull);
    assert_eq!(with("sslmode=allow"), TlsMode::VerifyFull);
    assert_eq!(with("sslmode=require"), TlsMode::Require);
    assert_eq!(with("sslmode=verify-ca"), TlsMode::VerifyCa);
    assert_eq!(with("sslaccept=accept_invalid_certs"), TlsMode::Require);
    assert_eq!(with("sslmode=require&sslaccept=strict"), TlsMode::VerifyFull);
    assert_eq!(with("ssl=true"), TlsMode::VerifyFull);
    let server = postgres("postgres://app@db.example/clinic?sslmode=disable");
    assert_eq!(server.tls(Some(TlsMode::VerifyCa)), TlsMode::VerifyCa);
}

#[test]
fn certificates_as_prisma_and_as_libpq_name_them() {
    let ca = |text: &str| postgres(&format!("postgres://app@db.example/clinic?{text}")).ca;
    assert_eq!(ca("sslrootcert=/etc/ca.pem"), Some(PathBuf::from("/etc/ca.pem")));
    assert_eq!(ca("sslrootcert=system"), None);
    assert_eq!(ca("sslcert=/etc/server-ca.pem"), Some(PathBuf::from("/etc/server-ca.pem")));
    let server = postgres("postgres://app@db.example/clinic?sslcert=/c.pem&sslkey=/k.pem&sslrootcert=/ca.pem");
    assert_eq!(server.client_certificate, Some(PathBuf::from("/c.pem")));
    assert_eq!((server.client_key, server.ca), (Some(PathBuf::from("/k.pem")), Some(PathBuf::from("/ca.pem"))));
}

#[test]
fn parameters_of_prisma_libpq_and_providers_are_understood() {
    let server = postgres(
        "postgresql://app:secret@db.example/clinic?schema=phi&connection_limit=5&pool_timeout=0&pgbouncer=true\
         &connect_timeout=15&application_name=reencrypt&statement_cache_size=0&socket_timeout=10&keepalives=1\
         &target_session_attrs=read-write&channel_binding=require&supa=base-pooler.x",
    );
    assert_eq!((server.schema.as_deref(), server.connect_timeout), (Some("phi"), Some(Duration::from_secs(15))));
    assert_eq!((server.application_name.as_deref(), server.channel_binding), (Some("reencrypt"), true));
}

#[test]
fn parameters_are_refused_by_name_and_never_by_value() {
    let refused = |parameter: &str| refused(&format!("postgres://app:secret@db.example/clinic?{parameter}"));
    let unknown = refused("sslmod=verysecret");
    assert_eq!(unknown, UrlError::UnknownParameter { name: "sslmod".to_owned(), nearest: Some("sslmode") });
    assert_eq!(
        unknown.to_string(),
        "the database URL has an unknown parameter \"sslmod\"; the nearest known one is \"sslmode\""
    );
    let far = UrlError::UnknownParameter { name: "zzzzzzzzzz".to_owned(), nearest: None };
    assert_eq!(refused("zzzzzzzzzz=1"), far);
    for parameter in ["options=-c%20x%3Dsecret", "service=secret", "sslmode=secret", "port=secret", "gssencmode=secret"]
    {
        let text = refused(parameter).to_string();
        assert!(text.contains(parameter.split('=').next().unwrap()) && !text.contains("secret"), "{text}");
    }
}

#[test]
fn a_malformed_url_shows_nothing_of_itself() {
    for text in [
        "mysql://app:secret@db.example/clinic",
        "postgres:app:secret",
        "postgres://app:secret@db.example:99999/clinic",
        "postgres://app:se/secret@db.example/clinic",
        "postgres://app:secret@[::zz]/clinic",
        "postgres://app:secret@a.example:5432,b.example:5432/clinic",
        "postgres://app:secret%ff@db.example/clinic",
        "postgres://:secret@db.example/clinic",
        "secret",
        "",
    ] {
        let error = refused(text);
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn neither_debug_nor_display_shows_a_credential() {
    let url = parsed("postgres://app:secret@db.example/clinic?password=alsosecret&schema=phi");
    assert_eq!(url.to_string(), "postgres://db.example:5432/clinic");
    assert_eq!(format!("{url:?}"), "DatabaseUrl(postgres://db.example:5432/clinic)");
}

#[test]
fn files() {
    for (text, path) in [
        ("sqlite:clinic.db", "clinic.db"),
        ("sqlite://clinic.db", "clinic.db"),
        ("sqlite:///srv/clinic.db", "/srv/clinic.db"),
        ("file:./dev.db", "./dev.db"),
        ("file:dev.db?connection_limit=1", "dev.db"),
        ("sqlite:a%20b.db", "a b.db"),
    ] {
        let url = parsed(text);
        assert_eq!((url.dialect(), url.sqlite_path()), (Dialect::Sqlite, Some(Path::new(path))), "{text}");
        assert_eq!((url.schema(), url.address().as_str()), ("main", path));
    }
    assert!(matches!(refused("sqlite:"), UrlError::Malformed { .. }));
    assert!(matches!(refused("sqlite::memory:"), UrlError::Malformed { .. }));
    assert!(matches!(refused("file:x.db?conection_limit=1"), UrlError::UnknownParameter { .. }));
}
