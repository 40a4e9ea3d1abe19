//! A world for scripts: one ledger of commands, agencies with keys from seeds, and time that moves when told.
//!
//! Every command passes through its bytes, as it does in the ledger, and is asked of `check` before `apply`: the two must
//! agree. [`World::hold`] replays the whole script and reloads its rows. Nothing here is random.

#![expect(clippy::expect_used, reason = "a script that cannot be set up ends the test")]
#![expect(
    single_use_lifetimes,
    reason = "stable Rust has no anonymous lifetime inside `impl Into`"
)]

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use concordat::{
    machine::{
        Outcome, Receipt, Refusal, State, apply, check,
        command::{Parsed, SignedKind, agreement::example},
        outcome::Remembered,
    },
    model::{
        digest::Digest,
        id::{AgencyId, AgreementId, AliasId, ClientId, ConsentId, LedgerId, RequestId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{self as pb, AgencyKind, command::Kind},
};
use prost::Message;

/// When every script begins: 2026-08-03T09:00:00Z, in milliseconds.
pub(crate) const BEGINNING_MS: u64 = 1_785_747_600_000;
/// One day, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// The record type that every world knows.
pub(crate) const LEAVER_FORM: &str = "leaver-form";

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By<'a> {
    Agency(&'a str),
    Operator,
    Node,
}

impl<'a> From<&'a str> for By<'a> {
    fn from(agency: &'a str) -> Self {
        Self::Agency(agency)
    }
}

/// How a command is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing<'a> {
    /// By the key in force of the agency that asks.
    Own,
    /// By the key of another agency.
    As(&'a str),
    /// Not at all.
    Not,
}

/// A ledger and what it amounts to.
pub(crate) struct World {
    pub(crate) state: State,
    now_ms: u64,
    drawn: u64,
    entries: Vec<(UnixMillis, Vec<u8>)>,
    generations: BTreeMap<String, u32>,
}

impl World {
    /// A world with its Genesis and the record type [`LEAVER_FORM`]: `core`, `destination`, and `support-needs`, which
    /// holds special category data.
    pub(crate) fn new() -> Self {
        Self::under(State::empty())
    }

    /// The same, upon an empty state.
    pub(crate) fn under(empty: State) -> Self {
        let mut world = Self {
            state: empty,
            now_ms: BEGINNING_MS,
            drawn: 0,
            entries: Vec::new(),
            generations: BTreeMap::new(),
        };
        let genesis = pb::Genesis {
            ledger_id: Self::LEDGER.as_bytes().to_vec().into(),
            format: 1,
            operator_certificate: digest("operator certificate"),
            checkpoint_key: vec![7; 32].into(),
        };
        assert_eq!(world.apply(By::Operator, Kind::Genesis(genesis)), Ok(Receipt::DONE));
        let group = |name: &str, special_category| pb::FieldGroup {
            name: name.to_owned(),
            special_category,
        };
        let leaver_form = pb::RegisterRecordType {
            name: LEAVER_FORM.to_owned(),
            version: 1,
            groups: vec![
                group("core", false),
                group("destination", false),
                group("support-needs", true),
            ],
        };
        let done = world.apply(By::Operator, Kind::RegisterRecordType(leaver_form));
        assert_eq!(done, Ok(Receipt::DONE));
        world
    }

    /// A world with the agencies that most scripts use: two councils, SDS, a college, a health board, a voluntary body.
    pub(crate) fn of_partners() -> Self {
        Self::of_partners_under(State::empty())
    }

    /// The same, upon an empty state.
    pub(crate) fn of_partners_under(empty: State) -> Self {
        let mut world = Self::under(empty);
        world.enrol("council", AgencyKind::Council);
        world.enrol("sds", AgencyKind::NationalBody);
        world.enrol("college", AgencyKind::College);
        world.enrol("health", AgencyKind::HealthBoard);
        world.enrol("charity", AgencyKind::Voluntary);
        world.enrol("stranger", AgencyKind::Council);
        world
    }

    /// The ledger's id.
    pub(crate) const LEDGER: LedgerId = LedgerId::from_bytes([1; 16]);

    /// Ledger time, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.now_ms += millis;
    }

    /// Invites and enrols an agency with a key that derives from its id.
    pub(crate) fn enrol(&mut self, id: &str, kind: AgencyKind) {
        let secret = b"an invitation's secret";
        let invite = pb::InviteAgency {
            agency: id.to_owned(),
            kind: i32::from(kind),
            secret_digest: Digest::of_concatenation(&[secret]).as_bytes().to_vec().into(),
            expires_at_ms: self.now_ms + DAY_MS,
        };
        assert_eq!(self.apply(By::Operator, Kind::InviteAgency(invite)), Ok(Receipt::DONE));
        let enrol =
            pb::EnrolAgency { secret: secret.to_vec().into(), keys: Some(self.agency_keys(id)) };
        assert_eq!(self.apply(id, Kind::EnrolAgency(enrol)), Ok(Receipt::DONE));
    }

    /// Replaces an agency's keys by the next ones that derive from its id.
    pub(crate) fn rotate(&mut self, id: &str) {
        let generation = self.generations.get(id).copied().unwrap_or(0);
        self.generations.insert(id.to_owned(), generation + 1);
        let keys = Some(self.agency_keys(id));
        self.generations.insert(id.to_owned(), generation);
        let outcome = self.apply(id, Kind::RotateKeys(pb::RotateKeys { keys }));
        assert_eq!(outcome, Ok(Receipt::DONE));
        self.generations.insert(id.to_owned(), generation + 1);
    }

    /// The key pair by which an agency signs now.
    pub(crate) fn key_pair(&self, agency: &str) -> Ed25519KeyPair {
        let generation = self.generations.get(agency).copied().unwrap_or(0);
        let seed = Digest::of_parts("seed", &[agency.as_bytes(), &generation.to_be_bytes()]);
        Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).expect("32 bytes are a seed")
    }

    /// The fingerprint of that key.
    pub(crate) fn fingerprint(&self, agency: &str) -> Digest {
        Digest::of_concatenation(&[self.key_pair(agency).public_key().as_ref()])
    }

    fn agency_keys(&self, agency: &str) -> pb::AgencyKeys {
        pb::AgencyKeys {
            signing_key: self.key_pair(agency).public_key().as_ref().to_vec().into(),
            certificates: vec![digest(&format!("certificate of {agency}"))],
        }
    }

    /// A new request id: a UUIDv7 of the present.
    pub(crate) fn request_id(&mut self) -> RequestId {
        self.drawn += 1;
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.drawn.to_be_bytes());
        let uuid = uuid::Builder::from_unix_timestamp_millis(self.now_ms, &bytes).into_uuid();
        RequestId::from_bytes(*uuid.as_bytes())
    }

    /// Applies a command under a new request id, signed by the agency that asks.
    pub(crate) fn apply<'a>(&mut self, by: impl Into<By<'a>>, kind: Kind) -> Outcome {
        let request = self.request_id();
        self.apply_as(by, request, Signing::Own, kind)
    }

    /// Applies a command under a given request id and signature.
    pub(crate) fn apply_as<'a>(
        &mut self,
        by: impl Into<By<'a>>,
        request: RequestId,
        signing: Signing<'_>,
        kind: Kind,
    ) -> Outcome {
        let command = self.command(by.into(), request, signing, kind);
        self.append(command.encode_to_vec())
    }

    /// A whole command in stored form.
    pub(crate) fn command(
        &self,
        by: By<'_>,
        request: RequestId,
        signing: Signing<'_>,
        kind: Kind,
    ) -> pb::Command {
        let (who, signer) = match (by, signing) {
            (By::Agency(id), Signing::Own) => (pb::actor::Who::Agency(id.to_owned()), Some(id)),
            (By::Agency(id), Signing::As(other)) => {
                (pb::actor::Who::Agency(id.to_owned()), Some(other))
            }
            (By::Agency(id), Signing::Not) => (pb::actor::Who::Agency(id.to_owned()), None),
            (By::Operator, _) => (pb::actor::Who::Operator(pb::Operator {}), None),
            (By::Node, _) => (pb::actor::Who::Node(pb::Node {}), None),
        };
        let purpose = match by {
            By::Agency(_) => pb::Purpose::Administration,
            By::Operator | By::Node => pb::Purpose::Operation,
        };
        let signature = match (by, signer) {
            (By::Agency(id), Some(signer)) => {
                let agency: AgencyId = id.parse().expect("the agency's id is a slug");
                let covered = SignedKind::of(&kind).expect("every kind has a number");
                let statement = covered.statement(Self::LEDGER, &agency, request);
                Some(pb::Signature {
                    key_fingerprint: self.fingerprint(signer).as_bytes().to_vec().into(),
                    value: self.key_pair(signer).sign(&statement).as_ref().to_vec().into(),
                })
            }
            (By::Agency(_) | By::Operator | By::Node, _) => None,
        };
        let request_id = match by {
            By::Node => Vec::new(),
            By::Agency(_) | By::Operator => request.as_bytes().to_vec(),
        };
        pb::Command {
            rules_version: 1,
            actor: Some(pb::Actor { who: Some(who), unattended: true }),
            purpose: i32::from(purpose),
            request_id: request_id.into(),
            signature,
            kind: Some(kind),
        }
    }

    /// Appends the bytes of a command, one second after the entry before.
    pub(crate) fn append(&mut self, bytes: Vec<u8>) -> Outcome {
        self.now_ms += 1_000;
        let now = UnixMillis::new(self.now_ms);
        let (checked, applied) = match Parsed::from_bytes(&bytes) {
            Parsed::Command(command) => {
                let checked = check(&self.state, now, &command);
                let position = self.state.chain().next;
                (checked, apply(&mut self.state, position, now, Some(&command)))
            }
            Parsed::Malformed(_) => {
                let position = self.state.chain().next;
                (Err(Refusal::Malformed), apply(&mut self.state, position, now, None))
            }
            Parsed::Later(version) => {
                assert_eq!(version, 1, "the command is of later rules");
                return Err(Refusal::Malformed);
            }
        };
        self.entries.push((now, bytes));
        assert_eq!(checked.as_ref().err(), applied.outcome.as_ref().err(), "check and apply");
        applied.outcome
    }

    /// The script so far: when each entry was admitted, and its bytes.
    pub(crate) fn entries(&self) -> &[(UnixMillis, Vec<u8>)] {
        &self.entries
    }

    /// The same world once more: what is done to the one does not reach the other.
    pub(crate) fn fork(&self) -> Self {
        Self {
            state: self.state.clone(),
            now_ms: self.now_ms,
            drawn: self.drawn,
            entries: self.entries.clone(),
            generations: self.generations.clone(),
        }
    }

    /// Holds that replaying the script, and reloading the rows, gives this very state.
    pub(crate) fn hold(&self) {
        let mut replayed = State::empty();
        for (position, (at, bytes)) in (0..).zip(&self.entries) {
            let command = match Parsed::from_bytes(bytes) {
                Parsed::Command(command) => Some(command),
                Parsed::Malformed(_) | Parsed::Later(_) => None,
            };
            let _applied = apply(&mut replayed, Position::new(position), *at, command.as_deref());
        }
        assert_eq!(replayed.digest(), self.state.digest(), "replay");
        assert_eq!(replayed.chain(), self.state.chain(), "replay");
        let reloaded = State::from_rows(self.state.to_rows().into_iter()).expect("rows load");
        assert_eq!(reloaded.digest(), self.state.digest(), "reload");
        assert_eq!(reloaded.to_rows(), self.state.to_rows(), "reload");
    }

    /// Makes a client known to an agency; its alias there.
    pub(crate) fn add_client(&mut self, agency: &str, client: ClientId) -> AliasId {
        let add =
            pb::AddClient { client: client.as_bytes().to_vec().into(), ..pb::AddClient::default() };
        alias_of(self.apply(agency, Kind::AddClient(add)))
    }

    /// A content between parties with the flows given, for a year, for school leavers.
    pub(crate) fn content(&self, parties: &[&str], flows: Vec<pb::Flow>) -> pb::AgreementContent {
        let party = |id: &&str| {
            let number = id.parse().ok().and_then(|id| self.state.agency_number(&id));
            let kind = number.and_then(|number| self.state.agency(number)).map_or(0, |a| a.kind);
            let key_fingerprint = self.fingerprint(id).as_bytes().to_vec().into();
            pb::Party { agency: (*id).to_owned(), kind, key_fingerprint, ..pb::Party::default() }
        };
        let content = pb::AgreementContent {
            parties: parties.iter().map(party).collect(),
            purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
            flows,
            expires_at_ms: self.now_ms + 365 * DAY_MS,
            text_digest: digest("the text of the agreement"),
            terms: None,
        };
        example::completed(content, UnixMillis::new(self.now_ms))
    }

    /// Drafts; the version and its content hash.
    pub(crate) fn draft(
        &mut self,
        by: &str,
        agreement: &str,
        content: pb::AgreementContent,
    ) -> Result<(u32, Digest), Refusal> {
        let draft = pb::DraftAgreement { agreement: agreement.to_owned(), content: Some(content) };
        self.apply(by, Kind::DraftAgreement(draft)).map(|receipt| standing(&receipt))
    }

    /// Proposes.
    pub(crate) fn propose(
        &mut self,
        by: &str,
        agreement: &str,
        (version, hash): (u32, Digest),
    ) -> Result<(u32, Digest), Refusal> {
        let content_hash = hash.as_bytes().to_vec().into();
        let propose =
            pb::ProposeAgreement { agreement: agreement.to_owned(), version, content_hash };
        self.apply(by, Kind::ProposeAgreement(propose)).map(|receipt| standing(&receipt))
    }

    /// Approves.
    pub(crate) fn approve(
        &mut self,
        by: &str,
        agreement: &str,
        (version, hash): (u32, Digest),
    ) -> Result<(u32, Digest), Refusal> {
        self.apply(by, approval(agreement, (version, hash))).map(|receipt| standing(&receipt))
    }

    /// Drafts, proposes and approves by every party, in the order of the content.
    pub(crate) fn activate(&mut self, agreement: &str, content: pb::AgreementContent) {
        let parties: Vec<String> = content.parties.iter().map(|p| p.agency.clone()).collect();
        let first = parties.first().expect("an agreement has parties").clone();
        let stands = self.draft(&first, agreement, content).expect("the draft is sound");
        self.propose(&first, agreement, stands).expect("the draft can be proposed");
        for party in &parties {
            self.approve(party, agreement, stands).expect("the party approves");
        }
    }

    /// Where an agreement stands.
    pub(crate) fn status(
        &self,
        agreement: &str,
    ) -> Option<concordat::machine::state::agreement::Status> {
        let id: AgreementId = agreement.parse().ok()?;
        self.state.tables().agreements.get(&id).map(|row| row.status)
    }
}

/// A flow of the `core` group of leaver forms, on the duty of 2013, with no gate.
pub(crate) fn flow(id: &str, publisher: &str, recipients: &[&str]) -> pb::Flow {
    pb::Flow {
        flow: id.to_owned(),
        record_type: LEAVER_FORM.to_owned(),
        publisher: publisher.to_owned(),
        recipients: owned(recipients),
        groups: owned(&["core"]),
        basis: i32::from(pb::LawfulBasis::LegalObligation),
        special_condition: i32::from(pb::SpecialCondition::Unspecified),
        legal_power: i32::from(pb::LegalPower::Post16Education2013S20),
        gate: i32::from(pb::Gate::None),
        caseload: i32::from(pb::CaseloadRule::None),
        backfill: false,
        ..pb::Flow::default()
    }
}

/// A flow of `core` and `support-needs` that waits for data protection consent.
pub(crate) fn consented_flow(id: &str, publisher: &str, recipients: &[&str]) -> pb::Flow {
    pb::Flow {
        groups: owned(&["core", "support-needs"]),
        basis: i32::from(pb::LawfulBasis::Consent),
        special_condition: i32::from(pb::SpecialCondition::ExplicitConsent),
        legal_power: i32::from(pb::LegalPower::Unspecified),
        gate: i32::from(pb::Gate::DataProtectionConsent),
        ..flow(id, publisher, recipients)
    }
}

/// The same, waiting for the consent that the 2004 Act's section 13 asks for.
pub(crate) fn statutory_flow(id: &str, publisher: &str, recipients: &[&str]) -> pb::Flow {
    pb::Flow {
        legal_power: i32::from(pb::LegalPower::AdditionalSupport2004S13),
        gate: i32::from(pb::Gate::StatutoryConsent),
        ..consented_flow(id, publisher, recipients)
    }
}

/// An approval.
pub(crate) fn approval(agreement: &str, (version, hash): (u32, Digest)) -> Kind {
    let content_hash = hash.as_bytes().to_vec().into();
    Kind::ApproveAgreement(example::approval(agreement, version, content_hash))
}

/// A suspension that says why.
pub(crate) fn suspension(agreement: &str) -> Kind {
    let reason = i32::from(pb::SuspendReason::Technical);
    Kind::SuspendFlows(pb::SuspendFlows { agreement: agreement.to_owned(), reason })
}

/// A client of the scripts.
pub(crate) fn client(number: u8) -> ClientId {
    ClientId::from_bytes([number; 16])
}

/// Owned copies.
pub(crate) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Some digest.
pub(crate) fn digest(text: &str) -> bytes::Bytes {
    Digest::of_concatenation(&[text.as_bytes()]).as_bytes().to_vec().into()
}

/// The version and content hash of a receipt about an agreement.
pub(crate) fn standing(receipt: &Receipt) -> (u32, Digest) {
    let Receipt::Answer(Remembered::Agreement { version, content_hash }) = receipt else {
        unreachable!("not about an agreement: {receipt:?}");
    };
    (*version, *content_hash)
}

/// The alias of an outcome about a client.
pub(crate) fn alias_of(outcome: Outcome) -> AliasId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Client(alias))) => alias,
        other => unreachable!("not about a client: {other:?}"),
    }
}

/// The consent of an outcome.
pub(crate) fn consent_of(outcome: Outcome) -> ConsentId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Consent(consent))) => consent,
        other => unreachable!("not about a consent: {other:?}"),
    }
}
