//! A standby of the throw-away cluster.
use crate::{Postgres, Role};

/// A server that replays what the cluster writes and takes no writes itself. It ends when it is dropped; its folder is in the cluster's, so that
/// it ends with that too.
pub struct Standby<'c> {
    cluster: &'c Postgres,
    port: u16,
}

impl<'c> Standby<'c> {
    /// Copies the cluster and starts the copy, by the cluster's own user and programs.
    pub async fn of(cluster: &'c Postgres) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let standby = Self { cluster, port };
        let (host, primary) = cluster.address();
        let source = format!("-h {host} -p {primary} -U {}", cluster.role(Role::Owner));
        let password = cluster.owner_password();
        standby
            .shell(&format!(
                "PGPASSWORD={password} \"$bin\"/pg_basebackup {source} -D \"$folder\" -R --checkpoint=fast --no-sync && \
                 \"$bin\"/pg_ctl start -D \"$folder\" -o \"-p {port}\" -w -l \"$folder\"/log >/dev/null 2>&1"
            ))
            .await;
        standby
    }

    /// Makes it a server of its own, to which nobody else writes.
    pub async fn promote(&self) {
        self.shell("\"$bin\"/pg_ctl promote -D \"$folder\" -w >/dev/null 2>&1").await;
    }

    /// The number that a query gives there.
    pub async fn number(&self, role: Role, sql: &str) -> i64 {
        let mut connection = self.cluster.connect_at(role, self.port).await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("a number")
    }

    /// As `DATABASE_URL` holds it for a role.
    pub fn url(&self, role: Role) -> String {
        self.cluster.url_at(role, self.port)
    }

    /// Stops it, and waits until the cluster has noticed.
    pub async fn end(self) {
        self.shell("\"$bin\"/pg_ctl stop -D \"$folder\" -m immediate >/dev/null 2>&1; rm -rf \"$folder\"").await;
    }

    /// Runs a command as the user of the cluster, beside its data.
    async fn shell(&self, command: &str) {
        let bin = self.cluster.texts("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
        let bin = bin.into_iter().flatten().next().expect("the cluster has programs");
        let script = format!("bin={bin}; folder=$(cd ..; pwd)/standby-{}; {command}", self.port);
        self.cluster.execute(&format!("COPY (SELECT) TO PROGRAM '{}'", script.replace('\'', "''"))).await;
    }
}
