//! The tool as a process against real databases. Each test names the invariant that it holds the tool to.
mod support;
