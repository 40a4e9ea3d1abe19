//! Commands about emergency access. Shape only: who may have it is decided by the rules.
//!
//! Source: `proto/concordat/ledger/v1/emergency.proto`.

use std::collections::BTreeSet;

use crate::{
    machine::command::{code, digest, malformed, name, record::Grant},
    model::{
        digest::Digest,
        id::{AgencyId, ClientId, EmergencyId, RecordId},
        limit,
        order::UnixMillis,
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

/// The greatest number of categories or offices that are named at once.
const CODES_MAX: usize = 8;
/// How many clients a search may be said to mean: two are as good as many.
const CANDIDATES_MAX: usize = 2;

/// A command about emergency access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmergencyCommand {
    /// Says which offices of the agency may use it, and until when.
    Authorise {
        /// The offices (`EmergencyOffice`); none ends the authorisation.
        offices: BTreeSet<i32>,
        /// Until when.
        until: UnixMillis,
    },
    /// Opens it.
    Open(Open),
    /// Releases records under it.
    Read(Read),
    /// Reviews it.
    Review {
        /// Which.
        emergency: EmergencyId,
        /// What was found.
        finding: pb::EmergencyFinding,
        /// The office of the reviewer.
        reviewer: pb::EmergencyReviewer,
        /// Who reviews: the same person, and not who.
        staff: Digest,
    },
    /// Says that it was refused to an agency.
    NoteRefused {
        /// The agency.
        agency: AgencyId,
        /// Why.
        cause: pb::EmergencyRefusal,
    },
}

/// Opens emergency access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// What kind of emergency it is.
    pub category: pb::EmergencyCategory,
    /// Why it cannot wait.
    pub reason: pb::EmergencyReason,
    /// The office of whoever acts.
    pub office: pb::EmergencyOffice,
    /// Who acts: the same person, and not who.
    pub staff: Digest,
    /// By what the client was looked for.
    pub search: pb::EmergencySearch,
    /// What was looked for, as nobody can read it.
    pub search_mac: Digest,
    /// Whom the search may mean.
    pub candidates: BTreeSet<ClientId>,
}

/// Releases records under emergency access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which.
    pub emergency: EmergencyId,
    /// Who reads.
    pub staff: Digest,
    /// What would leave.
    pub lines: Vec<Line>,
}

/// One record that would leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The latest version.
    pub record: RecordId,
    /// On which flows.
    pub grants: Vec<Grant>,
}

/// 1 to 8 codes, each once; `fewest` may be 0.
pub(super) fn codes<E>(
    numbers: &[i32],
    fewest: usize,
    field: &str,
) -> Result<BTreeSet<i32>, Violation>
where
    E: TryFrom<i32> + Default + PartialEq,
{
    let set: BTreeSet<i32> = numbers
        .iter()
        .map(|number| code::<E>(*number, field).map(|_| *number))
        .collect::<Result<_, _>>()?;
    if set.len() == numbers.len() && (fewest..=CODES_MAX).contains(&set.len()) {
        Ok(set)
    } else {
        Err(malformed(field, "the list is empty, too long or names something twice"))
    }
}

impl EmergencyCommand {
    pub(super) fn authorise(message: &pb::AuthoriseEmergency) -> Result<Self, Violation> {
        let pb::AuthoriseEmergency { offices, until_ms } = message;
        let offices = codes::<pb::EmergencyOffice>(offices, 0, "offices")?;
        Ok(Self::Authorise { offices, until: UnixMillis::new(*until_ms) })
    }

    pub(super) fn open(message: pb::OpenEmergency) -> Result<Self, Violation> {
        let pb::OpenEmergency { category, reason, office, staff, search, search_mac, candidates } =
            message;
        let clients: BTreeSet<ClientId> = candidates
            .iter()
            .map(|id| ClientId::from_slice(id).map_err(|v| v.inside("candidates")))
            .collect::<Result<_, _>>()?;
        if CANDIDATES_MAX < candidates.len() || clients.len() != candidates.len() {
            return Err(malformed("candidates", "a search means at most 2 clients, each once"));
        }
        Ok(Self::Open(Open {
            category: code(category, "category")?,
            reason: code(reason, "reason")?,
            office: code(office, "office")?,
            staff: digest(&staff, "staff")?,
            search: code(search, "search")?,
            search_mac: digest(&search_mac, "search_mac")?,
            candidates: clients,
        }))
    }

    pub(super) fn read(message: pb::ReadEmergency) -> Result<Self, Violation> {
        let pb::ReadEmergency { emergency, staff, lines } = message;
        if limit::EMERGENCY_LINES_MAX < lines.len() {
            return Err(malformed("lines", "at most 16 records leave at once"));
        }
        let lines: Vec<Line> = lines.into_iter().map(Line::try_from).collect::<Result<_, _>>()?;
        let once: BTreeSet<_> = lines.iter().map(|line| line.record).collect();
        if once.len() != lines.len() {
            return Err(malformed("lines", "a record is named once"));
        }
        Ok(Self::Read(Read {
            emergency: named(&emergency)?,
            staff: digest(&staff, "staff")?,
            lines,
        }))
    }

    pub(super) fn review(message: &pb::ReviewEmergency) -> Result<Self, Violation> {
        let pb::ReviewEmergency { emergency, finding, reviewer, staff } = message;
        Ok(Self::Review {
            emergency: named(emergency)?,
            finding: code(*finding, "finding")?,
            reviewer: code(*reviewer, "reviewer")?,
            staff: digest(staff, "staff")?,
        })
    }

    pub(super) fn note_refused(message: &pb::NoteEmergencyRefused) -> Result<Self, Violation> {
        let pb::NoteEmergencyRefused { agency, cause } = message;
        Ok(Self::NoteRefused { agency: name(agency, "agency")?, cause: code(*cause, "cause")? })
    }
}

fn named(bytes: &[u8]) -> Result<EmergencyId, Violation> {
    EmergencyId::from_slice(bytes).map_err(|violation| violation.inside("emergency"))
}

impl TryFrom<pb::EmergencyLine> for Line {
    type Error = Violation;

    fn try_from(message: pb::EmergencyLine) -> Result<Self, Violation> {
        let pb::EmergencyLine { record, grants } = message;
        if grants.is_empty() || limit::GROUPS_MAX < grants.len() {
            return Err(malformed("lines.grants", "a record leaves on 1 to 32 flows"));
        }
        Ok(Self {
            record: RecordId::from_slice(&record).map_err(|v| v.inside("lines.record"))?,
            grants: grants.into_iter().map(Grant::try_from).collect::<Result<_, _>>()?,
        })
    }
}
