//! Values as they travel: raw binary parameters and arrays, written once into the message.
use crate::Value;
use sqlx::{
    Arguments, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
};

pub(crate) const BOOL: u32 = 16;
pub(crate) const BYTEA: u32 = 17;
pub(crate) const NAME: u32 = 19;
pub(crate) const INT8: u32 = 20;
pub(crate) const INT2: u32 = 21;
pub(crate) const INT4: u32 = 23;
pub(crate) const TEXT: u32 = 25;
pub(crate) const XID: u32 = 28;
pub(crate) const VARCHAR: u32 = 1043;
pub(crate) const BPCHAR: u32 = 1042;
pub(crate) const BYTEA_ARRAY: u32 = 1001;
pub(crate) const INT4_ARRAY: u32 = 1007;
pub(crate) const TEXT_ARRAY: u32 = 1009;
pub(crate) const XID_ARRAY: u32 = 1011;

/// How a key column travels: as the binary form of a built-in type, or else as text with a cast. (The driver looks types that it does not know up in the
/// middle of a statement, which destroys an unnamed one; so it only ever sees types that it knows.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WireType {
    /// As `format_type` prints it.
    pub(crate) name: &'static str,
    /// In a cast.
    pub(crate) cast: &'static str,
    pub(crate) oid: u32,
    pub(crate) array_oid: u32,
}

/// Text, which is also what stands for types that are not listed.
pub(crate) const WIRE_TEXT: WireType = wire("text", "pg_catalog.text", TEXT, TEXT_ARRAY);

const WIRE_TYPES: &[WireType] = &[
    wire("bigint", "pg_catalog.int8", INT8, 1016),
    wire("integer", "pg_catalog.int4", INT4, INT4_ARRAY),
    wire("smallint", "pg_catalog.int2", INT2, 1005),
    wire("uuid", "pg_catalog.uuid", 2950, 2951),
    WIRE_TEXT,
    wire("character varying", "pg_catalog.varchar", VARCHAR, 1015),
    wire("bpchar", "pg_catalog.bpchar", BPCHAR, 1014),
    wire("name", "pg_catalog.name", NAME, 1003),
    wire("bytea", "pg_catalog.bytea", BYTEA, BYTEA_ARRAY),
    wire("numeric", "pg_catalog.numeric", 1700, 1231),
    wire("boolean", "pg_catalog.bool", BOOL, 1000),
    wire("real", "pg_catalog.float4", 700, 1021),
    wire("double precision", "pg_catalog.float8", 701, 1022),
    wire("date", "pg_catalog.date", 1082, 1182),
    wire("time without time zone", "pg_catalog.time", 1083, 1183),
    wire("time with time zone", "pg_catalog.timetz", 1266, 1270),
    wire("timestamp without time zone", "pg_catalog.timestamp", 1114, 1115),
    wire("timestamp with time zone", "pg_catalog.timestamptz", 1184, 1185),
    wire("interval", "pg_catalog.interval", 1186, 1187),
    wire("inet", "pg_catalog.inet", 869, 1041),
    wire("cidr", "pg_catalog.cidr", 650, 651),
    wire("macaddr", "pg_catalog.macaddr", 829, 1040),
    wire("oid", "pg_catalog.oid", 26, 1028),
];

const fn wire(name: &'static str, cast: &'static str, oid: u32, array_oid: u32) -> WireType {
    WireType { name, cast, oid, array_oid }
}

impl WireType {
    /// Of a type as the catalog prints it; `None` for one that travels as text.
    pub(crate) fn of(type_name: &str) -> Option<Self> {
        WIRE_TYPES.iter().find(|known| known.name == type_name).copied()
    }
}

/// A value of a type, already in its binary form; `None` is NULL.
pub(crate) struct Raw<'a> {
    pub(crate) oid: u32,
    pub(crate) bytes: Option<&'a [u8]>,
}

impl Type<Postgres> for Raw<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Raw<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.oid)))
    }
}

/// NULL of a type that the driver has to look up by its name.
struct Null(&'static str);

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_name(self.0))
    }
}

/// Bytes before the first element of a one-dimensional array.
const ARRAY_HEADER: usize = 20;

/// A one-dimensional array whose elements are already in their binary form; `None` is NULL.
pub(crate) struct Array<'a> {
    pub(crate) oid: u32,
    pub(crate) element_oid: u32,
    pub(crate) elements: &'a [Option<&'a [u8]>],
}

impl Type<Postgres> for Array<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Array<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let has_null = self.elements.iter().any(Option::is_none);
        let size = self.elements.iter().map(|e| 4 + e.map_or(0, <[u8]>::len)).sum::<usize>();
        buffer.reserve(ARRAY_HEADER + size);
        // Dimensions, whether there are NULLs, the element type, the length, the lower bound.
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&i32::from(has_null).to_be_bytes());
        buffer.extend_from_slice(&self.element_oid.to_be_bytes());
        buffer.extend_from_slice(&i32::try_from(self.elements.len())?.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        for element in self.elements {
            match element {
                Some(bytes) => {
                    buffer.extend_from_slice(&i32::try_from(bytes.len())?.to_be_bytes());
                    buffer.extend_from_slice(bytes);
                }
                None => buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.oid)))
    }
}

/// The elements of an array of int4 without NULLs, as the server writes it; they stand behind its header, each after its length.
pub(crate) fn int4_elements(array: &[u8]) -> impl Iterator<Item = u32> {
    let (elements, _) = array.get(ARRAY_HEADER..).unwrap_or_default().as_chunks::<8>();
    elements.iter().map(|&[.., a, b, c, d]| u32::from_be_bytes([a, b, c, d]))
}

/// The parameters of one statement, in order.
#[derive(Default)]
pub(crate) struct Parameters {
    arguments: PgArguments,
    error: Option<BoxDynError>,
}

impl Parameters {
    /// A value in its binary form.
    pub(crate) fn raw(self, oid: u32, bytes: Option<&[u8]>) -> Self {
        self.add(Raw { oid, bytes })
    }

    /// An array of values in their binary form.
    pub(crate) fn array(self, oid: u32, element_oid: u32, elements: &[Option<&[u8]>]) -> Self {
        self.add(Array { oid, element_oid, elements })
    }

    /// A number.
    pub(crate) fn int8(self, value: i64) -> Self {
        self.raw(INT8, Some(&value.to_be_bytes()))
    }

    /// A text.
    pub(crate) fn text(self, value: &str) -> Self {
        self.raw(TEXT, Some(value.as_bytes()))
    }

    /// Values of the checkpoint store.
    pub(crate) fn values(self, values: &[Value]) -> Self {
        values.iter().fold(self, |with, value| match value {
            // Type 0 leaves it to the statement.
            Value::Null => with.raw(0, None),
            Value::Int(value) => with.int8(*value),
            Value::Text(value) => with.text(value),
            Value::Bytes(value) => with.raw(BYTEA, Some(value)),
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        sqlx::Arguments::len(&self.arguments)
    }

    /// NULLs of the types that statements use and the driver does not know of itself.
    pub(crate) fn looked_up(self) -> Self {
        ["pg_catalog.xid", "pg_catalog.xid[]", "pg_catalog.tid"].into_iter().fold(self, |all, name| all.add(Null(name)))
    }

    /// What the driver takes; an error if something does not fit the protocol's lengths.
    pub(crate) fn into_arguments(self) -> Result<PgArguments, sqlx::Error> {
        match self.error {
            Some(error) => Err(sqlx::Error::Encode(error)),
            None => Ok(self.arguments),
        }
    }

    fn add<'q, T: Encode<'q, Postgres> + Type<Postgres>>(mut self, value: T) -> Self {
        if let Err(error) = self.arguments.add(value) {
            self.error.get_or_insert(error);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_written_as_the_server_reads_it() {
        let elements: [Option<&[u8]>; 3] = [Some(b"ab"), None, Some(b"")];
        let mut buffer = PgArgumentBuffer::default();
        let array = Array { oid: TEXT_ARRAY, element_oid: TEXT, elements: &elements };
        assert!(matches!(array.encode_by_ref(&mut buffer), Ok(IsNull::No)));
        let expected = [
            &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 3, 0, 0, 0, 1][..],
            &[0, 0, 0, 2, b'a', b'b', 255, 255, 255, 255, 0, 0, 0, 0][..],
        ];
        assert_eq!(*buffer, expected.concat());
    }

    #[test]
    fn elements_of_an_array_of_numbers_come_back() {
        let numbers = [0_u32, 7, 65_538].map(u32::to_be_bytes);
        let elements: Vec<_> = numbers.iter().map(|bytes| Some(&bytes[..])).collect();
        let mut buffer = PgArgumentBuffer::default();
        let array = Array { oid: INT4_ARRAY, element_oid: INT4, elements: &elements };
        assert!(matches!(array.encode_by_ref(&mut buffer), Ok(IsNull::No)));
        assert_eq!(int4_elements(&buffer).collect::<Vec<_>>(), [0, 7, 65_538]);
        assert_eq!(int4_elements(&buffer[..12]).count(), 0);
    }

    #[test]
    fn types_are_found_by_the_name_that_the_catalog_prints() {
        assert_eq!(WireType::of("bigint").map(|t| (t.oid, t.array_oid)), Some((20, 1016)));
        assert_eq!(WireType::of("public.citext"), None);
    }
}
