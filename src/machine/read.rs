//! Reads: what callers and the node may learn from the state. The only reader of the state for callers.
//!
//! Every function takes who looks, and gives what that one may see: `None` where there is nothing and where there is
//! something of somebody else's, so that the two cannot be told apart (G8). Views borrow the rows; how they are written
//! down for a caller is the service's affair. Lists come in pages whose size and order depend on visible rows alone.

use crate::machine::state::agency::AgencyNumber;

pub mod agency;
pub mod agreement;
pub mod case;
pub mod caseload;
pub mod consent;
pub mod disclosure;
pub mod dispute;
pub mod emergency;
pub mod erasure;
pub mod explain;
pub mod ledger;
pub mod notice;
pub mod offers;
pub mod policy;
pub mod recall;
pub mod subscription;
pub mod succession;
pub mod words;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// An agency.
    Agency(AgencyNumber),
    /// The operator.
    Operator,
    /// Somebody whom nobody knows.
    Unregistered,
}

impl Viewer {
    /// The agency that looks, if one does.
    pub const fn agency(self) -> Option<AgencyNumber> {
        match self {
            Self::Agency(number) => Some(number),
            Self::Operator | Self::Unregistered => None,
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K, T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The key of the last row, if more follow.
    pub next: Option<K>,
}

impl<K, T> Page<K, T> {
    /// The first `rows_max` of the visible rows.
    pub fn of(rows: impl IntoIterator<Item = (K, T)>, rows_max: usize) -> Self {
        let mut visible = rows.into_iter();
        let mut page = Self { rows: Vec::new(), next: None };
        let mut last = None;
        for (key, row) in visible.by_ref().take(rows_max) {
            page.rows.push(row);
            last = Some(key);
        }
        if visible.next().is_some() {
            page.next = last;
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_last_row_only_if_more_follow() {
        let rows = || (1..=3).map(|number| (number, number * 10));
        let page = |rows_max| Page::of(rows(), rows_max);
        assert_eq!(page(2), Page { rows: vec![10, 20], next: Some(2) });
        assert_eq!(page(3), Page { rows: vec![10, 20, 30], next: None });
        assert_eq!(page(9), Page { rows: vec![10, 20, 30], next: None });
        assert_eq!(Page::of(Vec::<(u8, u8)>::new(), 9), Page { rows: vec![], next: None });
    }
}
