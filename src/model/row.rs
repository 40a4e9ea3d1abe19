//! A row: what the machine changed, as the store keeps it. It is a copy of state, which the ledger can always make anew.

/// One changed row of one table of the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The table's number.
    pub table: u8,
    /// The row's key, unique in its table. At most [`Row::KEY_BYTES_MAX`].
    pub key: Box<[u8]>,
    /// What the row holds now; `None` if it is gone.
    pub value: Option<Box<[u8]>>,
    /// Whether there was no such row before, so that nobody need look for it.
    pub fresh: bool,
}

impl Row {
    /// The greatest length of a row's key, in bytes.
    pub const KEY_BYTES_MAX: usize = 1_024;
}
