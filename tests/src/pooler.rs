//! PgBouncer between the tool and the cluster.
use crate::{Postgres, Role};
use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
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
        // Somebody may take a free port before PgBouncer does.
        let started = (0..5).find_map(|_| Self::try_start(db, pooling, connections));
        started.expect("PgBouncer listens on one of five ports")
    }

    fn try_start(db: &Postgres, pooling: Pooling, connections: usize) -> Option<Self> {
        let command =
            std::env::var(COMMAND).unwrap_or_else(|_| panic!("{COMMAND} is not set: run the tests by scripts/test.sh"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let file = |name: &str| folder.path().join(name);
        let roles = [Role::Read, Role::Run, Role::Application].map(|role| db.role(role));
        let users = roles.map(|role| format!("\"{role}\" \"{}\"\n", db.password())).concat();
        std::fs::write(file("users"), users).expect("the folder can be written to");
        let mode = match pooling {
            Pooling::Session => "session",
            Pooling::Transaction => "transaction\nserver_round_robin = 1",
        };
        let (host, server_port) = db.address();
        let settings = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {connections}\n",
            file("users").display()
        );
        std::fs::write(file("pgbouncer.ini"), settings).expect("the folder can be written to");
        // Started by root it works as somebody else, who has to read them.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let mut words = command.split(' ');
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .arg(file("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(File::create(file("log")).expect("a log"))
            .spawn();
        let mut pooler = Self { child: child.expect("PgBouncer can be started"), port, folder };
        for _ in 0..400 {
            std::thread::sleep(Duration::from_millis(25));
            if pooler.child.try_wait().expect("a child can be asked").is_some() {
                break;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
        }
        println!("{}", std::fs::read_to_string(pooler.folder.path().join("log")).unwrap_or_default());
        None
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
