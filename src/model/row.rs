//! A row: one change of the state in stored form, as the machine gives it and the store keeps it.

/// The new value of one key of one table, or its removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table's number.
    pub table: u8,
    /// The encoded key.
    pub key: Box<[u8]>,
    /// The encoded value; `None` removes the row.
    pub value: Option<Box<[u8]>>,
}
