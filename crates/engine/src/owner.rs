//! Which process this is, and whether another one on this machine is dead.
//!
//! An owner names a host, its boot, its namespace of process ids, a process id and that process's start. Where all but the
//! last two are this machine's own, it can be seen at once that a killed process will not come back; a lease of any other owner runs out
//! by itself. A wrong guess costs time, never data: the fence makes a late owner's writes fail.
use std::fs;

/// A process as a lease names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    machine: String,
    pid: u32,
    started: String,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id();
        Self { machine: machine(), pid, started: started(pid).unwrap_or_else(|| "0".to_owned()) }
    }

    /// The name in leases; workers of one process share it but for their number.
    pub(crate) fn name(&self, worker: usize) -> String {
        format!("{}/{}/{}/{worker}", self.machine, self.pid, self.started)
    }

    /// The host's name, for a person.
    pub(crate) fn host(&self) -> &str {
        self.machine.split('/').next().unwrap_or_default()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i64 {
        i64::from(self.pid)
    }

    /// Whether `name` is a process of this machine that is no more.
    pub(crate) fn is_dead(&self, name: &str) -> bool {
        let Some((rest, _worker)) = name.rsplit_once('/') else { return false };
        let Some((rest, started_then)) = rest.rsplit_once('/') else { return false };
        let Some((machine, pid)) = rest.rsplit_once('/') else { return false };
        let Ok(pid) = pid.parse() else { return false };
        machine == self.machine && started_then != "0" && started(pid).as_deref() != Some(started_then)
    }
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let host = read("/proc/sys/kernel/hostname");
    let boot = read("/proc/sys/kernel/random/boot_id");
    let pids = fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{host}/{boot}/{pids}")
}

/// When the process started, in ticks since boot (`proc(5)`, field 22 of `stat`); `None` if there is no such process.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold blanks and parentheses; what follows the last one does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // A zombie has ended: only its parent has not looked yet.
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_not_dead_and_an_ended_one_is() {
        let this = Owner::this();
        assert!(!this.is_dead(&this.name(1)));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let other =
            Owner { machine: this.machine.clone(), pid: child.id(), started: started(child.id()).expect("it lives") };
        assert!(!this.is_dead(&other.name(0)));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        assert!(this.is_dead(&other.name(0)));
    }

    #[test]
    fn another_machine_and_a_reused_process_id_are_told_apart() {
        let this = Owner::this();
        let elsewhere = Owner { machine: "elsewhere/boot/pid".to_owned(), ..this.clone() };
        assert!(!this.is_dead(&elsewhere.name(0)), "a process elsewhere cannot be seen");
        let reused = Owner { started: "1".to_owned(), ..this.clone() };
        assert!(this.is_dead(&reused.name(0)), "the process id was given to another process");
        assert!(!this.is_dead("nonsense"));
    }
}
