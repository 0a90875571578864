//! PgBouncer between the tool and the cluster.
use crate::{Postgres, Role};
use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The command that starts it.
const COMMAND: &str = "REENCRYPT_TEST_PGBOUNCER";

/// When it takes a server connection back from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// when the client leaves
    Session,
    /// at the end of each transaction; each then gets the connection that was idle for longest
    Transaction,
}

/// On a port of its own, before one database. It ends when it is dropped.
pub struct Pooler {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Pooler {
    /// With so many connections to the server for each role.
    pub fn start(db: &Postgres, pooling: Pooling, connections: usize) -> Self {
        let command =
            std::env::var(COMMAND).unwrap_or_else(|_| panic!("{COMMAND} is not set: run the tests by scripts/test.sh"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let (host, server_port) = db.address();
        let mode = match pooling {
            Pooling::Session => "session",
            Pooling::Transaction => "transaction\nserver_round_robin = 1",
        };
        let file = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("the folder can be written to");
        let roles = [Role::Read, Role::Run, Role::Application].map(|role| db.role(role));
        write("users", &roles.map(|role| format!("\"{role}\" \"{}\"\n", db.password())).concat());
        let settings = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {connections}\n",
            file("users").display()
        );
        write("pgbouncer.ini", &settings);
        // Started by root it works as somebody else, who has to read them.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("permissions");
        let mut words = command.split(' ');
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .arg(file("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(File::create(file("log")).expect("a log"))
            .spawn();
        let pooler = Self { child: child.expect("PgBouncer can be started"), port, folder: folder };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return pooler;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!(
            "PgBouncer does not listen: {}",
            std::fs::read_to_string(pooler.folder.path().join("log")).unwrap_or_default()
        );
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
