//! Byte strings that go into a derivation or stand as associated data: literals, names, parts of the value.
use crate::{
    LayoutError,
    codec::Codec,
    hole::{Piece, pieces},
    part::{Part, Pieces},
};

/// The names under which derivation and associated data know a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Bytes(Vec<u8>),
    Table,
    Column,
    Part(Part, Codec),
}

/// A template for bytes, such as `{hex:b4*32}{column}`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Formula(Vec<Term>);

/// The longest literal that `{hex:..*n}` may make.
const LITERAL_BYTES_MAX: usize = 4096;

impl Formula {
    /// Reads a template.
    pub(crate) fn parse(template: &str, member: &str) -> Result<Self, LayoutError> {
        let mut terms = Vec::new();
        for piece in pieces(template, member)? {
            terms.push(match piece {
                Piece::Text(text) => Term::Bytes(text.into_bytes()),
                Piece::Hole(hole) => term(hole, member)?,
            });
        }
        Ok(Self(terms))
    }

    /// The parts of the value that it takes.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().filter_map(|term| match term {
            Term::Part(part, _) => Some(*part),
            _ => None,
        })
    }

    /// Appends its bytes for one value.
    pub(crate) fn write(&self, names: Names<'_>, pieces: &Pieces<'_>, out: &mut Vec<u8>) {
        for term in &self.0 {
            match term {
                Term::Bytes(bytes) => out.extend_from_slice(bytes),
                Term::Table => out.extend_from_slice(names.table.as_bytes()),
                Term::Column => out.extend_from_slice(names.column.as_bytes()),
                Term::Part(part, codec) => codec.encode(pieces.get(*part), out),
            }
        }
    }

    /// Its bytes where it takes no part of the value.
    pub(crate) fn constant(&self, names: Names<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(names, &Pieces::default(), &mut bytes);
        bytes
    }
}

fn term(hole: &str, member: &str) -> Result<Term, LayoutError> {
    match hole {
        "table" => return Ok(Term::Table),
        "column" => return Ok(Term::Column),
        "aad" => {
            return Err(LayoutError::unsupported(member, "nothing supplies `{aad}`; write the associated data out"));
        }
        _ => {}
    }
    if let Some(digits) = hole.strip_prefix("hex:") {
        return literal(digits)
            .map(Term::Bytes)
            .ok_or_else(|| LayoutError::invalid(member, format!("`{{{hole}}}` is not `{{hex:DIGITS*TIMES}}`")));
    }
    if hole.starts_with("row.") {
        return Err(LayoutError::unsupported(member, format!("`{{{hole}}}`: other columns as inputs")));
    }
    let (name, codec) = hole.split_once(':').unwrap_or((hole, "raw"));
    if matches!(name, "salt" | "mac") {
        return Err(LayoutError::unsupported(
            member,
            format!("`{{{hole}}}`: an input that differs from value to value"),
        ));
    }
    match (Part::named(name), Codec::named(codec)) {
        (Some(Part::Ct | Part::Tag), _) => {
            Err(LayoutError::invalid(member, format!("`{{{hole}}}` is not known before the value is sealed")))
        }
        (Some(part), Some(codec)) => Ok(Term::Part(part, codec)),
        _ => Err(LayoutError::invalid(member, format!("`{{{hole}}}` is unknown"))),
    }
}

fn literal(digits: &str) -> Option<Vec<u8>> {
    let (digits, times) = match digits.split_once('*') {
        Some((digits, times)) => (digits, times.parse().ok()?),
        None => (digits, 1_usize),
    };
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    (bytes.len().checked_mul(times)? <= LITERAL_BYTES_MAX).then(|| bytes.repeat(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names { table: "patients", column: "ssn" };

    #[test]
    fn writes_literals_names_and_parts() {
        let formula = Formula::parse("{hex:b4*3}{table}/{column}:{iv:hex}{{", "aad").unwrap();
        let mut pieces = Pieces::default();
        pieces.set(Part::Iv, &[0xab]);
        let mut out = Vec::new();
        formula.write(NAMES, &pieces, &mut out);
        assert_eq!(out, b"\xb4\xb4\xb4patients/ssn:ab{");
        assert_eq!(formula.parts().collect::<Vec<_>>(), [Part::Iv]);
    }

    #[test]
    fn refuses_what_it_cannot_supply() {
        for later in ["{row.id}", "{aad}", "{salt}"] {
            let refused = Formula::parse(later, "aad");
            assert!(matches!(refused, Err(LayoutError::Unsupported { .. })), "{later}: {refused:?}");
        }
        for wrong in ["{ct}", "{tag:hex}", "{who}", "{iv:what}", "{hex:b}", "{hex:00*9999}", "{hex:00*x}"] {
            let refused = Formula::parse(wrong, "aad");
            assert!(matches!(refused, Err(LayoutError::Invalid { .. })), "{wrong}: {refused:?}");
        }
    }
}
