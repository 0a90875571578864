//! A certificate authority that nobody else knows, made by the program `openssl`, which comes with Debian's PostgreSQL.
use std::{path::Path, process::Command};
use tempfile::TempDir;

const ELLIPTIC: [&str; 6] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"];

/// Its key stays in a folder that vanishes with it.
pub struct Authority {
    folder: TempDir,
    /// its own certificate
    pub pem: String,
}

impl Authority {
    /// Makes one, valid for a day.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let subject = format!("/CN={name}");
        let own = ["req", "-x509", "-days", "1", "-subj", &subject, "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder.path(), &[&own[..], &ELLIPTIC, &["-addext", "keyUsage=critical,keyCertSign"]].concat());
        Self { pem: read(folder.path(), "ca.pem"), folder }
    }

    /// A certificate for a server of that name alone, and its key.
    pub fn certify(&self, name: &str) -> (String, String) {
        let folder = self.folder.path();
        std::fs::write(folder.join("extensions"), format!("subjectAltName=DNS:{name}\n")).expect("a file");
        let request = ["req", "-subj", "/CN=a server", "-keyout", "server.key", "-out", "server.csr"];
        openssl(folder, &[&request[..], &ELLIPTIC].concat());
        let sign = ["x509", "-req", "-days", "1", "-in", "server.csr", "-out", "server.pem", "-extfile", "extensions"];
        openssl(folder, &[&sign[..], &["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]].concat());
        (read(folder, "server.pem"), read(folder, "server.key"))
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    let output = output.expect("the program openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).expect("openssl wrote it")
}
