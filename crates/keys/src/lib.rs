//! Where secrets come from. A [`Reference`] names a place, [`Environment`] is the process's variables with a dotenv file
//! under them, and [`load_key`] and [`load_text`] read the place once, strictly.
//!
//! ```text
//! "env:OLD_KEY" -> Reference -> (variable | file) -> decode -> take -> 32 bytes -> SecretKey
//! ```
//!
//! Errors name the variable or the file, never what stands there.

mod environment;
mod error;
mod file;
mod material;
mod reference;
mod weakness;

pub use environment::Environment;
pub use error::{FileRefusal, KeyError};
pub use material::{load_key, load_text};
pub use reference::{Decode, Reference, Source};
pub use weakness::{Weakness, text_weakness, weakness};
