//! Lines that a test says even when it passes.
use std::io::Write;

/// Writes a line to standard error, past the capture of the test harness.
pub fn report(line: impl AsRef<str>) {
    let mut stderr = std::io::stderr().lock();
    // A closed standard error is no reason to fail a test.
    let _ = writeln!(stderr, "  {}", line.as_ref());
}
