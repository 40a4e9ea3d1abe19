//! Commands about consents: given, refused, withdrawn; about those who speak for a client, and about disputes of theirs.
//!
//! Shape only. Whether anybody may ask for the consent, and whether the grantor may give it, is decided by the rules.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, malformed, name, names},
    model::{
        id::{AgencyId, AliasId, ConsentId, GroupName, HolderId, RecordTypeName},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

mod act;

pub use act::{AGE_YEARS_MAX, Act, Review};

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
        /// The consent that it renews.
        renews: Option<ConsentId>,
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
        /// For what; empty for every group.
        groups: BTreeSet<GroupName>,
    },
    /// Records a person who may speak for a client, or must not.
    Holder {
        /// The client, by the alias of the agency that records.
        client: AliasId,
        /// The person, if recorded before.
        holder: Option<HolderId>,
        /// Whether the person has rights.
        standing: pb::Standing,
    },
    /// Decides about a refusal that others do not share.
    Resolve {
        /// The refusal.
        refusal: ConsentId,
        /// What is decided.
        resolution: pb::Resolution,
        /// Why.
        ground: pb::ResolutionGround,
        /// The client's own view.
        view: pb::ClientView,
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
    /// The purposes (`Purpose`); empty for all that ask.
    pub purposes: BTreeSet<i32>,
}

/// The greatest number of purposes that one scope names.
const PURPOSES_MAX: usize = 8;

impl TryFrom<Option<pb::ConsentScope>> for Scope {
    type Error = Violation;

    fn try_from(message: Option<pb::ConsentScope>) -> Result<Self, Violation> {
        let pb::ConsentScope { client, publisher, record_type, groups, recipients, gate, purposes } =
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
            purposes: set_of_purposes(&purposes)?,
        })
    }
}

fn set_of_purposes(codes: &[i32]) -> Result<BTreeSet<i32>, Violation> {
    let known = |number: &i32| {
        let purpose: pb::Purpose = code(*number, "scope.purposes")?;
        Ok::<i32, Violation>(i32::from(purpose))
    };
    let set: BTreeSet<i32> = codes.iter().map(known).collect::<Result<_, _>>()?;
    if PURPOSES_MAX < codes.len() || set.len() != codes.len() {
        return Err(malformed("scope.purposes", "the list is too long or names something twice"));
    }
    Ok(set)
}

impl ConsentCommand {
    pub(super) fn record(message: pb::RecordConsent) -> Result<Self, Violation> {
        let pb::RecordConsent { scope, act, expires_at_ms, renews } = message;
        let expires_at = (expires_at_ms != 0).then(|| UnixMillis::new(expires_at_ms));
        let renews = if renews.is_empty() {
            None
        } else {
            Some(ConsentId::from_slice(&renews).map_err(|v| v.inside("renews"))?)
        };
        Ok(Self::Record { scope: scope.try_into()?, act: act.try_into()?, expires_at, renews })
    }

    pub(super) fn refuse(message: pb::RefuseConsent) -> Result<Self, Violation> {
        let pb::RefuseConsent { scope, act } = message;
        Ok(Self::Refuse { scope: scope.try_into()?, act: act.try_into()? })
    }

    pub(super) fn withdraw(message: pb::WithdrawConsent) -> Result<Self, Violation> {
        let pb::WithdrawConsent { consent, recipients, recall, groups } = message;
        let consent = ConsentId::from_slice(&consent).map_err(|v| v.inside("consent"))?;
        let recipients = some_names(&recipients, limit::RECIPIENTS_MAX, "recipients")?;
        let groups = some_names(&groups, limit::GROUPS_MAX, "groups")?;
        Ok(Self::Withdraw { consent, recipients, groups, recall })
    }

    pub(super) fn holder(message: pb::RecordHolder) -> Result<Self, Violation> {
        let pb::RecordHolder { client, holder, standing } = message;
        Ok(Self::Holder {
            client: AliasId::from_slice(&client).map_err(|v| v.inside("client"))?,
            holder: act::holder(&holder, "holder")?,
            standing: code(standing, "standing")?,
        })
    }

    pub(super) fn resolve(message: pb::ResolveConsent) -> Result<Self, Violation> {
        let pb::ResolveConsent { refusal, resolution, ground, view } = message;
        Ok(Self::Resolve {
            refusal: ConsentId::from_slice(&refusal).map_err(|v| v.inside("refusal"))?,
            resolution: code(resolution, "resolution")?,
            ground: code(ground, "ground")?,
            view: code(view, "view")?,
        })
    }
}

/// No name, or at most so many.
fn some_names<T: std::str::FromStr<Err = Violation> + Ord>(
    texts: &[String],
    most: usize,
    field: &str,
) -> Result<BTreeSet<T>, Violation> {
    if texts.is_empty() { Ok(BTreeSet::new()) } else { names(texts, most, field) }
}
