//! Opaque strings for one caller: sealed with the node's token key, worth nothing to another caller or for another use.

use crate::{model::id::AgencyId, node::Node, seal::token::TokenScope, service::caller::Caller};

/// Seals `content` for a caller and a use. Empty if it cannot be sealed, which the caller reads as "there is none".
pub fn seal(node: &Node, caller: &Caller, usage: &[&str], content: &[u8]) -> String {
    let (kind, agency) = holder(caller);
    let purpose = [&[kind], usage].concat();
    let scope = TokenScope { agency: &agency, purpose: &purpose };
    node.tokens().seal(&scope, content).unwrap_or_else(|fault| {
        tracing::error!(%fault, "a token could not be sealed");
        String::new()
    })
}

/// The content of a token of this caller and use.
pub fn open(node: &Node, caller: &Caller, usage: &[&str], token: &str) -> Option<Vec<u8>> {
    let (kind, agency) = holder(caller);
    let purpose = [&[kind], usage].concat();
    let scope = TokenScope { agency: &agency, purpose: &purpose };
    node.tokens().open(&scope, token).ok()
}

/// Whom a token is for. The kind keeps an agency that is called `nobody` apart from nobody.
fn holder(caller: &Caller) -> (&'static str, AgencyId) {
    match caller {
        Caller::Agency { id, .. } => ("agency", id.clone()),
        Caller::Operator { .. } => ("operator", nobody()),
        Caller::None | Caller::Unregistered { .. } => ("unregistered", nobody()),
    }
}

#[expect(clippy::expect_used, reason = "a constant that a test parses")]
pub(super) fn nobody() -> AgencyId {
    "nobody".parse().expect("`nobody` is a slug")
}
