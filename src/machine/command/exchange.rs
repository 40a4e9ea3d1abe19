//! Commands about the exchange itself.

use crate::{
    machine::command::{code, digest, malformed, name},
    model::{
        digest::Digest,
        id::{AgencyId, ClientId, EpochName, GroupName, KeyId, LedgerId, RecordTypeName},
        limit,
        order::Position,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The format of the ledger's files and leaves that this program writes.
pub const LEDGER_FORMAT: u32 = 1;

/// What is to change about the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeCommand {
    /// Begins the ledger.
    Genesis {
        /// Its name.
        ledger: LedgerId,
        /// The fingerprint of the operator's certificate.
        operator_certificate: Digest,
        /// The public key that signs checkpoints.
        checkpoint_key: [u8; 32],
    },
    /// Puts newer rules in force.
    ActivateRules {
        /// Their version.
        version: u32,
    },
    /// Makes a record type known.
    RegisterRecordType {
        /// Its name.
        name: RecordTypeName,
        /// Its version.
        version: u32,
        /// Its field groups, and whether each holds special category data.
        groups: Vec<(GroupName, bool)>,
    },
    /// Opens a data key.
    OpenKey {
        /// The key's id.
        key: KeyId,
        /// Whose data it seals.
        client: Option<ClientId>,
        /// Which agency's data it seals.
        agency: Option<AgencyId>,
        /// What is disposed of together.
        class: pb::DisposalClass,
        /// The epoch that wraps it, if it is told.
        epoch: Option<EpochName>,
    },
    /// Lets time pass.
    Tick,
    /// Continues the oldest sweep.
    ContinueSweep,
    /// States what the state was.
    Attest {
        /// The last position covered.
        position: Position,
        /// The schema of the rows.
        schema: u32,
        /// Lines struck.
        lines_struck: u64,
        /// The chained digest of outcomes.
        outcomes: Digest,
        /// The digest of the rows.
        rows: Digest,
    },
}

impl ExchangeCommand {
    pub(super) fn genesis(message: pb::Genesis) -> Result<Self, Violation> {
        let pb::Genesis { ledger_id, format, operator_certificate, checkpoint_key } = message;
        if format != LEDGER_FORMAT {
            return Err(malformed("format", "the ledger's format is 1"));
        }
        Ok(Self::Genesis {
            ledger: LedgerId::from_slice(&ledger_id).map_err(|v| v.inside("ledger_id"))?,
            operator_certificate: digest(&operator_certificate, "operator_certificate")?,
            checkpoint_key: <[u8; 32]>::try_from(&*checkpoint_key)
                .map_err(|_| malformed("checkpoint_key", "an Ed25519 public key has 32 bytes"))?,
        })
    }

    pub(super) fn activate_rules(message: pb::ActivateRules) -> Self {
        let pb::ActivateRules { version } = message;
        Self::ActivateRules { version }
    }

    pub(super) fn register_record_type(message: pb::RegisterRecordType) -> Result<Self, Violation> {
        let pb::RegisterRecordType { name: text, version, groups } = message;
        if groups.is_empty() || limit::GROUPS_MAX < groups.len() {
            return Err(malformed("groups", "a record type has 1 to 32 field groups"));
        }
        let groups = groups
            .into_iter()
            .map(|pb::FieldGroup { name: group, special_category }| {
                Ok((name(&group, "groups.name")?, special_category))
            })
            .collect::<Result<Vec<(GroupName, bool)>, Violation>>()?;
        Ok(Self::RegisterRecordType { name: name(&text, "name")?, version, groups })
    }

    pub(super) fn open_key(message: pb::OpenKey) -> Result<Self, Violation> {
        let pb::OpenKey { key, client, agency, disposal_class, epoch } = message;
        Ok(Self::OpenKey {
            key: KeyId::from_slice(&key).map_err(|v| v.inside("key"))?,
            client: (!client.is_empty())
                .then(|| ClientId::from_slice(&client))
                .transpose()
                .map_err(|v| v.inside("client"))?,
            agency: (!agency.is_empty()).then(|| name(&agency, "agency")).transpose()?,
            class: code(disposal_class, "disposal_class")?,
            epoch: (!epoch.is_empty())
                .then(|| EpochName::from_slice(&epoch))
                .transpose()
                .map_err(|v| v.inside("epoch"))?,
        })
    }

    pub(super) fn attest(message: pb::Attest) -> Result<Self, Violation> {
        let pb::Attest { position, schema, lines_struck, outcome_digest, state_digest } = message;
        Ok(Self::Attest {
            position: Position::new(position),
            schema,
            lines_struck,
            outcomes: digest(&outcome_digest, "outcome_digest")?,
            rows: digest(&state_digest, "state_digest")?,
        })
    }
}
