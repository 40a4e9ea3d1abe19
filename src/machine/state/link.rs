//! Who is one person: clients under several ids.
//!
//! A link is an overlay over ids: records, consents and caseloads stay where they are, and whoever asks about a person asks
//! about every id that is linked to it. Nothing is moved, so that a link that was wrong can be taken back whole.

use std::collections::BTreeSet;

use crate::{machine::State, model::id::ClientId};

impl State {
    /// The ids under which a person is known here: `client` itself, and every id that is linked to it.
    #[expect(clippy::unused_self, reason = "no link is made yet")]
    pub fn one_person(&self, client: ClientId) -> BTreeSet<ClientId> {
        BTreeSet::from([client])
    }
}
