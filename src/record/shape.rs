//! The shape of a record: what its descriptor alone can say about a body, for every record type.
//!
//! Codes that exist and were valid on their day, nothing that the exchange derives, no group that says nothing. What the
//! codes mean is each type's own rule. It is compiled once from the descriptor and walks the wire format, since it stands in
//! the path of every publication.

use std::{collections::BTreeMap, fmt};

use jiff::civil::Date;

use crate::{
    model::{date, violation::Violation},
    record::{
        findings::Findings,
        registry::{FieldGroup, RecordType},
        wire::{Field, MalformedRecord, WireType, last_value, varint},
    },
};

/// What is checked in a message.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// In the order of their numbers.
    pub(crate) fields: Vec<(u32, ShapedField)>,
}

impl Shape {
    /// What is checked in the field of that number.
    fn field(&self, number: u32) -> Option<&ShapedField> {
        let at = self.fields.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.fields.get(at).map(|(_, field)| field)
    }
}

/// What is checked in a field.
#[derive(Clone, Debug)]
pub(crate) struct ShapedField {
    pub(crate) name: Box<str>,
    pub(crate) repeated: bool,
    pub(crate) holds: Holds,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    /// A message.
    Message(Shape),
    /// A code.
    Codes(Codes),
    /// Text or a number.
    Other,
}

/// The codes that a field may hold.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    /// The name of the list.
    pub(crate) list: Box<str>,
    /// In ascending order.
    pub(crate) known: Vec<i32>,
    pub(crate) dated: Option<Dated>,
}

/// When codes may be used.
#[derive(Clone, Debug)]
pub(crate) struct Dated {
    /// The field of the same message that holds the day.
    pub(crate) date_field: u32,
    /// For the codes that are not valid always.
    pub(crate) windows: BTreeMap<i32, CodeWindow>,
}

/// When a code may be used; both days are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeWindow {
    pub(crate) from: Option<Date>,
    pub(crate) until: Option<Date>,
}

/// Where a field lies, written out only when there is something to say about it.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Self>,
    name: &'a str,
    element: Option<usize>,
}

/// Whether a body is plain: every field is known and stands in its place, none stands twice, none says what its absence
/// says. Its type, encoding it anew, would say nothing else; so what is found in it holds for that too.
pub(crate) fn is_plain(shape: &Shape, message: &[u8]) -> bool {
    let mut rest = message;
    let mut last = 0;
    while !rest.is_empty() {
        let Ok((field, after)) = Field::split(rest) else { return false };
        rest = after;
        let Some(shaped) = shape.field(field.number) else { return false };
        let again = field.number == last && shaped.repeated;
        if field.number <= last && !again {
            return false;
        }
        last = field.number;
        let plain = match &shaped.holds {
            Holds::Message(inner) => is_plain(inner, field.payload),
            Holds::Codes(_) if shaped.repeated => field.wire_type == WireType::LengthDelimited,
            Holds::Other if shaped.repeated => true,
            Holds::Codes(_) | Holds::Other => field.payload.iter().any(|byte| *byte != 0),
        };
        if !plain {
            return false;
        }
    }
    true
}

/// What the shape of a body says of it.
pub(crate) struct Shaped<'a> {
    /// The groups that it holds, in the order of the type.
    pub(crate) present: Vec<&'a FieldGroup>,
    /// The body without groups that say nothing, where it had any.
    pub(crate) kept: Option<Vec<u8>>,
}

/// Checks a body that is plain, or that its type encoded anew.
///
/// # Errors
/// `UNKNOWN_CODE`, `CODE_NOT_VALID_ON_DATE` and `DERIVED_FIELD`, each at its field.
pub(crate) fn check<'a>(
    record_type: &'a RecordType,
    body: &[u8],
) -> Result<Shaped<'a>, Vec<Violation>> {
    let mut findings = Findings::default();
    let shaped = walk(&mut findings, record_type.shape(), None, body)
        .and_then(|()| top_level(&mut findings, record_type, body))
        .map_err(|MalformedRecord| vec![malformed(record_type)])?;
    findings.into_result(shaped)
}

/// What is said of a body that is no message of its type.
pub(crate) fn malformed(record_type: &RecordType) -> Violation {
    let description = format!("the body is no `{}` message", record_type.descriptor().full_name());
    Violation::new("", "MALFORMED_RECORD", description)
}

fn top_level<'a>(
    findings: &mut Findings,
    record_type: &'a RecordType,
    body: &[u8],
) -> Result<Shaped<'a>, MalformedRecord> {
    let mut present = vec![false; record_type.groups().len()];
    let mut kept: Option<Vec<u8>> = None;
    let mut rest = body;
    while !rest.is_empty() {
        let before = body.len() - rest.len();
        let (field, after) = Field::split(rest)?;
        let whole = rest.get(..rest.len() - after.len()).ok_or(MalformedRecord)?;
        rest = after;
        let says_nothing = field.payload.is_empty()
            && record_type.shape().field(field.number).is_some_and(|shaped| {
                !shaped.repeated && matches!(shaped.holds, Holds::Message(_))
            });
        if says_nothing {
            let _begun = kept.get_or_insert_with(|| body.get(..before).unwrap_or_default().into());
            continue;
        }
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(whole);
        }
        let Some(declared) = record_type.field(field.number) else { continue };
        if let Some(held) = present.get_mut(declared.group_place()) {
            *held = true;
        }
        findings.require(
            !declared.derived(),
            declared.name(),
            "DERIVED_FIELD",
            "the exchange derives this field; leave it out",
        );
    }
    let groups = record_type.groups().iter().zip(present);
    let present = groups.filter_map(|(group, held)| held.then_some(group)).collect();
    Ok(Shaped { present, kept })
}

/// Checks the codes of a message that is plain, or that the program itself encoded.
fn walk(
    findings: &mut Findings,
    shape: &Shape,
    parent: Option<&Path<'_>>,
    message: &[u8],
) -> Result<(), MalformedRecord> {
    let mut rest = message;
    // The elements of a list follow each other.
    let (mut last_number, mut element) = (0, 0);
    while !rest.is_empty() {
        let (field, after) = Field::split(rest)?;
        rest = after;
        element = if field.number == last_number { element + 1 } else { 0 };
        last_number = field.number;
        let Some(shaped) = shape.field(field.number) else { continue };
        let path = |element| Path { parent, name: &shaped.name, element };
        match &shaped.holds {
            Holds::Other => {}
            Holds::Message(inner) => {
                let path = path(shaped.repeated.then_some(element));
                walk(findings, inner, Some(&path), field.payload)?;
            }
            Holds::Codes(codes) if shaped.repeated => {
                let mut packed = field.payload;
                for element in 0.. {
                    if packed.is_empty() {
                        break;
                    }
                    let (code, after) = varint(packed)?;
                    packed = after;
                    check_code(findings, codes, path(Some(element)), (code, message))?;
                }
            }
            Holds::Codes(codes) => {
                let (code, _) = varint(field.payload)?;
                check_code(findings, codes, path(None), (code, message))?;
            }
        }
    }
    Ok(())
}

fn check_code(
    findings: &mut Findings,
    codes: &Codes,
    path: Path<'_>,
    (code, message): (u64, &[u8]),
) -> Result<(), MalformedRecord> {
    // A code is the low 32 bits of the number on the wire.
    let [a, b, c, d, ..] = code.to_le_bytes();
    let code = i32::from_le_bytes([a, b, c, d]);
    if codes.known.binary_search(&code).is_err() || (code == 0 && path.element.is_some()) {
        let description = format!("`{code}` is no code of `{}`; see its list", codes.list);
        findings.add(path, "UNKNOWN_CODE", description);
    }
    let Some(dated) = &codes.dated else { return Ok(()) };
    let Some(CodeWindow { from, until }) = dated.windows.get(&code) else { return Ok(()) };
    let day =
        str::from_utf8(last_value(message, dated.date_field)?).map_err(|_| MalformedRecord)?;
    // A day that does not read is the type's own finding.
    let Ok(day) = date::parse(day) else { return Ok(()) };
    if from.is_some_and(|from| day < from) || until.is_some_and(|until| until < day) {
        let bound = |day: &Option<Date>| day.map_or("any day".to_owned(), |day| day.to_string());
        let description = format!("this code is valid from {} to {}", bound(from), bound(until));
        findings.add(path, "CODE_NOT_VALID_ON_DATE", description);
    }
    Ok(())
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        self.element.map_or(Ok(()), |at| write!(f, "[{at}]"))
    }
}
