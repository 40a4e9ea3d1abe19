//! Rows of clients: the names by which agencies know them, and caseloads.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, state::agency::AgencyNumber},
    model::{
        id::{AliasId, ClientId},
        order::{Position, UnixMillis},
    },
};

/// How an agency came to a name for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum AliasKind {
    /// The agency brought the client in, by identifiers of its own.
    Own,
    /// A record about the client was released to the agency. Kept apart from [`AliasKind::Own`], so that claiming
    /// a client by an identifier does not tell whom a redacted record is about.
    Received,
}

/// A client under one agency's name for it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Alias {
    /// The client.
    pub client: ClientId,
    /// How the agency came to the name.
    pub kind: AliasKind,
}

/// A client in an agency's caseload.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Case {
    /// Who confirmed the claim; `None` until then.
    pub confirmed_by: Option<AgencyNumber>,
    /// Where the claim was made.
    pub opened: Position,
    /// When the claim was made.
    pub opened_at: UnixMillis,
    /// When it was confirmed.
    pub confirmed_at: Option<UnixMillis>,
}

impl State {
    /// The client that an agency, or a body that went over into it, brought in under this name.
    pub fn own_client(&self, agency: AgencyNumber, alias: AliasId) -> Option<ClientId> {
        let named = |body| self.tables.aliases.get(&(body, alias));
        let row = named(agency).or_else(|| {
            let before = self.has_merged(agency).then(|| self.bodies(agency));
            before.into_iter().flatten().find_map(named)
        })?;
        (row.kind == AliasKind::Own).then_some(row.client)
    }

    /// The name under which an agency knows a client: its own, or that of a body that went over into it.
    pub fn alias(
        &self,
        agency: AgencyNumber,
        client: ClientId,
        kind: AliasKind,
    ) -> Option<AliasId> {
        let name = |body| self.indexes.alias_of.get(&(body, client, kind)).copied();
        name(agency).or_else(|| {
            let before = self.has_merged(agency).then(|| self.bodies(agency));
            before.into_iter().flatten().find_map(name)
        })
    }

    /// An agency's claim on a client: its own, or one that was carried to it with the whole of another body.
    pub fn claim_of(
        &self,
        agency: AgencyNumber,
        client: ClientId,
    ) -> Option<(AgencyNumber, &Case)> {
        let claim = |body| Some((body, self.tables.caseload.get(&(body, client))?));
        claim(agency).or_else(|| {
            let before = self.has_merged(agency).then(|| self.bodies(agency));
            let carried = before.into_iter().flatten().filter(|body| self.carried(*body, agency));
            carried.filter_map(claim).max_by_key(|(_, case)| case.confirmed_by.is_some())
        })
    }

    /// Whether the client is in the agency's confirmed caseload.
    pub fn in_confirmed_caseload(&self, agency: AgencyNumber, client: ClientId) -> bool {
        let confirmed = |body| {
            let case = self.tables.caseload.get(&(body, client));
            case.is_some_and(|case| case.confirmed_by.is_some())
        };
        confirmed(agency)
            || self.has_merged(agency)
                && self.bodies(agency).any(|body| confirmed(body) && self.carried(body, agency))
    }

    /// Puts an alias and keeps the indexes with it.
    pub(in crate::machine) fn put_alias(
        &mut self,
        agency: AgencyNumber,
        alias: AliasId,
        row: Alias,
    ) {
        self.indexes.alias_of.insert((agency, row.client, row.kind), alias);
        self.tables.aliases.put(&mut self.journal, (agency, alias), row);
    }

    pub(super) fn index_aliases(&mut self) {
        self.indexes.alias_of = self
            .tables
            .aliases
            .iter()
            .map(|((agency, alias), row)| ((*agency, row.client, row.kind), *alias))
            .collect();
    }
}
