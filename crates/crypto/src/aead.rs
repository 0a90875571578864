//! AES-GCM with 12- and 16-byte nonces.
