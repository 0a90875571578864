//! `demo`
use crate::{arguments::DemoArguments, failure::Failure, output::Outcome, session::Session};
pub(crate) async fn run(_typed: &DemoArguments, _session: &Session) -> Result<Outcome, Failure> { unimplemented!() }
