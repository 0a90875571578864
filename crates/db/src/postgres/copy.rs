//! The binary form of `COPY`: what the server sends where rows are only read.
//!
//! Source: PostgreSQL, COPY, "Binary Format": a signature, flags, an extension; then tuples, each a count of fields and for each field its length and its
//! bytes, length -1 for NULL; a count of -1 ends them.

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// A bit of the flags from here on is one that a reader must know.
const CRITICAL: u32 = 1 << 16;

/// Takes the stream apart, however it is cut into pieces.
pub(crate) struct Tuples {
    columns: usize,
    /// What came in of something that is not whole yet.
    rest: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Tuples,
    Ended,
}

/// What stands at the front of some bytes.
enum Front {
    /// Something of so many bytes.
    Whole(usize),
    /// Not enough of anything.
    Part,
    End,
}

impl Tuples {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, rest: Vec::new(), state: State::Header }
    }

    /// Hands each tuple that is whole to `each`: its fields with their lengths.
    pub(crate) fn take(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), sqlx::Error> {
        if self.rest.is_empty() {
            let taken = self.take_whole(piece, &mut each)?;
            self.rest.extend_from_slice(&piece[taken..]);
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let taken = self.take_whole(&bytes, &mut each)?;
        bytes.drain(..taken);
        self.rest = bytes;
        Ok(())
    }

    /// An error where the stream broke off.
    pub(crate) fn end(&self) -> Result<(), sqlx::Error> {
        if self.state == State::Ended && self.rest.is_empty() { Ok(()) } else { Err(broken("it broke off")) }
    }

    fn take_whole(&mut self, bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Result<usize, sqlx::Error> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            match (self.state, rest) {
                (_, []) => return Ok(taken),
                (State::Header, _) => match header(rest)? {
                    Some(len) => (self.state, taken) = (State::Tuples, taken + len),
                    None => return Ok(taken),
                },
                (State::Tuples, _) => match front(rest, self.columns)? {
                    Front::Whole(len) => {
                        each(&rest[2..len]);
                        taken += len;
                    }
                    Front::Part => return Ok(taken),
                    Front::End => (self.state, taken) = (State::Ended, taken + 2),
                },
                (State::Ended, _) => return Err(broken("something follows its end")),
            }
        }
    }
}

/// The length of the header, if it is there.
fn header(bytes: &[u8]) -> Result<Option<usize>, sqlx::Error> {
    let Some((signature, rest)) = bytes.split_at_checked(SIGNATURE.len()) else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(broken("it does not begin with the signature"));
    }
    let Some((flags, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if u32::from_be_bytes(*flags) >= CRITICAL {
        return Err(broken("it has flags that are not known"));
    }
    let Some((extension, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let len = SIGNATURE.len() + 8 + u32::from_be_bytes(*extension) as usize;
    Ok((bytes.len() >= len).then_some(len))
}

fn front(bytes: &[u8], columns: usize) -> Result<Front, sqlx::Error> {
    let Some((count, _)) = bytes.split_first_chunk::<2>() else { return Ok(Front::Part) };
    match i16::from_be_bytes(*count) {
        -1 => return Ok(Front::End),
        count if usize::try_from(count).is_ok_and(|count| count == columns) => {}
        _ => return Err(broken("a row has another number of fields")),
    }
    let mut at = 2;
    for _ in 0..columns {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(Front::Part) };
        at += 4 + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    }
    Ok(if at <= bytes.len() { Front::Whole(at) } else { Front::Part })
}

/// The fields of a tuple; `None` is NULL.
pub(crate) fn fields(tuple: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = tuple;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (field, after) = after.split_at_checked(length.unwrap_or(0))?;
        rest = after;
        Some(length.map(|_| field))
    })
}

fn broken(why: &'static str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the answer to COPY is broken: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(rows: &[[Option<&[u8]>; 2]]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; 4], &3_u32.to_be_bytes(), b"ext"].concat();
        for row in rows {
            bytes.extend(2_i16.to_be_bytes());
            for field in row {
                bytes.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_come_back_however_the_stream_is_cut() {
        let rows: [[Option<&[u8]>; 2]; 3] = [[Some(b"ab"), None], [Some(b""), Some(b"\xff\xff")], [None, None]];
        let bytes = stream(&rows);
        for size in 1..=bytes.len() {
            let (mut tuples, mut seen) = (Tuples::new(2), Vec::new());
            for piece in bytes.chunks(size) {
                assert!(tuples.end().is_err(), "not yet at its end");
                let each = |tuple: &[u8]| seen.push(fields(tuple).map(|f| f.map(<[u8]>::to_vec)).collect::<Vec<_>>());
                tuples.take(piece, each).expect("a stream");
            }
            tuples.end().expect("its end");
            let expected: Vec<Vec<_>> = rows.iter().map(|row| row.map(|f| f.map(<[u8]>::to_vec)).to_vec()).collect();
            assert_eq!(seen, expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_such_stream_is_refused() {
        let good = stream(&[[Some(b"ab"), None]]);
        let refused = |bytes: &[u8], columns| {
            let mut tuples = Tuples::new(columns);
            tuples.take(bytes, |_| {}).and_then(|()| tuples.end()).is_err()
        };
        assert!(!refused(&good, 2));
        for cut in 0..good.len() {
            assert!(refused(&good[..cut], 2), "cut at {cut}");
        }
        assert!(refused(&good, 3) && refused(&[&good[..], b"x"].concat(), 2));
        let mut flags = good.clone();
        flags[SIGNATURE.len() + 1] = 1;
        assert!(refused(&flags, 2) && refused(b"another stream altogether", 2));
    }
}
