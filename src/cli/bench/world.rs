//! The exchange that is measured: a real node over segment files and sled in one directory, with enrolled agencies, an
//! active agreement and subscriptions, all of them brought about by commands.
//!
//! Everybody in it is invented. Keys and certificates are drawn anew for every run and lie in the same directory.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::Path,
};

use bytes::Bytes;

use crate::{
    cli::{
        bench::{problem, said},
        compose::{self, Options, Running},
        error::CliError,
    },
    clock::{Clock, Entropy},
    identity::{
        development::{DevelopmentAuthority, IssuedProfile},
        file::ProfileFiles,
        signing::SigningKey,
    },
    machine::{Receipt, State, command::agreement::example, outcome::Remembered},
    model::{digest::Digest, id::AgencyId},
    node::{self, Asked, Node, Who},
    pb::ledger::v1::{self as pb, command::Kind},
    service::{rate::Rate, server::Limits},
};

/// Who publishes.
const PUBLISHER: &str = "inverclyde-council";
/// The agreement under which it publishes.
const AGREEMENT: &str = "school-leavers-bench";
/// Why.
pub(super) const PURPOSE: pb::Purpose = pb::Purpose::SchoolLeaverTransition;
/// What the recipients get.
const GROUPS: [&str; 4] = ["core", "identity", "education", "intention"];
/// How long an invitation and the agreement stand, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// How much the calls of one caller are limited in this exchange: not at all.
fn limits() -> Limits {
    let rate = Rate { calls_per_second: NonZeroU32::MAX, burst_calls: NonZeroU32::MAX };
    Limits { rate, ..Limits::default() }
}

/// Founds an exchange in the directory `data`, empty or to be made, and starts it on the present runtime, as `serve` does.
pub(super) async fn start(
    data: &Path,
    recipients: usize,
) -> Result<(Running, Vec<Member>), CliError> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    std::fs::create_dir_all(data).map_err(|cause| CliError::file(data, &cause))?;
    let tls = data.join("tls");
    let authority = DevelopmentAuthority::create(&tls, clock.now())?;
    authority.issue_server(&[], clock.now())?;
    authority.renew_revocation_list(clock.now())?;
    let operator = authority.issue_operator(clock.now())?.certificate.fingerprint;
    let data = data.join("exchange");
    let _founded = compose::found(&data, operator, &clock, &entropy).await?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options { limits: limits(), ..Options::system(data, tls, any)? };
    let running = Running::start(options).await?;
    let members = settle(running.node(), &authority, recipients).await?;
    Ok((running, members))
}

/// The agencies of a world: the publisher's profile first, then the recipients'.
async fn settle(
    node: &Node,
    authority: &DevelopmentAuthority,
    recipients: usize,
) -> Result<Vec<Member>, CliError> {
    let mut members = vec![enrol(node, authority, PUBLISHER, pb::AgencyKind::Council).await?];
    for number in 1..=recipients {
        let id = format!("recipient-{number}");
        members.push(enrol(node, authority, &id, pb::AgencyKind::NationalBody).await?);
    }
    agree(node, &members).await?;
    for member in members.iter().skip(1) {
        let subscription = pb::CreateSubscription {
            subscription: "leavers".to_owned(),
            record_types: vec!["leaver-form".to_owned()],
        };
        member.act(node, Kind::CreateSubscription(subscription)).await?;
    }
    Ok(members)
}

/// An enrolled agency with its keys.
pub(super) struct Member {
    pub(super) id: AgencyId,
    pub(super) profile: IssuedProfile,
    kind: pb::AgencyKind,
    key: SigningKey,
}

impl Member {
    /// A request of this agency for its usual purpose.
    pub(super) fn asked(&self, node: &Node) -> Result<Asked, CliError> {
        let now = node.now().map_err(said("the clock is in doubt"))?;
        Ok(Asked {
            actor: Who::Agency(self.id.clone()),
            purpose: PURPOSE,
            staff: None,
            request_id: node.entropy().request_id(now),
            signature: None,
        })
    }

    /// Submits a command with the agency's signature.
    async fn act(&self, node: &Node, kind: Kind) -> Result<Receipt, CliError> {
        let mut asked = self.asked(node)?;
        let ledger = node.read(State::ledger);
        let statement = node::statement(ledger, &self.id, asked.request_id, &kind)
            .map_err(said("nothing to sign"))?;
        let value = self.key.sign(&statement).map_err(said("no signature"))?;
        asked.signature = Some(pb::Signature {
            key_fingerprint: Bytes::copy_from_slice(self.key.fingerprint().as_bytes()),
            value: Bytes::copy_from_slice(&value),
        });
        submit(node, &asked, kind).await
    }
}

async fn submit(node: &Node, asked: &Asked, kind: Kind) -> Result<Receipt, CliError> {
    let outcome = node.submit(asked, kind, None).await;
    let outcome = outcome.map_err(|failure| problem(format!("a command failed: {failure:?}")))?;
    outcome.map_err(said("a command was refused"))
}

async fn enrol(
    node: &Node,
    authority: &DevelopmentAuthority,
    id: &str,
    kind: pb::AgencyKind,
) -> Result<Member, CliError> {
    let now = node.now().map_err(said("the clock is in doubt"))?;
    let agency: AgencyId = id.parse().map_err(said("no agency's id"))?;
    let profile = authority.issue_agency(&agency, now).map_err(said("no certificate"))?;
    let files = ProfileFiles::in_directory(&profile.directory);
    let key = SigningKey::load(&files.signing_key).map_err(said("no signing key"))?;
    let secret: [u8; 32] = node.entropy().bytes();
    let invite = Kind::InviteAgency(pb::InviteAgency {
        agency: id.to_owned(),
        kind: i32::from(kind),
        secret_digest: Bytes::copy_from_slice(Digest::of_concatenation(&[&secret]).as_bytes()),
        expires_at_ms: now.plus(DAY_MS).millis(),
    });
    let operator = Asked {
        actor: Who::Operator,
        purpose: pb::Purpose::Operation,
        staff: None,
        request_id: node.entropy().request_id(now),
        signature: None,
    };
    let _done = submit(node, &operator, invite).await?;
    let certificate = profile.certificate.fingerprint;
    let member = Member { id: agency, profile, kind, key };
    let keys = pb::AgencyKeys {
        signing_key: Bytes::copy_from_slice(&member.key.public()),
        certificates: vec![Bytes::copy_from_slice(certificate.as_bytes())],
    };
    let enrol = pb::EnrolAgency { secret: Bytes::copy_from_slice(&secret), keys: Some(keys) };
    let _done = member.act(node, Kind::EnrolAgency(enrol)).await?;
    Ok(member)
}

/// Drafts, proposes and approves the agreement in everybody's name.
async fn agree(node: &Node, members: &[Member]) -> Result<(), CliError> {
    let Some(publisher) = members.first() else { return Ok(()) };
    let party = |member: &Member| pb::Party {
        agency: member.id.to_string(),
        kind: i32::from(member.kind),
        key_fingerprint: Bytes::copy_from_slice(member.key.fingerprint().as_bytes()),
        ..pb::Party::default()
    };
    let flow = pb::Flow {
        flow: "leavers".to_owned(),
        record_type: "leaver-form".to_owned(),
        publisher: publisher.id.to_string(),
        recipients: members.iter().skip(1).map(|member| member.id.to_string()).collect(),
        groups: GROUPS.map(str::to_owned).to_vec(),
        basis: i32::from(pb::LawfulBasis::LegalObligation),
        legal_power: i32::from(pb::LegalPower::Post16Education2013S20),
        gate: i32::from(pb::Gate::None),
        caseload: i32::from(pb::CaseloadRule::None),
        ..pb::Flow::default()
    };
    let now = node.now().map_err(said("the clock is in doubt"))?;
    let content = pb::AgreementContent {
        parties: members.iter().map(party).collect(),
        purpose: i32::from(PURPOSE),
        flows: vec![flow],
        expires_at_ms: now.plus(DAY_MS).millis(),
        text_digest: Bytes::copy_from_slice(Digest::of_concatenation(&[b"bench"]).as_bytes()),
        terms: None,
    };
    let content = example::completed(content, now);
    let agreement = AGREEMENT.to_owned();
    let draft = pb::DraftAgreement { agreement: agreement.clone(), content: Some(content) };
    let stands = publisher.act(node, Kind::DraftAgreement(draft)).await?;
    let Receipt::Answer(Remembered::Agreement { version, content_hash }) = stands else {
        return Err(problem("a draft has no version".to_owned()));
    };
    let content_hash = Bytes::copy_from_slice(content_hash.as_bytes());
    let propose = pb::ProposeAgreement {
        agreement: agreement.clone(),
        version,
        content_hash: content_hash.clone(),
    };
    let _done = publisher.act(node, Kind::ProposeAgreement(propose)).await?;
    for member in members {
        let approve = example::approval(&agreement, version, content_hash.clone());
        let _done = member.act(node, Kind::ApproveAgreement(approve)).await?;
    }
    Ok(())
}
