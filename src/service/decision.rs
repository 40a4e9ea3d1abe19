//! Decision ids: what a caller quotes when it asks about an answer. Opaque, and no two alike.
//!
//! One is the sealed request id, time and eight random bytes, so its length and form never tell what was decided.

use crate::{
    model::{id::RequestId, order::UnixMillis},
    node::Node,
    service::{caller::Caller, token},
};

/// A new id for the decision about a request.
pub fn id(node: &Node, caller: &Caller, request: RequestId) -> String {
    of(node, caller, request.as_bytes())
}

/// A new id for the answer to a read.
pub fn of_read(node: &Node, caller: &Caller) -> String {
    of(node, caller, &[0; 16])
}

fn of(node: &Node, caller: &Caller, request: &[u8; 16]) -> String {
    let at = node.now().map_or(0, UnixMillis::millis);
    let random: [u8; 8] = node.entropy().bytes();
    let content = [request.as_slice(), &at.to_be_bytes(), &random].concat();
    token::seal(node, caller, &["decision"], &content)
}
