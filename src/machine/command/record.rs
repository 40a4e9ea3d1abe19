//! Commands about records.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, digest, malformed, name, names, optional_code},
    model::{
        digest::Digest,
        id::{AgreementId, AliasId, ConsentId, FlowId, GroupName, KeyId, RecordId, RecordTypeName},
        limit,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The greatest number of grounds of one line.
const GRANTS_MAX: usize = 64;

/// What is to change about records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordCommand {
    /// Publishes one.
    Publish(Publish),
    /// Opens one for one reader.
    Open(Open),
}

/// A record, or a new version of one, to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The type of record.
    pub record_type: RecordTypeName,
    /// The version of the type.
    pub type_version: u32,
    /// The version of the code lists, as the number yyyymmdd.
    pub code_lists: u32,
    /// The client, by the publisher's name for it.
    pub client: AliasId,
    /// The version that it replaces.
    pub supersedes: Option<RecordId>,
    /// The groups that the body holds.
    pub groups: BTreeSet<GroupName>,
    /// HMAC of the request's content.
    pub content_mac: Digest,
    /// The data key that seals the body.
    pub key: KeyId,
    /// Whether the version that it replaces was wrong.
    pub correction: bool,
}

/// A record to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The version.
    pub record: RecordId,
    /// Why.
    pub reason: pb::ReadReason,
    /// On which grounds; none for the publisher.
    pub grants: Vec<Grant>,
    /// The office of whoever reads, as their agency says (`StaffOffice`).
    pub office: pb::StaffOffice,
}

/// A ground on which groups leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The flow.
    pub flow: FlowId,
    /// The groups.
    pub groups: BTreeSet<GroupName>,
    /// The consents relied on.
    pub consents: BTreeSet<ConsentId>,
}

impl RecordCommand {
    pub(super) fn publish(message: pb::PublishRecord) -> Result<Self, Violation> {
        let pb::PublishRecord {
            record_type,
            type_version,
            code_lists,
            client,
            supersedes,
            groups,
            content_mac,
            key,
            change,
        } = message;
        let change: pb::VersionChange = optional_code(change, "change")?;
        if supersedes.is_empty() && change != pb::VersionChange::Unspecified {
            return Err(malformed("change", "a new record changes nothing; name what it replaces"));
        }
        let code_lists = code_lists_number(&code_lists)
            .ok_or_else(|| malformed("code_lists", "the version is an ISO 8601 date"))?;
        Ok(Self::Publish(Publish {
            record_type: name(&record_type, "record_type")?,
            type_version,
            code_lists,
            client: AliasId::from_slice(&client).map_err(|v| v.inside("client"))?,
            supersedes: (!supersedes.is_empty())
                .then(|| RecordId::from_slice(&supersedes))
                .transpose()
                .map_err(|v| v.inside("supersedes"))?,
            groups: names(&groups, limit::GROUPS_MAX, "groups")?,
            content_mac: digest(&content_mac, "content_mac")?,
            key: KeyId::from_slice(&key).map_err(|v| v.inside("key"))?,
            correction: change == pb::VersionChange::Correction,
        }))
    }

    pub(super) fn open(message: pb::OpenRecord) -> Result<Self, Violation> {
        let pb::OpenRecord { record, reason, grants, office } = message;
        let reason = code(reason, "reason")?;
        if reason == pb::ReadReason::Emergency {
            return Err(malformed("reason", "emergency access has commands of its own"));
        }
        Ok(Self::Open(Open {
            record: RecordId::from_slice(&record).map_err(|v| v.inside("record"))?,
            reason,
            grants: Grant::all(grants)?,
            office: optional_code(office, "office")?,
        }))
    }
}

/// The number yyyymmdd of an ISO 8601 calendar date.
fn code_lists_number(text: &str) -> Option<u32> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(place, b)| {
            if place == 4 || place == 7 { b == b'-' } else { b.is_ascii_digit() }
        });
    form.then(|| text.replace('-', "").parse().ok()).flatten()
}

impl Grant {
    /// Parses the grounds of one line.
    pub(super) fn all(messages: Vec<pb::Grant>) -> Result<Vec<Self>, Violation> {
        if GRANTS_MAX < messages.len() {
            return Err(malformed("grants", "a line has at most 64 grounds"));
        }
        messages.into_iter().map(Self::try_from).collect()
    }
}

impl TryFrom<pb::Grant> for Grant {
    type Error = Violation;

    fn try_from(message: pb::Grant) -> Result<Self, Violation> {
        let pb::Grant { agreement, version, flow, groups, consents } = message;
        Ok(Self {
            agreement: name(&agreement, "grants.agreement")?,
            version,
            flow: name(&flow, "grants.flow")?,
            groups: names(&groups, limit::GROUPS_MAX, "grants.groups")?,
            consents: consents
                .iter()
                .map(|bytes| ConsentId::from_slice(bytes).map_err(|v| v.inside("grants.consents")))
                .collect::<Result<_, _>>()?,
        })
    }
}
