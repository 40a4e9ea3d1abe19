//! Commands about erasure: what is erased, held and disposed of, and what the node states of the work.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, malformed, name},
    model::{
        id::{AgencyId, AliasId, EpochName, ErasureId, HoldId, KeyId, RecordId, RecordTypeName},
        limit,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// What is to change about erasures and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureCommand {
    /// Erases what an agency published.
    Erase {
        /// What.
        scope: Scope,
        /// On which ground; never that retention ended.
        ground: pb::ErasureGround,
    },
    /// Places a legal hold.
    PlaceHold {
        /// On what.
        scope: Scope,
        /// On which ground.
        ground: pb::HoldGround,
    },
    /// Lifts a legal hold.
    LiftHold {
        /// Which.
        hold: HoldId,
    },
    /// Wraps data keys anew.
    Rewrap {
        /// The epoch that wraps them now.
        epoch: EpochName,
        /// The keys, in the order of their wrapped forms.
        keys: Vec<KeyId>,
    },
    /// States that nothing of an erasure is left.
    Complete {
        /// Which.
        erasure: ErasureId,
        /// The epochs that were destroyed.
        epochs: BTreeSet<EpochName>,
    },
    /// Disposes of records that nobody may keep any longer.
    Dispose {
        /// Who published them.
        publisher: AgencyId,
        /// Their type.
        record_type: RecordTypeName,
        /// The records, by their first versions.
        records: BTreeSet<RecordId>,
    },
}

/// What an erasure or a hold is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that the agency published about a client, by the agency's alias.
    Client(AliasId),
    /// One record, by any of its versions.
    Record(RecordId),
}

impl Scope {
    fn parse(client: &[u8], record: &[u8]) -> Result<Self, Violation> {
        match (client.is_empty(), record.is_empty()) {
            (false, true) => AliasId::from_slice(client)
                .map(Self::Client)
                .map_err(|violation| violation.inside("client")),
            (true, false) => RecordId::from_slice(record)
                .map(Self::Record)
                .map_err(|violation| violation.inside("record")),
            (true, true) | (false, false) => {
                Err(malformed("record", "name either a client or one record"))
            }
        }
    }
}

impl ErasureCommand {
    pub(super) fn erase(message: pb::EraseRecords) -> Result<Self, Violation> {
        let pb::EraseRecords { client, record, ground } = message;
        let scope = Scope::parse(&client, &record)?;
        let ground = code(ground, "ground")?;
        if ground == pb::ErasureGround::RetentionEnded {
            let text = "the exchange itself disposes of what is overdue; erase on another ground";
            return Err(malformed("ground", text));
        }
        Ok(Self::Erase { scope, ground })
    }

    pub(super) fn place_hold(message: pb::PlaceHold) -> Result<Self, Violation> {
        let pb::PlaceHold { client, record, ground } = message;
        let scope = Scope::parse(&client, &record)?;
        Ok(Self::PlaceHold { scope, ground: code(ground, "ground")? })
    }

    pub(super) fn lift_hold(message: pb::LiftHold) -> Result<Self, Violation> {
        let pb::LiftHold { hold } = message;
        Ok(Self::LiftHold { hold: HoldId::from_slice(&hold).map_err(|v| v.inside("hold"))? })
    }

    pub(super) fn rewrap(message: pb::RewrapKeys) -> Result<Self, Violation> {
        let pb::RewrapKeys { epoch, keys } = message;
        let epoch = EpochName::from_slice(&epoch).map_err(|v| v.inside("epoch"))?;
        if keys.is_empty() || limit::REWRAPS_MAX < keys.len() {
            return Err(malformed("keys", "1 to 64 keys are wrapped anew"));
        }
        let keys = keys
            .iter()
            .map(|bytes| KeyId::from_slice(bytes).map_err(|v| v.inside("keys")))
            .collect::<Result<_, _>>()?;
        Ok(Self::Rewrap { epoch, keys })
    }

    pub(super) fn complete(message: pb::CompleteErasure) -> Result<Self, Violation> {
        let pb::CompleteErasure { erasure, epochs } = message;
        let erasure = ErasureId::from_slice(&erasure).map_err(|v| v.inside("erasure"))?;
        if limit::ERASURE_EPOCHS_MAX < epochs.len() {
            return Err(malformed("epochs", "an erasure has at most 1,024 epochs"));
        }
        let epochs = epochs
            .iter()
            .map(|bytes| EpochName::from_slice(bytes).map_err(|v| v.inside("epochs")))
            .collect::<Result<_, _>>()?;
        Ok(Self::Complete { erasure, epochs })
    }

    pub(super) fn dispose(message: pb::DisposeOverdue) -> Result<Self, Violation> {
        let pb::DisposeOverdue { publisher, record_type, records } = message;
        if records.is_empty() || limit::DISPOSALS_MAX < records.len() {
            return Err(malformed("records", "1 to 16 records are disposed of at once"));
        }
        let records = records
            .iter()
            .map(|bytes| RecordId::from_slice(bytes).map_err(|v| v.inside("records")))
            .collect::<Result<_, _>>()?;
        let publisher = name(&publisher, "publisher")?;
        Ok(Self::Dispose { publisher, record_type: name(&record_type, "record_type")?, records })
    }
}
