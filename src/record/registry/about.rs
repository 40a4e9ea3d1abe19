//! What a type says of its records as a whole: whom they are about, which day they speak of, how they are kept.
//!
//! It describes and decides nothing: who may read is for agreements, how long something is kept too.

use jiff::civil::Date;

use crate::{
    model::date,
    pb::record::v1::{ClientGroup, Identifier, RetentionClass},
    record::wire::last_value,
};

/// What a type says of its records as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub(super) client_group: ClientGroup,
    pub(super) retention_class: RetentionClass,
    pub(super) event_date: FieldPath,
    pub(super) identifiers: Vec<(Identifier, FieldPath)>,
}

/// A field inside a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// The names on the way, such as `core.form_date`.
    pub(super) name: Box<str>,
    /// The numbers of the fields on the way.
    pub(super) numbers: Box<[u32]>,
}

impl About {
    /// Whom the records are about.
    pub fn client_group(&self) -> ClientGroup {
        self.client_group
    }

    /// What kind of keeping the records need.
    pub fn retention_class(&self) -> RetentionClass {
        self.retention_class
    }

    /// The field that holds the day of which a record speaks.
    pub fn event_date(&self) -> &FieldPath {
        &self.event_date
    }

    /// The day of which a valid body speaks; `None` if it gives none.
    pub fn event_date_of(&self, body: &[u8]) -> Option<Date> {
        date::parse(self.event_date.text_of(body)?).ok()
    }

    /// The fields that say who the client is, in the order of the type.
    pub fn identifiers(&self) -> &[(Identifier, FieldPath)] {
        &self.identifiers
    }
}

impl FieldPath {
    /// The names on the way, such as `core.form_date`.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The text that a body holds there; `None` if it holds none. Nothing on the way is repeated.
    pub fn text_of<'a>(&self, body: &'a [u8]) -> Option<&'a str> {
        let mut value = body;
        for number in &self.numbers {
            value = last_value(value, *number).ok()?;
        }
        str::from_utf8(value).ok().filter(|text| !text.is_empty())
    }
}
