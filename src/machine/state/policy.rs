//! Rows of agencies' policies.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{State, state::agency::AgencyNumber},
    model::{id::PolicyId, order::UnixMillis},
};

/// One policy of one agency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Policy {
    /// The canonical Cedar text of one `forbid`.
    pub text: String,
    /// The version of the Cedar schema it was written for.
    pub schema_version: u32,
    /// When this text was put.
    pub put_at: UnixMillis,
}

impl State {
    /// The policies of one agency, by id.
    pub fn policies_of(&self, agency: AgencyNumber) -> impl Iterator<Item = (&PolicyId, &Policy)> {
        let ids = self.indexes.policies_by_agency.get(&agency).into_iter().flatten();
        ids.filter_map(move |id| Some((id, self.tables.policies.get(&(agency, id.clone()))?)))
    }

    /// Puts a policy and keeps the indexes with it.
    pub(in crate::machine) fn put_policy(
        &mut self,
        agency: AgencyNumber,
        id: PolicyId,
        policy: Policy,
    ) {
        self.verdicts.forget(agency);
        self.indexes.policies_by_agency.entry(agency).or_default().insert(id.clone());
        self.tables.policies.put(&mut self.journal, (agency, id), policy);
    }

    /// Removes a policy and keeps the indexes with it.
    pub(in crate::machine) fn remove_policy(&mut self, agency: AgencyNumber, id: &PolicyId) {
        self.verdicts.forget(agency);
        if let Some(ids) = self.indexes.policies_by_agency.get_mut(&agency) {
            let _removed = ids.remove(id);
            if ids.is_empty() {
                let _none_left = self.indexes.policies_by_agency.remove(&agency);
            }
        }
        let _removed = self.tables.policies.remove(&mut self.journal, &(agency, id.clone()));
    }

    pub(super) fn index_policies(&mut self) {
        for ((agency, id), _) in self.tables.policies.iter() {
            self.indexes.policies_by_agency.entry(*agency).or_default().insert(id.clone());
        }
    }
}
