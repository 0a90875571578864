//! Words for every worker of a run, through its row in the store. Need no PHI key.
use crate::{Context, Error, Report};
use jiff::Timestamp;
/// Asks every worker to wait, within two seconds.
pub async fn pause(_context: &Context, _until: Option<Timestamp>, _reason: Option<&str>) -> Result<Report, Error> {
    unimplemented!()
}
/// Takes a pause back.
pub async fn unpause(_context: &Context) -> Result<Report, Error> {
    unimplemented!()
}
/// Ends an unfinished run for good; its record stays. The report's reason says what share is under the new key and that both keys remain needed.
pub async fn abandon(_context: &Context, _reason: Option<&str>) -> Result<Report, Error> {
    unimplemented!()
}
