//! Where secrets come from. A [`Reference`] names a place, and [`Sources`] reads it once, strictly: the process's variables with a dotenv
//! file under them, files, AWS Secrets Manager, and AWS KMS, which unwraps data keys.
//!
//! ```text
//! "env:OLD_KEY" -> Reference -> (variable | file | secret) [-> KMS Decrypt] -> decode -> take -> 32 bytes -> SecretKey
//! ```
//!
//! Errors name the variable, the file, the secret or the KMS key, never what stands there.

mod aws;
mod environment;
mod error;
mod file;
mod generation;
mod material;
mod process;
mod reference;
mod source;
mod weakness;

pub use aws::AwsProblem;
pub use environment::Environment;
pub use error::{FileRefusal, KeyError};
pub use generation::{DataKey, Stored, fresh_key, hex};
pub use process::keep_out_of_core_dumps;
pub use reference::{Decode, Reference, SecretName, SecretVersion, Source, WrappedKey};
pub use source::Sources;
pub use weakness::{Weakness, text_weakness, weakness};
