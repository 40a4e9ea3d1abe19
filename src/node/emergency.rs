//! The edge of emergency access: who acts and who is looked for become what the ledger may hold, and what is read is
//! unsealed once it is durable.
//!
//! INVARIANT (one answer): nobody, somebody of whom nothing may be read, and more than one take the same way and get the
//! same answer (G8).

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use crate::{
    ledger::Fault,
    machine::{Outcome, Receipt, Refusal, read::emergency as read},
    model::{
        digest::Digest,
        id::{AgencyId, EmergencyId, RecordId},
        violation::Violation,
    },
    node::{Asked, Failure, Node, Outgoing, encoded},
    pb::ledger::v1 as pb,
};

/// Who is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Sought {
    /// By an exact identifier.
    Identifiers(pb::Identifiers),
    /// By name, date of birth and postcode.
    Person(pb::Person),
}

/// What emergency access is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct EmergencyRequest {
    /// What kind of emergency it is.
    pub category: pb::EmergencyCategory,
    /// Why it cannot wait.
    pub reason: pb::EmergencyReason,
    /// The office of whoever acts.
    pub office: pb::EmergencyOffice,
    /// Who is looked for.
    pub sought: Sought,
    /// Why, in words.
    pub words: String,
}

/// The mark of nobody.
const NOBODY: Bytes = Bytes::from_static(&[0; 32]);

/// What was read: records with what they may leave on, and the first version of the last one if more follow.
pub(super) type Read = (Vec<Outgoing>, Option<RecordId>);

impl Sought {
    /// By what is looked for, and what is sealed of it.
    fn sealed(self, words: String) -> (pb::EmergencySearch, Vec<u8>) {
        let (search, detail) = match self {
            Self::Identifiers(identifiers) => (
                pb::EmergencySearch::Identifier,
                pb::EmergencyDetail { identifiers: Some(identifiers), person: None, words },
            ),
            Self::Person(person) => (
                pb::EmergencySearch::Person,
                pb::EmergencyDetail { identifiers: None, person: Some(person), words },
            ),
        };
        (search, detail.encode_to_vec())
    }
}

impl Node {
    /// Opens emergency access.
    ///
    /// # Errors
    /// A malformed field, or a fault; then it may or may not have taken effect, and repeating the request tells.
    pub async fn open_emergency(
        &self,
        asked: &Asked,
        request: EmergencyRequest,
    ) -> Result<Outcome, Failure> {
        let agency = agency_of(asked)?;
        let EmergencyRequest { category, reason, office, sought, words } = request;
        let of = (i32::from(category), i32::from(office));
        let said = match &sought {
            Sought::Identifiers(identifiers) => {
                self.shared.index().by_identifier(agency, identifiers)
            }
            Sought::Person(person) => self.shared.index().by_person(person),
        };
        let now = self.now()?;
        let candidates = self.read(|state| read::candidates(state, agency, of, (said, now)));
        let (search, detail) = sought.sealed(words);
        let open = pb::OpenEmergency {
            category: i32::from(category),
            reason: i32::from(reason),
            office: i32::from(office),
            staff: NOBODY,
            search: i32::from(search),
            search_mac: NOBODY,
            candidates: candidates
                .iter()
                .map(|client| Bytes::copy_from_slice(client.as_bytes()))
                .collect(),
        };
        // What is refused whoever acts opens no key either.
        let kind = pb::command::Kind::OpenEmergency(open.clone());
        if let Err(refusal) = self.check(asked, kind)?
            && refusal != Refusal::RequestIdReused
        {
            self.note_refused(agency, refusal).await?;
            return Ok(Err(refusal));
        }
        let search_mac = self.evidence_mac(agency, b"sought", &detail).await?;
        let kind = pb::command::Kind::OpenEmergency(pb::OpenEmergency {
            staff: self.staff(asked).await?,
            search_mac: Bytes::copy_from_slice(search_mac.as_bytes()),
            ..open
        });
        let (command, parsed) = encoded(asked.command(kind))?;
        let outcome = if let Some(outcome) = self.settled(&parsed)? {
            outcome
        } else {
            let mut parts = self.actor_parts(asked).await?;
            let kind = pb::PartKind::Emergency;
            parts.push(self.evidence_sealed(asked, kind, &detail).await?);
            self.propose(command, parsed, parts).await?
        };
        if let Err(refusal) = &outcome {
            self.note_refused(agency, *refusal).await?;
        }
        Ok(outcome)
    }

    /// Reads what emergency access reaches, from the record after `after` on.
    ///
    /// # Errors
    /// A malformed field, or a fault. The inner error is the refusal.
    pub async fn read_emergency(
        &self,
        asked: &Asked,
        (emergency, after): (EmergencyId, Option<RecordId>),
    ) -> Result<Result<Read, Refusal>, Failure> {
        let agency = agency_of(asked)?;
        if !self.is_own_emergency(agency, emergency) {
            return Ok(Err(Refusal::NotAvailable));
        }
        let now = self.now()?;
        let (lines, more) = self.read(|state| read::lines(state, agency, (emergency, after), now));
        let grants: BTreeMap<_, _> =
            lines.iter().map(|line| (line.record.clone(), line.grants.clone())).collect();
        let last = lines.last().and_then(|line| RecordId::from_slice(&line.record).ok());
        let last = last.filter(|_| more);
        let last = self.read(|state| last.and_then(|record| read::first_of(state, record)));
        let kind = pb::command::Kind::ReadEmergency(pb::ReadEmergency {
            emergency: Bytes::copy_from_slice(emergency.as_bytes()),
            staff: self.staff(asked).await?,
            lines,
        });
        match self.submit(asked, kind, None).await? {
            Ok(Receipt::Released(released)) => {
                let released = released.into_iter().map(|line| {
                    let grants = grants.get(line.record().as_bytes().as_slice());
                    let grants = grants.cloned().unwrap_or_default();
                    (line, grants)
                });
                Ok(Ok((self.unseal(released.collect()).await?, last)))
            }
            Ok(Receipt::Answer(_) | Receipt::Published { .. } | Receipt::Opened(_)) => {
                Ok(Err(Refusal::NotAvailable))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Whether emergency access is an agency's own.
    pub fn is_own_emergency(&self, agency: &AgencyId, emergency: EmergencyId) -> bool {
        self.read(|state| {
            let number = state.agency_number(agency);
            state.emergency(emergency).is_some_and(|row| Some(row.agency) == number)
        })
    }

    /// Who acts, as the ledger may hold it: the same for the same person, and nobody can tell who. 32 bytes of zero for a
    /// system.
    ///
    /// # Errors
    /// A fault.
    pub async fn staff(&self, asked: &Asked) -> Result<Bytes, Fault> {
        let (Some(staff), Some(agency)) = (&asked.staff, asked.agency()) else {
            return Ok(NOBODY);
        };
        let mac = self.evidence_mac(agency, b"staff", staff.staff_id.as_bytes()).await?;
        Ok(Bytes::copy_from_slice(mac.as_bytes()))
    }

    async fn evidence_mac(
        &self,
        agency: &AgencyId,
        domain: &[u8],
        content: &[u8],
    ) -> Result<Digest, Fault> {
        let key = self.data_key(None, Some(agency), pb::DisposalClass::Evidence).await?;
        let domain = Digest::of_parts("concordat.emergency.mac.v1", &[domain]);
        Ok(key.content_mac(&[domain.as_bytes().as_slice(), content].concat()))
    }

    /// Has those who answer for an agency hear that it was refused emergency access.
    async fn note_refused(&self, agency: &AgencyId, refusal: Refusal) -> Result<(), Fault> {
        let cause = if refusal == Refusal::EmergencyNotAuthorised {
            pb::EmergencyRefusal::NotAuthorised
        } else if refusal == Refusal::EmergencyTooMany {
            pb::EmergencyRefusal::TooMany
        } else if refusal == Refusal::EmergencyReviewOverdue {
            pb::EmergencyRefusal::ReviewOverdue
        } else if refusal == Refusal::NamedActorMissing {
            pb::EmergencyRefusal::Unattended
        } else {
            return Ok(());
        };
        let kind = pb::command::Kind::NoteEmergencyRefused(pb::NoteEmergencyRefused {
            agency: agency.to_string(),
            cause: i32::from(cause),
        });
        // It was told within the hour, if it is not told now.
        let _outcome = self.submit_own(kind, Vec::new()).await?;
        Ok(())
    }
}

fn agency_of(asked: &Asked) -> Result<&AgencyId, Failure> {
    asked.agency().ok_or_else(|| {
        Violation::new("", "CALLER_NOT_ALLOWED", "only an agency has emergency access").into()
    })
}
