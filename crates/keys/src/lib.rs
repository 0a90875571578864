//! Where secrets come from. A [`Reference`] names a place, [`Environment`] is the process's variables with a dotenv file
//! under them, and [`load_key`] and [`load_text`] read the place once, strictly.
//!
//! ```text
//! "env:NAME" | "file:PATH" -> Reference -> bytes of the place -> decode, take -> SecretKey | text
//! ```

mod environment;
mod error;
mod file;
mod load;
mod reference;

pub use environment::Environment;
pub use error::KeyError;
pub use load::{KEY_BYTES, load_key, load_text};
pub use reference::{Decode, Reference, Source};
