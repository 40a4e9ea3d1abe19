//! Commands about consents: given, refused, withdrawn.
//!
//! Shape only. Whether anybody may ask for the consent, and whether the grantor may give it, is decided by the rules.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, digest, malformed, name, names, optional_code},
    model::{
        digest::Digest,
        id::{AgencyId, AliasId, ConsentId, GroupName, RecordTypeName},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The greatest age that anybody is recorded with, in whole years.
pub const AGE_YEARS_MAX: u32 = 130;

/// What is to change about a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentCommand {
    /// Records a consent.
    Record {
        /// What it is about.
        scope: Scope,
        /// How it was given.
        act: Act,
        /// When it ends by itself.
        expires_at: Option<UnixMillis>,
    },
    /// Records that consent was refused.
    Refuse {
        /// What it is about.
        scope: Scope,
        /// How it was refused.
        act: Act,
    },
    /// Withdraws a consent.
    Withdraw {
        /// Which.
        consent: ConsentId,
        /// For whom; empty for every recipient.
        recipients: BTreeSet<AgencyId>,
        /// Whether they are asked to stop using what they were sent on it.
        recall: bool,
    },
}

/// What a consent or a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The client, by the alias of the agency that records.
    pub client: AliasId,
    /// Whose records.
    pub publisher: AgencyId,
    /// The type of record.
    pub record_type: RecordTypeName,
    /// The field groups.
    pub groups: BTreeSet<GroupName>,
    /// Who may, or may not, receive.
    pub recipients: BTreeSet<AgencyId>,
    /// Which kind of consent; never `Gate::None`.
    pub gate: pb::Gate,
}

/// How and by whom a consent or refusal was expressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who spoke.
    pub grantor: pb::Grantor,
    /// How the agency knows of that person's authority.
    pub authority: pb::Authority,
    /// The client's age in whole years, at most [`AGE_YEARS_MAX`].
    pub age_years: u32,
    /// How it was given.
    pub method: pb::ConsentMethod,
    /// When it was given.
    pub given_at: UnixMillis,
    /// SHA-256 of the privacy notice that was shown.
    pub notice_digest: Digest,
}

impl TryFrom<Option<pb::ConsentScope>> for Scope {
    type Error = Violation;

    fn try_from(message: Option<pb::ConsentScope>) -> Result<Self, Violation> {
        let pb::ConsentScope { client, publisher, record_type, groups, recipients, gate } =
            message.ok_or_else(|| malformed("scope", "a consent is about something"))?;
        let gate = match code(gate, "scope.gate")? {
            pb::Gate::None | pb::Gate::Unspecified => {
                return Err(malformed("scope.gate", "where no gate asks, no consent is recorded"));
            }
            gate @ (pb::Gate::DataProtectionConsent
            | pb::Gate::StatutoryConsent
            | pb::Gate::Confidentiality) => gate,
        };
        Ok(Self {
            client: AliasId::from_slice(&client).map_err(|v| v.inside("scope.client"))?,
            publisher: name(&publisher, "scope.publisher")?,
            record_type: name(&record_type, "scope.record_type")?,
            groups: names(&groups, limit::GROUPS_MAX, "scope.groups")?,
            recipients: names(&recipients, limit::RECIPIENTS_MAX, "scope.recipients")?,
            gate,
        })
    }
}

impl TryFrom<Option<pb::ConsentAct>> for Act {
    type Error = Violation;

    fn try_from(message: Option<pb::ConsentAct>) -> Result<Self, Violation> {
        let pb::ConsentAct { grantor, authority, age_years, method, given_at_ms, notice_digest } =
            message.ok_or_else(|| malformed("act", "a consent is an act of somebody"))?;
        if AGE_YEARS_MAX < age_years {
            return Err(malformed("act.age_years", "an age is at most 130 whole years"));
        }
        Ok(Self {
            grantor: code(grantor, "act.grantor")?,
            authority: optional_code(authority, "act.authority")?,
            age_years,
            method: code(method, "act.method")?,
            given_at: UnixMillis::new(given_at_ms),
            notice_digest: digest(&notice_digest, "act.notice_digest")?,
        })
    }
}

impl ConsentCommand {
    pub(super) fn record(message: pb::RecordConsent) -> Result<Self, Violation> {
        let pb::RecordConsent { scope, act, expires_at_ms } = message;
        let expires_at = (expires_at_ms != 0).then(|| UnixMillis::new(expires_at_ms));
        Ok(Self::Record { scope: scope.try_into()?, act: act.try_into()?, expires_at })
    }

    pub(super) fn refuse(message: pb::RefuseConsent) -> Result<Self, Violation> {
        let pb::RefuseConsent { scope, act } = message;
        Ok(Self::Refuse { scope: scope.try_into()?, act: act.try_into()? })
    }

    pub(super) fn withdraw(message: pb::WithdrawConsent) -> Result<Self, Violation> {
        let pb::WithdrawConsent { consent, recipients, recall } = message;
        let consent = ConsentId::from_slice(&consent).map_err(|v| v.inside("consent"))?;
        let recipients = if recipients.is_empty() {
            BTreeSet::new()
        } else {
            names(&recipients, limit::RECIPIENTS_MAX, "recipients")?
        };
        Ok(Self::Withdraw { consent, recipients, recall })
    }
}
