//! Pages of lists: how many rows, and where the next page begins.
//!
//! A page token is sealed for one caller, one RPC and one filter, and holds the key of the last row shown, so a page
//! depends on nothing but rows that the caller may see. All tokens are of one length. Source: AIP-158.

use std::str::FromStr;

use prost::Message;
use tonic::Status;

use crate::{
    model::{digest::Digest, violation::Violation},
    node::Node,
    pb::v1::Reason,
    service::{caller::Caller, status, token},
};

/// How many rows a page holds if the caller does not say.
pub const ROWS_DEFAULT: usize = 50;
/// The greatest number of rows of a page.
pub const ROWS_MAX: usize = 100;
/// The filter of a list that has none.
pub const NO_FILTER: () = ();
/// The length of every token's content, in bytes: a length byte and a key.
const CONTENT_BYTES: usize = 96;

/// Which page of a list is asked for.
#[derive(Debug)]
pub struct Page {
    usage: String,
    filter: String,
    /// The greatest number of rows.
    pub rows_max: usize,
    /// The key of the last row of the page before; `None` for the first page.
    pub after: Option<Vec<u8>>,
}

impl Page {
    /// Parses what a list request says. `filter` is everything in the request that chooses rows; `usage` names the RPC.
    ///
    /// # Errors
    /// A malformed size, or `PAGE_TOKEN_INVALID`.
    pub fn parse(
        node: &Node,
        caller: &Caller,
        (usage, filter): (&str, &impl Message),
        (page_size, page_token): (i32, &str),
    ) -> Result<Self, Status> {
        let rows_max = match usize::try_from(page_size) {
            Ok(0) => ROWS_DEFAULT,
            Ok(rows) if rows <= ROWS_MAX => rows,
            Ok(_) | Err(_) => {
                let text = "a page has 0 to 100 rows; 0 means 50";
                return Err(status::violation(Violation::new("page_size", "OUT_OF_RANGE", text)));
            }
        };
        let filter = Digest::of_concatenation(&[&filter.encode_to_vec()]).to_string();
        let mut page = Self { usage: usage.to_owned(), filter, rows_max, after: None };
        if !page_token.is_empty() {
            let content = token::open(node, caller, &page.usage(), page_token);
            let key = content.as_deref().and_then(unpadded).ok_or_else(invalid)?;
            page.after = Some(key.to_vec());
        }
        Ok(page)
    }

    /// The key of the page before as a slug.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID` if it is none.
    pub fn after_slug<T: FromStr>(&self) -> Result<Option<T>, Status> {
        let Some(key) = &self.after else { return Ok(None) };
        let slug = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
        slug.map(Some).ok_or_else(invalid)
    }

    /// The key of the page before as so many bytes.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID` if it has another length.
    pub fn after_bytes<const N: usize>(&self) -> Result<Option<[u8; N]>, Status> {
        let Some(key) = &self.after else { return Ok(None) };
        <[u8; N]>::try_from(key.as_slice()).map(Some).map_err(|_| invalid())
    }

    /// The token of the page after the row of this key; empty if there is none.
    pub fn next(&self, node: &Node, caller: &Caller, last: Option<Vec<u8>>) -> String {
        last.and_then(|key| padded(&key))
            .map(|content| token::seal(node, caller, &self.usage(), &content))
            .unwrap_or_default()
    }

    fn usage(&self) -> [&str; 3] {
        ["page", &self.usage, &self.filter]
    }
}

/// The answer to a token that does not hold what its list needs.
pub fn invalid() -> Status {
    let message =
        "the page token was not made for this caller and request; begin with an empty one";
    status::told(Reason::PageTokenInvalid, message)
}

fn padded(key: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(key.len()).ok()?;
    let mut content = vec![length];
    content.extend(key);
    if CONTENT_BYTES < content.len() {
        return None;
    }
    content.resize(CONTENT_BYTES, 0);
    Some(content)
}

fn unpadded(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = content.split_first()?;
    rest.get(..usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_make_contents_of_one_length() {
        for length in 0..CONTENT_BYTES {
            let key = vec![7; length];
            let content = padded(&key).unwrap();
            assert_eq!(content.len(), CONTENT_BYTES);
            assert_eq!(unpadded(&content), Some(key.as_slice()));
        }
        assert_eq!(padded(&[0; CONTENT_BYTES]), None);
        assert_eq!(unpadded(&[]), None);
        assert_eq!(unpadded(&[9, 1]), None);
    }
}
