//! Commands about agencies' own policies.

use crate::{
    machine::command::{malformed, name},
    model::{id::PolicyId, violation::Violation},
    pb::ledger::v1 as pb,
};

/// What is to change about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyCommand {
    /// Puts a policy, or replaces the one of the same id.
    Put {
        /// Its id inside the agency.
        policy: PolicyId,
        /// The Cedar text.
        text: String,
        /// The version of the Cedar schema it was written for.
        schema_version: u32,
    },
    /// Removes a policy.
    Remove {
        /// Which.
        policy: PolicyId,
    },
}

impl PolicyCommand {
    pub(super) fn put(message: pb::PutPolicy) -> Result<Self, Violation> {
        let pb::PutPolicy { policy, text, schema_version } = message;
        if schema_version == 0 {
            return Err(malformed("schema_version", "the version of the schema is from 1"));
        }
        Ok(Self::Put { policy: name(&policy, "policy")?, text, schema_version })
    }

    pub(super) fn remove(message: pb::RemovePolicy) -> Result<Self, Violation> {
        let pb::RemovePolicy { policy } = message;
        Ok(Self::Remove { policy: name(&policy, "policy")? })
    }
}
