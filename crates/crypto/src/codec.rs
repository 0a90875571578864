//! How a part of a value is spelled as text.
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE, HEXUPPER};

/// The spellings of the layout language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// `hex`: both cases are read, lower case is written
    HexLower,
    /// `HEX`: both cases are read, upper case is written
    HexUpper,
    /// `b64`: standard alphabet, padded; unpadded is read
    Base64,
    /// `b64n`: standard alphabet, never padded
    Base64NoPad,
    /// `b64u`: URL-safe alphabet, never padded
    Base64Url,
    /// `b64u=`: URL-safe alphabet, padded; unpadded is read
    Base64UrlPad,
    /// `b64m`: standard alphabet in lines of 60 characters, each with its line feed
    Base64Lines,
    /// `dec`: decimal digits, carried as they stand
    Decimal,
    /// `word`: letters, digits, `.`, `_`, `-`, carried as they stand
    Word,
    /// `raw`: anything
    Raw,
}

/// How strictly a spelling is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// exactly as it would be written; discovery tells formats apart by it
    Canonical,
    /// as the language defines the codec
    Declared,
    /// besides, base64 of either alphabet, padded or not (`accept = ["b64-any"]`)
    AnyBase64,
}

/// Characters of one line of `b64m` and the bytes in it.
const LINE_BYTES: usize = 45;
const INVALID: u8 = 0xff;

/// Values of base64 digits in both alphabets; [`INVALID`] for everything else.
const DIGITS: [u8; 256] = {
    let mut table = [INVALID; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Optional,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Standard,
    UrlSafe,
    Both,
}

impl Codec {
    /// By its name in the language.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "hex" => Self::HexLower,
            "HEX" => Self::HexUpper,
            "b64" => Self::Base64,
            "b64n" => Self::Base64NoPad,
            "b64u" => Self::Base64Url,
            "b64u=" => Self::Base64UrlPad,
            "b64m" => Self::Base64Lines,
            "dec" => Self::Decimal,
            "word" => Self::Word,
            "raw" => Self::Raw,
            _ => return None,
        })
    }

    /// Whether any bytes can be spelled in it.
    pub(crate) fn takes_bytes(self) -> bool {
        !matches!(self, Self::Decimal | Self::Word | Self::Raw)
    }

    /// Whether `byte` can stand in a part so spelled.
    pub(crate) fn has(self, byte: u8, spelling: Spelling) -> bool {
        let any = spelling == Spelling::AnyBase64;
        match self {
            Self::HexLower | Self::HexUpper => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || any && b"-_".contains(&byte),
            Self::Base64NoPad => byte.is_ascii_alphanumeric() || b"+/".contains(&byte) || any && b"-_=".contains(&byte),
            Self::Base64Url => byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || any && b"+/=".contains(&byte),
            Self::Base64UrlPad => {
                byte.is_ascii_alphanumeric() || b"-_=".contains(&byte) || any && b"+/".contains(&byte)
            }
            Self::Base64Lines => {
                byte.is_ascii_alphanumeric() || b"+/=\n".contains(&byte) || any && b"-_".contains(&byte)
            }
            Self::Decimal => byte.is_ascii_digit(),
            Self::Word => byte.is_ascii_alphanumeric() || b"._-".contains(&byte),
            Self::Raw => true,
        }
    }

    /// Characters that `len` bytes take when written.
    pub(crate) fn encoded_len(self, len: usize) -> usize {
        let padded = len.div_ceil(3) * 4;
        match self {
            Self::HexLower | Self::HexUpper => len * 2,
            Self::Base64 | Self::Base64UrlPad => padded,
            Self::Base64NoPad | Self::Base64Url => unpadded_len(len),
            Self::Base64Lines => padded + len.div_ceil(LINE_BYTES),
            Self::Decimal | Self::Word | Self::Raw => len,
        }
    }

    /// The fewest characters in which `len` bytes can be read.
    pub(crate) fn encoded_len_min(self, len: usize) -> usize {
        match self {
            Self::Base64 | Self::Base64UrlPad | Self::Base64NoPad | Self::Base64Url | Self::Base64Lines => {
                unpadded_len(len)
            }
            Self::HexLower | Self::HexUpper | Self::Raw => self.encoded_len(len),
            Self::Decimal | Self::Word => len.max(1),
        }
    }

    /// Whether `text`, of this alphabet, has as many digits as `len` bytes take.
    pub(crate) fn spells(self, text: &[u8], len: usize) -> bool {
        match self {
            Self::HexLower | Self::HexUpper => text.len() == len * 2,
            Self::Decimal | Self::Word | Self::Raw => false,
            _ => text.iter().filter(|byte| DIGITS[usize::from(**byte)] != INVALID).count() == unpadded_len(len),
        }
    }

    /// Decodes `text` into the front of `out`, which is at least as long, and says how many bytes it is.
    pub(crate) fn decode(self, text: &[u8], out: &mut [u8], spelling: Spelling) -> Option<usize> {
        match self {
            Self::HexLower | Self::HexUpper => self.decode_hex(text, out, spelling),
            Self::Decimal | Self::Word if text.is_empty() => None,
            Self::Decimal | Self::Word | Self::Raw => {
                if self != Self::Raw && !text.iter().all(|byte| self.has(*byte, spelling)) {
                    return None;
                }
                out[..text.len()].copy_from_slice(text);
                Some(text.len())
            }
            _ => match self.decode_canonical_base64(text, out) {
                Some(len) => Some(len),
                None if spelling == Spelling::Canonical => None,
                None => self.decode_other_base64(text, out, spelling),
            },
        }
    }

    /// Appends the canonical spelling of `bytes`.
    pub(crate) fn encode(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Decimal | Self::Word | Self::Raw => out.extend_from_slice(bytes),
            Self::HexLower | Self::HexUpper => {
                let start = out.len();
                out.resize(start + bytes.len() * 2, 0);
                let hex = if self == Self::HexLower { &HEXLOWER } else { &HEXUPPER };
                hex.encode_mut(bytes, &mut out[start..]);
            }
            Self::Base64Lines => {
                for line in bytes.chunks(LINE_BYTES) {
                    Self::Base64.encode(line, out);
                    out.push(b'\n');
                }
            }
            _ => {
                // The library would grow the buffer by just what it needs, each time anew.
                out.reserve(self.encoded_len(bytes.len()));
                self.base64().encode_append(bytes, out);
            }
        }
    }

    fn base64(self) -> &'static base64_simd::Base64 {
        match self {
            Self::Base64NoPad => &base64_simd::STANDARD_NO_PAD,
            Self::Base64Url => &base64_simd::URL_SAFE_NO_PAD,
            Self::Base64UrlPad => &base64_simd::URL_SAFE,
            _ => &base64_simd::STANDARD,
        }
    }

    fn decode_hex(self, text: &[u8], out: &mut [u8], spelling: Spelling) -> Option<usize> {
        let out = out.get_mut(..text.len() / 2)?;
        let hex = match (spelling, self) {
            (Spelling::Canonical, Self::HexLower) => &HEXLOWER,
            (Spelling::Canonical, _) => &HEXUPPER,
            _ => &HEXLOWER_PERMISSIVE,
        };
        if !text.len().is_multiple_of(2) {
            return None;
        }
        hex.decode_mut(text, out).ok()
    }

    fn decode_canonical_base64(self, text: &[u8], out: &mut [u8]) -> Option<usize> {
        if self != Self::Base64Lines {
            let decoded = self.base64().decode(text, base64_simd::Out::from_slice(out)).ok()?;
            return Some(decoded.len());
        }
        let mut len = 0;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let digits = line.strip_suffix(b"\n")?;
            let line_len = Self::Base64.decode_canonical_base64(digits, &mut out[len..])?;
            if line_len == 0 || lines.peek().is_some() && line_len != LINE_BYTES || line_len > LINE_BYTES {
                return None;
            }
            len += line_len;
        }
        Some(len)
    }

    /// Base64 that a writer of this codec would spell otherwise: other padding, unused bits set, other alphabet.
    fn decode_other_base64(self, text: &[u8], out: &mut [u8], spelling: Spelling) -> Option<usize> {
        let (mut alphabet, mut padding) = match self {
            Self::Base64 | Self::Base64Lines => (Alphabet::Standard, Padding::Optional),
            Self::Base64NoPad => (Alphabet::Standard, Padding::Never),
            Self::Base64Url => (Alphabet::UrlSafe, Padding::Never),
            _ => (Alphabet::UrlSafe, Padding::Optional),
        };
        if spelling == Spelling::AnyBase64 {
            (alphabet, padding) = (Alphabet::Both, Padding::Optional);
        }
        let mut digits = text;
        if padding == Padding::Optional {
            if self == Self::Base64Lines {
                while let Some(shorter) = digits.strip_suffix(b"\n") {
                    digits = shorter;
                }
            }
            digits = digits.strip_suffix(b"=").unwrap_or(digits);
            digits = digits.strip_suffix(b"=").unwrap_or(digits);
        }
        decode_digits(digits, out, alphabet, self == Self::Base64Lines)
    }
}

fn unpadded_len(len: usize) -> usize {
    (len * 4).div_ceil(3)
}

fn decode_digits(digits: &[u8], out: &mut [u8], alphabet: Alphabet, lines: bool) -> Option<usize> {
    let (mut bits, mut bit_count, mut len, mut digit_count) = (0_u32, 0, 0, 0_usize);
    for byte in digits {
        if lines && *byte == b'\n' {
            continue;
        }
        let digit = DIGITS[usize::from(*byte)];
        let foreign: &[u8] = match alphabet {
            Alphabet::Standard => b"-_",
            Alphabet::UrlSafe => b"+/",
            Alphabet::Both => b"",
        };
        if digit == INVALID || digit >= 62 && foreign.contains(byte) {
            return None;
        }
        bits = bits << 6 | u32::from(digit);
        bit_count += 6;
        digit_count += 1;
        if bit_count >= 8 {
            bit_count -= 8;
            *out.get_mut(len)? = (bits >> bit_count) as u8;
            len += 1;
        }
    }
    (digit_count % 4 != 1).then_some(len)
}
