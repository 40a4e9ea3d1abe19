//! A ledger of commands in memory, for measuring the machine by itself: agencies whose keys derive from their ids, and
//! time that moves by a millisecond with every entry.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;

use crate::{
    cli::{
        bench::{problem, said},
        error::CliError,
    },
    machine::{
        self, Receipt, State,
        access::{Question, verdict},
        command::{
            Command, RULES_VERSION, SignedKind, agreement::example, exchange::LEDGER_FORMAT,
        },
        outcome::Remembered,
        state::{agency::AgencyNumber, subscription::SubscriptionNumber},
    },
    model::{
        digest::Digest,
        id::{AgencyId, AliasId, ClientId, KeyId, LedgerId, RecordId, RequestId},
        order::UnixMillis,
    },
    pb::ledger::v1::{self as pb, command::Kind},
};

/// When it begins: 2026-11-23T09:00:00Z, in milliseconds.
const BEGINNING_MS: u64 = 1_795_424_400_000;
/// How long agreements and invitations stand, in milliseconds.
const YEAR_MS: u64 = 365 * 86_400_000;
/// How many agencies receive what is published.
const RECIPIENTS: usize = 10;
/// How many clients the records are about.
const CLIENTS: u32 = 2_000;
/// What every invitation holds.
const SECRET: &str = "an invitation's secret";
const LEDGER: LedgerId = LedgerId::from_bytes([1; 16]);
const PURPOSE: pb::Purpose = pb::Purpose::SchoolLeaverTransition;
const GROUPS: [&str; 4] = ["core", "identity", "education", "intention"];

/// A state and what its next commands are made of.
pub(super) struct Script {
    state: State,
    now_ms: u64,
    drawn: u64,
    clients: Vec<(AliasId, KeyId)>,
}

impl Script {
    /// A publisher with ten recipients, each with a subscription, among so many agencies and agreements.
    pub(super) fn new(agencies: usize) -> Result<Self, CliError> {
        let state = State::empty();
        let mut script = Self { state, now_ms: BEGINNING_MS, drawn: 0, clients: Vec::new() };
        let genesis = pb::Genesis {
            ledger_id: Bytes::copy_from_slice(LEDGER.as_bytes()),
            format: LEDGER_FORMAT,
            operator_certificate: digest("operator"),
            checkpoint_key: Bytes::from_static(&[7; 32]),
        };
        script.operate(Kind::Genesis(genesis))?;
        let group = |name: &str| pb::FieldGroup { name: name.to_owned(), special_category: false };
        script.operate(Kind::RegisterRecordType(pb::RegisterRecordType {
            name: "leaver-form".to_owned(),
            version: 1,
            groups: GROUPS.map(group).to_vec(),
        }))?;
        for number in 0..agencies.max(RECIPIENTS.saturating_add(1)) {
            script.enrol(&name(number))?;
        }
        // Other agencies' agreements; the first eleven agencies are those that are measured.
        let others = RECIPIENTS.saturating_add(1)..agencies.saturating_sub(1);
        for number in others {
            let pair = [name(number), name(number.saturating_add(1))];
            script.agree(&format!("other-{number}"), &pair)?;
        }
        let parties: Vec<String> = (0..=RECIPIENTS).map(name).collect();
        script.agree("leavers-0", &parties)?;
        for recipient in parties.iter().skip(1) {
            script.act(
                recipient,
                Kind::CreateSubscription(pb::CreateSubscription {
                    subscription: "leavers".to_owned(),
                    record_types: vec!["leaver-form".to_owned()],
                }),
            )?;
        }
        for number in 0..CLIENTS {
            script.enter(number)?;
        }
        while !script.state.tables().sweeps.is_empty() {
            let step = Self::own(Kind::ContinueSweep(pb::ContinueSweep {}));
            let _swept = script.apply(step)?;
        }
        Ok(script)
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn now(&self) -> UnixMillis {
        UnixMillis::new(self.now_ms)
    }

    pub(super) fn purpose() -> i32 {
        i32::from(PURPOSE)
    }

    /// The recipient that is looked at.
    pub(super) fn recipient() -> String {
        name(1)
    }

    pub(super) fn recipient_number(&self) -> Result<AgencyNumber, CliError> {
        let id: AgencyId = name(1).parse().map_err(said("no agency's id"))?;
        self.state.agency_number(&id).ok_or_else(|| problem("no such agency".to_owned()))
    }

    /// Its subscription.
    pub(super) fn subscription(&self) -> Result<SubscriptionNumber, CliError> {
        let id = "leavers".parse().map_err(said("no subscription's id"))?;
        let number = self.state.subscription_number(self.recipient_number()?, &id);
        number.ok_or_else(|| problem("no such subscription".to_owned()))
    }

    /// Adds agreements until so many flows go from the publisher to the recipient.
    pub(super) fn flows(&mut self, flows: usize) -> Result<(), CliError> {
        let pair = [name(0), name(1)];
        for number in 1..flows {
            self.agree(&format!("leavers-{number}"), &pair)?;
        }
        Ok(())
    }

    /// Gives publisher and recipient so many policies each, none of which forbids anything here.
    pub(super) fn policies(&mut self, policies: usize) -> Result<(), CliError> {
        let text = "forbid(principal, action, resource) when { resource.special_category };";
        let text = verdict::canonical(text).map_err(|found| problem(found.join("; ")))?;
        for number in 0..policies {
            for agency in [name(0), name(1)] {
                let policy = format!("policy-{number}");
                let (text, schema_version) = (text.clone(), verdict::SCHEMA_VERSION);
                let put = pb::PutPolicy { policy, text, schema_version };
                self.act(&agency, Kind::PutPolicy(put))?;
            }
        }
        Ok(())
    }

    /// Gives every agency so many policies of its own, none of which forbids anything here.
    pub(super) fn policies_of_all(
        &mut self,
        agencies: usize,
        policies: usize,
    ) -> Result<(), CliError> {
        for number in 0..policies {
            let text = format!(
                "forbid(principal, action, resource) when {{ resource.special_category && context.flow == \"other-{number}\" }};"
            );
            let text = verdict::canonical(&text).map_err(|found| problem(found.join("; ")))?;
            for agency in 0..agencies.max(RECIPIENTS.saturating_add(1)) {
                let (policy, text) = (format!("policy-{number}"), text.clone());
                let put = pb::PutPolicy { policy, text, schema_version: verdict::SCHEMA_VERSION };
                self.act(&name(agency), Kind::PutPolicy(put))?;
            }
        }
        Ok(())
    }

    /// Questions about every publisher and recipient between whom a flow goes: may everything go, of nobody in particular?
    pub(super) fn questions(&self) -> Vec<Question> {
        let state = &self.state;
        let every = |record_type| {
            let known = state.record_type(record_type)?;
            known.set_of(known.groups.iter().map(|(name, _)| name))
        };
        let keys = state.indexes().flows.iter().flat_map(|((publisher, record_type), to)| {
            to.keys().map(move |recipient| (*publisher, *record_type, *recipient))
        });
        keys.map(|(publisher, record_type, recipient)| Question {
            publisher,
            recipient,
            record_type,
            client: ClientId::from_bytes([0; 16]),
            groups: every(record_type).unwrap_or_default(),
            published: state.chain().next,
            purpose: Self::purpose(),
            now: self.now(),
        })
        .collect()
    }

    /// Settles everything that was released.
    pub(super) fn acknowledge(&mut self) -> Result<(), CliError> {
        let row = self.state.subscription(self.subscription()?);
        let through = row.map_or(0, |row| row.next_delivery.saturating_sub(1));
        let subscription = "leavers".to_owned();
        let acknowledge = pb::Acknowledge { subscription, through, nacks: Vec::new() };
        self.act(&name(1), Kind::Acknowledge(acknowledge)).map(drop)
    }

    /// A command that publishes a new record about the next client.
    pub(super) fn publication(&mut self) -> pb::Command {
        self.drawn = self.drawn.wrapping_add(1);
        let place = usize::try_from(self.drawn).unwrap_or_default();
        let client = place.checked_rem(self.clients.len()).and_then(|at| self.clients.get(at));
        let (client, key) = client.map_or_else(Default::default, |(client, key)| {
            (Bytes::copy_from_slice(client.as_bytes()), Bytes::copy_from_slice(key.as_bytes()))
        });
        let publish = Kind::PublishRecord(pb::PublishRecord {
            record_type: "leaver-form".to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client,
            supersedes: Bytes::new(),
            groups: GROUPS.map(str::to_owned).to_vec(),
            content_mac: digest("content"),
            key,
            change: 0,
        });
        let request = self.request_id();
        command(Some(pb::actor::Who::Agency(name(0))), Some(request), PURPOSE, publish)
    }

    /// A command of the node's own.
    pub(super) fn own(kind: Kind) -> pb::Command {
        command(Some(pb::actor::Who::Node(pb::Node {})), None, pb::Purpose::Operation, kind)
    }

    /// Whether a command would be taken.
    pub(super) fn check(&self, command: &Command) -> Result<(), CliError> {
        let checked = machine::check(&self.state, self.now(), command);
        checked.map(drop).map_err(said("a command is refused"))
    }

    /// Applies a command; the record that it published.
    pub(super) fn apply(&mut self, command: pb::Command) -> Result<Option<RecordId>, CliError> {
        Ok(match self.receipt(command)? {
            Receipt::Published { record, .. } => Some(record),
            Receipt::Answer(_) | Receipt::Released(_) | Receipt::Opened(_) => None,
        })
    }

    fn receipt(&mut self, command: pb::Command) -> Result<Receipt, CliError> {
        let command = Command::try_from(command).map_err(said("a command is malformed"))?;
        self.now_ms = self.now_ms.saturating_add(1);
        let position = self.state.chain().next;
        let now = self.now();
        let applied = machine::apply(&mut self.state, position, now, Some(&command));
        applied.outcome.map_err(said("a command is refused"))
    }

    fn request_id(&mut self) -> RequestId {
        self.drawn = self.drawn.wrapping_add(1);
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(self.drawn.to_le_bytes()) {
            *to = from;
        }
        let uuid = uuid::Builder::from_unix_timestamp_millis(self.now_ms, &random).into_uuid();
        RequestId::from_bytes(*uuid.as_bytes())
    }

    fn operate(&mut self, kind: Kind) -> Result<Receipt, CliError> {
        let (who, request) = (pb::actor::Who::Operator(pb::Operator {}), self.request_id());
        self.receipt(command(Some(who), Some(request), pb::Purpose::Operation, kind))
    }

    /// Applies a command of an agency, with its signature.
    fn act(&mut self, agency: &str, kind: Kind) -> Result<Receipt, CliError> {
        let request = self.request_id();
        let id: AgencyId = agency.parse().map_err(said("no agency's id"))?;
        let signed = SignedKind::of(&kind).map_err(said("nothing to sign"))?;
        let statement = signed.statement(LEDGER, &id, request);
        let key = key_of(agency)?;
        let signature = pb::Signature {
            key_fingerprint: fingerprint(&key),
            value: Bytes::copy_from_slice(key.sign(&statement).as_ref()),
        };
        let who = Some(pb::actor::Who::Agency(agency.to_owned()));
        let mut command = command(who, Some(request), PURPOSE, kind);
        command.signature = Some(signature);
        self.receipt(command)
    }

    fn enrol(&mut self, agency: &str) -> Result<(), CliError> {
        self.operate(Kind::InviteAgency(pb::InviteAgency {
            agency: agency.to_owned(),
            kind: i32::from(pb::AgencyKind::Council),
            secret_digest: digest(SECRET),
            expires_at_ms: self.now_ms.saturating_add(YEAR_MS),
        }))?;
        let key = key_of(agency)?;
        let keys = pb::AgencyKeys {
            signing_key: Bytes::copy_from_slice(key.public_key().as_ref()),
            certificates: vec![digest(agency)],
        };
        let secret = Bytes::from_static(SECRET.as_bytes());
        self.act(agency, Kind::EnrolAgency(pb::EnrolAgency { secret, keys: Some(keys) })).map(drop)
    }

    /// An active agreement by which the first party publishes to the others.
    fn agree(&mut self, agreement: &str, parties: &[String]) -> Result<(), CliError> {
        let Some((publisher, recipients)) = parties.split_first() else { return Ok(()) };
        let party = |agency: &String| {
            Ok::<_, CliError>(pb::Party {
                agency: agency.clone(),
                kind: i32::from(pb::AgencyKind::Council),
                key_fingerprint: fingerprint(&key_of(agency)?),
                ..pb::Party::default()
            })
        };
        let flow = pb::Flow {
            flow: "leavers".to_owned(),
            record_type: "leaver-form".to_owned(),
            publisher: publisher.clone(),
            recipients: recipients.to_vec(),
            groups: GROUPS.map(str::to_owned).to_vec(),
            basis: i32::from(pb::LawfulBasis::LegalObligation),
            legal_power: i32::from(pb::LegalPower::Post16Education2013S20),
            gate: i32::from(pb::Gate::None),
            caseload: i32::from(pb::CaseloadRule::None),
            ..pb::Flow::default()
        };
        let content = pb::AgreementContent {
            parties: parties.iter().map(party).collect::<Result<_, _>>()?,
            purpose: i32::from(PURPOSE),
            flows: vec![flow],
            expires_at_ms: self.now_ms.saturating_add(YEAR_MS),
            text_digest: digest("text"),
            terms: None,
        };
        let content = example::completed(content, UnixMillis::new(self.now_ms));
        let agreement = agreement.to_owned();
        let draft = pb::DraftAgreement { agreement: agreement.clone(), content: Some(content) };
        let stands = self.act(publisher, Kind::DraftAgreement(draft))?;
        let Receipt::Answer(Remembered::Agreement { version, content_hash }) = stands else {
            return Err(problem("a draft has no version".to_owned()));
        };
        let content_hash = Bytes::copy_from_slice(content_hash.as_bytes());
        let propose = pb::ProposeAgreement {
            agreement: agreement.clone(),
            version,
            content_hash: content_hash.clone(),
        };
        self.act(publisher, Kind::ProposeAgreement(propose))?;
        for agency in parties {
            let approve = example::approval(&agreement, version, content_hash.clone());
            self.act(agency, Kind::ApproveAgreement(approve))?;
        }
        Ok(())
    }

    /// Makes a client known to the publisher, with a key for its records.
    fn enter(&mut self, number: u32) -> Result<(), CliError> {
        let client = Digest::of_concatenation(&[b"client", &number.to_be_bytes()]).first_half();
        let client = Bytes::copy_from_slice(&client);
        let added = self.act(
            &name(0),
            Kind::AddClient(pb::AddClient { client: client.clone(), key: Bytes::new() }),
        )?;
        let Receipt::Answer(Remembered::Client(alias)) = added else {
            return Err(problem("a client has no name".to_owned()));
        };
        let key = Digest::of_concatenation(&[b"key", &number.to_be_bytes()]).first_half();
        let open = Kind::OpenKey(pb::OpenKey {
            key: Bytes::copy_from_slice(&key),
            client,
            agency: name(0),
            disposal_class: i32::from(pb::DisposalClass::Record),
            epoch: Bytes::new(),
        });
        let open = Self::own(open);
        let _opened = self.apply(open)?;
        self.clients.push((alias, KeyId::from_bytes(key)));
        Ok(())
    }
}

fn command(
    who: Option<pb::actor::Who>,
    request: Option<RequestId>,
    purpose: pb::Purpose,
    kind: Kind,
) -> pb::Command {
    pb::Command {
        rules_version: RULES_VERSION,
        actor: Some(pb::Actor { who, unattended: true }),
        purpose: i32::from(purpose),
        request_id: request.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        signature: None,
        kind: Some(kind),
    }
}

fn name(number: usize) -> String {
    format!("agency-{number}")
}

fn key_of(agency: &str) -> Result<Ed25519KeyPair, CliError> {
    let seed = Digest::of_parts("concordat.bench.seed", &[agency.as_bytes()]);
    Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).map_err(said("no key"))
}

fn fingerprint(key: &Ed25519KeyPair) -> Bytes {
    let digest = Digest::of_concatenation(&[key.public_key().as_ref()]);
    Bytes::copy_from_slice(digest.as_bytes())
}

fn digest(text: &str) -> Bytes {
    Bytes::copy_from_slice(Digest::of_concatenation(&[text.as_bytes()]).as_bytes())
}
