//! Commands about clients and caseloads. Identifiers ride sealed beside the command and are never seen here.

use bytes::Bytes;

use crate::{
    machine::command::name,
    model::{
        id::{AgencyId, AliasId, ClientId, KeyId},
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// What is to change about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Makes a client known to the agency that asks.
    Add {
        /// The client, new or known.
        client: ClientId,
        /// The data key that seals the identifiers, if it is told.
        key: Option<KeyId>,
    },
    /// Claims a client for the caseload of the agency that asks.
    OpenCaseload {
        /// The client, by that agency's alias.
        client: AliasId,
    },
    /// Confirms another agency's claim.
    ConfirmCaseload {
        /// The client, by the confirming agency's alias.
        client: AliasId,
        /// The claiming agency.
        agency: AgencyId,
    },
    /// Ends a claim, confirmed or not.
    EndCaseload {
        /// The client, by the alias of the agency that asks.
        client: AliasId,
        /// Whose caseload it is.
        agency: AgencyId,
    },
}

fn alias(bytes: &Bytes) -> Result<AliasId, Violation> {
    AliasId::from_slice(bytes).map_err(|violation| violation.inside("client"))
}

impl ClientCommand {
    pub(super) fn add(message: pb::AddClient) -> Result<Self, Violation> {
        let pb::AddClient { client, key } = message;
        let client = ClientId::from_slice(&client).map_err(|v| v.inside("client"))?;
        let key = (!key.is_empty()).then(|| KeyId::from_slice(&key)).transpose();
        Ok(Self::Add { client, key: key.map_err(|v| v.inside("key"))? })
    }

    pub(super) fn open_caseload(message: pb::OpenCaseload) -> Result<Self, Violation> {
        let pb::OpenCaseload { client } = message;
        Ok(Self::OpenCaseload { client: alias(&client)? })
    }

    pub(super) fn confirm_caseload(message: pb::ConfirmCaseload) -> Result<Self, Violation> {
        let pb::ConfirmCaseload { client, agency } = message;
        Ok(Self::ConfirmCaseload { client: alias(&client)?, agency: name(&agency, "agency")? })
    }

    pub(super) fn end_caseload(message: pb::EndCaseload) -> Result<Self, Violation> {
        let pb::EndCaseload { client, agency } = message;
        Ok(Self::EndCaseload { client: alias(&client)?, agency: name(&agency, "agency")? })
    }
}
