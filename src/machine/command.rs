//! A command: the one parser of what the ledger holds, one file per noun below.
//!
//! Bytes that a known version of the rules cannot parse are refused; a command of a later version stops the node
//! (`Parsed::Later`), because nobody may decide by rules that they do not know.

use bytes::Bytes;
use prost::Message;

use crate::{
    model::{
        digest::Digest,
        id::{AgencyId, LedgerId, RequestId},
        violation::Violation,
    },
    pb::ledger::v1 as pb,
};

pub mod agency;
pub mod agreement;
pub mod case;
pub mod client;
pub mod consent;
pub mod dispute;
pub mod emergency;
pub mod erasure;
pub mod exchange;
pub mod policy;
pub mod recall;
pub mod record;
pub mod subscription;
pub mod succession;
pub mod words;

/// The newest version of the rules that this program knows.
pub const RULES_VERSION: u32 = 1;

/// A command whose every field has been parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The least version of the rules that understands it.
    pub rules_version: u32,
    /// Whose authority it is.
    pub actor: Actor,
    /// Whether a system of the agency acts by itself.
    pub unattended: bool,
    /// Why it is asked.
    pub purpose: pb::Purpose,
    /// The caller's name for the request; all zero for the node's own commands.
    pub request_id: RequestId,
    /// The agency's signature.
    pub signature: Option<Signature>,
    /// What is to change.
    pub kind: Kind,
    /// The number of the kind, and its bytes as they are signed.
    pub signed: SignedKind,
}

/// The number of a kind and its encoding: what a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedKind {
    /// The field number of the kind in `Command`.
    pub number: u32,
    /// The kind message, fields in ascending order, no unknown field.
    pub bytes: Bytes,
}

/// Whose authority a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An agency's.
    Agency(AgencyId),
    /// The operator's.
    Operator,
    /// The node's own.
    Node,
}

/// A signature by an agency's signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// SHA-256 of the raw public key.
    pub key_fingerprint: Digest,
    /// The 64 bytes.
    pub value: Vec<u8>,
}

/// What is to change, by noun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The exchange itself.
    Exchange(exchange::ExchangeCommand),
    /// Agencies and their keys.
    Agency(agency::AgencyCommand),
    /// Agreements.
    Agreement(agreement::AgreementCommand),
    /// Consents.
    Consent(consent::ConsentCommand),
    /// Policies.
    Policy(policy::PolicyCommand),
    /// Clients and caseloads.
    Client(client::ClientCommand),
    /// Records.
    Record(record::RecordCommand),
    /// Subscriptions and releases.
    Subscription(subscription::SubscriptionCommand),
    /// Recalls.
    Recall(recall::RecallCommand),
    /// Disputes.
    Dispute(dispute::DisputeCommand),
    /// Cases.
    Case(case::CaseCommand),
    /// Erasures, legal holds and disposal.
    Erasure(erasure::ErasureCommand),
    /// Emergency access.
    Emergency(emergency::EmergencyCommand),
    /// Successions.
    Succession(succession::SuccessionCommand),
    /// Sealed words.
    Words(words::OpenWords),
}

impl Kind {
    /// Whether it only ever makes less flow. Such a command is taken from a suspended agency too, before everything else,
    /// and on a full disk.
    pub fn stops(&self) -> bool {
        match self {
            Self::Agency(kind) => matches!(kind, agency::AgencyCommand::Suspend { .. }),
            Self::Agreement(kind) => matches!(
                kind,
                agreement::AgreementCommand::Suspend { .. }
                    | agreement::AgreementCommand::End { .. }
                    | agreement::AgreementCommand::Decline { .. }
            ),
            Self::Consent(kind) => matches!(
                kind,
                consent::ConsentCommand::Refuse { .. } | consent::ConsentCommand::Withdraw { .. }
            ),
            Self::Client(kind) => matches!(kind, client::ClientCommand::EndCaseload { .. }),
            Self::Recall(kind) => matches!(kind, recall::RecallCommand::Retract { .. }),
            Self::Case(kind) => kind.stops(),
            Self::Succession(kind) => {
                matches!(kind, succession::SuccessionCommand::Decline { .. })
            }
            Self::Exchange(_)
            | Self::Policy(_)
            | Self::Record(_)
            | Self::Subscription(_)
            | Self::Dispute(_)
            | Self::Erasure(_)
            | Self::Emergency(_)
            | Self::Words(_) => false,
        }
    }
}

/// What the bytes of an entry are.
#[derive(Debug)]
pub enum Parsed {
    /// A command that this program understands.
    Command(Box<Command>),
    /// A command of later rules: the node must stop.
    Later(u32),
    /// Not a command of a known version.
    Malformed(Violation),
}

impl Parsed {
    /// Parses the bytes of an entry.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(message) = pb::Command::decode(bytes) else {
            return Self::Malformed(malformed("", "the command is not a protobuf message"));
        };
        if RULES_VERSION < message.rules_version {
            return Self::Later(message.rules_version);
        }
        match Command::try_from(message) {
            Ok(command) => Self::Command(Box::new(command)),
            Err(violation) => Self::Malformed(violation),
        }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = Violation;

    fn try_from(message: pb::Command) -> Result<Self, Violation> {
        let pb::Command { rules_version, actor, purpose, request_id, signature, kind } = message;
        if rules_version == 0 {
            return Err(malformed("rules_version", "the version of the rules is from 1"));
        }
        let pb::Actor { who, unattended } =
            actor.ok_or_else(|| malformed("actor", "a command has an actor"))?;
        let actor = match who.ok_or_else(|| malformed("actor.who", "an actor is somebody"))? {
            pb::actor::Who::Agency(id) => {
                Actor::Agency(id.parse().map_err(|v: Violation| v.inside("actor.agency"))?)
            }
            pb::actor::Who::Operator(pb::Operator {}) => Actor::Operator,
            pb::actor::Who::Node(pb::Node {}) => Actor::Node,
        };
        let purpose = code(purpose, "purpose")?;
        let request_id = match (&actor, request_id.is_empty()) {
            (Actor::Node, true) => RequestId::from_bytes([0; 16]),
            (Actor::Node | Actor::Agency(_) | Actor::Operator, _) => {
                RequestId::from_slice(&request_id).map_err(|v| v.inside("request_id"))?
            }
        };
        let kind = kind.ok_or_else(|| malformed("kind", "a command changes something"))?;
        let signed = SignedKind::of(&kind)?;
        let signature = signature.map(Signature::try_from).transpose()?;
        let kind = Kind::try_from(kind)?;
        Ok(Self { rules_version, actor, unattended, purpose, request_id, signature, kind, signed })
    }
}

impl TryFrom<pb::Signature> for Signature {
    type Error = Violation;

    fn try_from(message: pb::Signature) -> Result<Self, Violation> {
        let pb::Signature { key_fingerprint, value } = message;
        Ok(Self {
            key_fingerprint: digest(&key_fingerprint, "signature.key_fingerprint")?,
            value: value.to_vec(),
        })
    }
}

impl SignedKind {
    /// The number and encoding of a kind.
    ///
    /// # Errors
    /// A violation if the kind has no number, which no generated kind does.
    pub fn of(kind: &pb::command::Kind) -> Result<Self, Violation> {
        let mut bytes = Vec::with_capacity(kind.encoded_len());
        kind.encode(&mut bytes);
        let mut rest = bytes.as_slice();
        let (number, _wire) = prost::encoding::decode_key(&mut rest)
            .map_err(|_| malformed("kind", "the kind has no number"))?;
        let _length = prost::encoding::decode_varint(&mut rest)
            .map_err(|_| malformed("kind", "the kind has no length"))?;
        let before = bytes.len().saturating_sub(rest.len());
        Ok(Self { number, bytes: Bytes::from(bytes).slice(before..) })
    }

    /// The bytes that a signature over this kind covers. See `concordat.ledger.v1.Signature`.
    pub fn statement(&self, ledger: LedgerId, agency: &AgencyId, request: RequestId) -> Vec<u8> {
        let parts: [&[u8]; 6] = [
            b"concordat.signed.v1",
            ledger.as_bytes(),
            agency.as_str().as_bytes(),
            request.as_bytes(),
            &self.number.to_be_bytes(),
            &self.bytes,
        ];
        let mut statement = Vec::new();
        for part in parts {
            statement.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            statement.extend(part);
        }
        statement
    }
}

impl TryFrom<pb::command::Kind> for Kind {
    type Error = Violation;

    #[expect(clippy::too_many_lines, reason = "one line for each kind")]
    fn try_from(kind: pb::command::Kind) -> Result<Self, Violation> {
        use agency::AgencyCommand as Agency;
        use agreement::AgreementCommand as Agreement;
        use case::CaseCommand as Case;
        use client::ClientCommand as Client;
        use consent::ConsentCommand as Consent;
        use dispute::DisputeCommand as Dispute;
        use emergency::EmergencyCommand as Emergency;
        use erasure::ErasureCommand as Erasure;
        use exchange::ExchangeCommand as Exchange;
        use pb::command::Kind as Pb;
        use policy::PolicyCommand as Policy;
        use recall::RecallCommand as Recall;
        use record::RecordCommand as Record;
        use subscription::SubscriptionCommand as Subscription;
        use succession::SuccessionCommand as Succession;

        Ok(match kind {
            Pb::Genesis(message) => Self::Exchange(Exchange::genesis(message)?),
            Pb::ActivateRules(message) => Self::Exchange(Exchange::activate_rules(message)),
            Pb::RegisterRecordType(message) => {
                Self::Exchange(Exchange::register_record_type(message)?)
            }
            Pb::OpenKey(message) => Self::Exchange(Exchange::open_key(message)?),
            Pb::Tick(pb::Tick {}) => Self::Exchange(Exchange::Tick),
            Pb::ContinueSweep(pb::ContinueSweep {}) => Self::Exchange(Exchange::ContinueSweep),
            Pb::Attest(message) => Self::Exchange(Exchange::attest(message)?),
            Pb::InviteAgency(message) => Self::Agency(Agency::invite(message)?),
            Pb::EnrolAgency(message) => Self::Agency(Agency::enrol(message)?),
            Pb::RotateKeys(message) => Self::Agency(Agency::rotate(message)?),
            Pb::SuspendAgency(message) => Self::Agency(Agency::suspend(message)?),
            Pb::ResumeAgency(message) => Self::Agency(Agency::resume(message)?),
            Pb::DraftAgreement(message) => Self::Agreement(Agreement::draft(message)?),
            Pb::ProposeAgreement(message) => Self::Agreement(Agreement::propose(message)?),
            Pb::ApproveAgreement(message) => Self::Agreement(Agreement::approve(message)?),
            Pb::DeclineAgreement(message) => Self::Agreement(Agreement::decline(message)?),
            Pb::SuspendFlows(message) => Self::Agreement(Agreement::suspend(message)?),
            Pb::ResumeFlows(message) => Self::Agreement(Agreement::resume(message)?),
            Pb::EndAgreement(message) => Self::Agreement(Agreement::end(message)?),
            Pb::RecordConsent(message) => Self::Consent(Consent::record(message)?),
            Pb::RefuseConsent(message) => Self::Consent(Consent::refuse(message)?),
            Pb::WithdrawConsent(message) => Self::Consent(Consent::withdraw(message)?),
            Pb::RecordHolder(message) => Self::Consent(Consent::holder(message)?),
            Pb::ResolveConsent(message) => Self::Consent(Consent::resolve(message)?),
            Pb::PutPolicy(message) => Self::Policy(Policy::put(message)?),
            Pb::RemovePolicy(message) => Self::Policy(Policy::remove(message)?),
            Pb::AddClient(message) => Self::Client(Client::add(message)?),
            Pb::OpenCaseload(message) => Self::Client(Client::open_caseload(message)?),
            Pb::ConfirmCaseload(message) => Self::Client(Client::confirm_caseload(message)?),
            Pb::EndCaseload(message) => Self::Client(Client::end_caseload(message)?),
            Pb::PublishRecord(message) => Self::Record(Record::publish(message)?),
            Pb::OpenRecord(message) => Self::Record(Record::open(message)?),
            Pb::CreateSubscription(message) => Self::Subscription(Subscription::create(message)?),
            Pb::RemoveSubscription(message) => Self::Subscription(Subscription::remove(message)?),
            Pb::SeekSubscription(message) => Self::Subscription(Subscription::seek(message)?),
            Pb::ReleaseRecords(message) => Self::Subscription(Subscription::release(message)?),
            Pb::ReleaseNotSent(message) => Self::Subscription(Subscription::not_sent(message)?),
            Pb::Acknowledge(message) => Self::Subscription(Subscription::acknowledge(message)?),
            Pb::RetractRecord(message) => Self::Recall(Recall::retract(message)?),
            Pb::HandOverRecalls(message) => Self::Recall(Recall::hand_over(message)?),
            Pb::AcknowledgeRecall(message) => Self::Recall(Recall::acknowledge(message)?),
            Pb::OpenDispute(message) => Self::Dispute(Dispute::open(message)?),
            Pb::AnswerDispute(message) => Self::Dispute(Dispute::answer(message)?),
            Pb::OpenCase(message) => Self::Case(Case::open(message)?),
            Pb::AdvanceCase(message) => Self::Case(Case::advance(message)?),
            Pb::DecideCase(message) => Self::Case(Case::decide(message)?),
            Pb::HoldBack(message) => Self::Case(Case::hold_back(message)?),
            Pb::MakeReport(message) => Self::Case(Case::report(&message)?),
            Pb::EraseRecords(message) => Self::Erasure(Erasure::erase(message)?),
            Pb::PlaceHold(message) => Self::Erasure(Erasure::place_hold(message)?),
            Pb::LiftHold(message) => Self::Erasure(Erasure::lift_hold(message)?),
            Pb::RewrapKeys(message) => Self::Erasure(Erasure::rewrap(message)?),
            Pb::CompleteErasure(message) => Self::Erasure(Erasure::complete(message)?),
            Pb::DisposeOverdue(message) => Self::Erasure(Erasure::dispose(message)?),
            Pb::AuthoriseEmergency(message) => Self::Emergency(Emergency::authorise(&message)?),
            Pb::OpenEmergency(message) => Self::Emergency(Emergency::open(message)?),
            Pb::ReadEmergency(message) => Self::Emergency(Emergency::read(message)?),
            Pb::ReviewEmergency(message) => Self::Emergency(Emergency::review(&message)?),
            Pb::NoteEmergencyRefused(message) => {
                Self::Emergency(Emergency::note_refused(&message)?)
            }
            Pb::ProposeSuccession(message) => Self::Succession(Succession::propose(message)?),
            Pb::ApproveSuccession(message) => Self::Succession(Succession::approve(message)?),
            Pb::DeclineSuccession(message) => Self::Succession(Succession::decline(message)?),
            Pb::OpenWords(message) => Self::Words(words::OpenWords::open(&message)?),
        })
    }
}

/// A violation of the shape of a command.
pub(super) fn malformed(field: &str, description: &str) -> Violation {
    Violation::new(field, "MALFORMED_COMMAND", description)
}

/// A protobuf enum that is known and not `_UNSPECIFIED`.
pub(super) fn code<E: TryFrom<i32> + Default + PartialEq>(
    number: i32,
    field: &str,
) -> Result<E, Violation> {
    E::try_from(number)
        .ok()
        .filter(|code| *code != E::default())
        .ok_or_else(|| malformed(field, "the code is not one of the published ones"))
}

/// A protobuf enum that is known; `_UNSPECIFIED` where the field is optional.
pub(super) fn optional_code<E: TryFrom<i32>>(number: i32, field: &str) -> Result<E, Violation> {
    E::try_from(number).map_err(|_| malformed(field, "the code is not one of the published ones"))
}

/// Exactly 32 bytes.
pub(super) fn digest(bytes: &[u8], field: &str) -> Result<Digest, Violation> {
    Digest::from_slice(bytes).ok_or_else(|| malformed(field, "a digest has 32 bytes"))
}

/// A name or id, parsed from text.
pub(super) fn name<T: std::str::FromStr<Err = Violation>>(
    text: &str,
    field: &str,
) -> Result<T, Violation> {
    text.parse().map_err(|violation: Violation| violation.inside(field))
}

/// 1 to `most` names, each once.
pub(super) fn names<T: std::str::FromStr<Err = Violation> + Ord>(
    texts: &[String],
    most: usize,
    field: &str,
) -> Result<std::collections::BTreeSet<T>, Violation> {
    let set: std::collections::BTreeSet<T> =
        texts.iter().map(|text| name(text, field)).collect::<Result<_, _>>()?;
    if set.is_empty() || most < texts.len() || set.len() != texts.len() {
        return Err(malformed(field, "the list is empty, too long or names something twice"));
    }
    Ok(set)
}
