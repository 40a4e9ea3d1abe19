//! What an agreement needs: each item that is missing or not lawful is found, named with its rule, and stands in the way.

#![expect(
    clippy::indexing_slicing,
    clippy::assigning_clones,
    reason = "the cases of a table edit what is there, in a line each"
)]

use std::collections::BTreeSet;

use concordat::{
    machine::{
        Refusal,
        access::{self, Question, Reason},
        command::agreement::Content,
        read::{
            Viewer,
            agreement::{Finding, Gap, findings, findings_of},
        },
    },
    model::{
        digest::Digest,
        id::ClientId,
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{self as pb, AgencyKind},
};

use super::world::{DAY_MS, World, consented_flow, digest, flow, owned};

const LEAVERS: &str = "leavers";

type Edit = fn(&mut pb::AgreementContent);

/// A council, SDS, a college and the police; one flow by duty and one by consent.
fn world() -> (World, pb::AgreementContent) {
    let mut world = World::of_partners();
    world.enrol("police", AgencyKind::Police);
    let flows = vec![
        flow("to-sds", "council", &["sds"]),
        consented_flow("to-college", "council", &["college"]),
    ];
    let content = world.content(&["council", "sds", "college"], flows);
    (world, content)
}

fn found(world: &World, content: pb::AgreementContent) -> Vec<Finding> {
    let content = Content::try_from(content).unwrap();
    findings(&world.state, &content, UnixMillis::new(world.now_ms()))
}

fn first_flow(content: &mut pb::AgreementContent) -> &mut pb::Flow {
    content.flows.first_mut().unwrap()
}

fn terms(content: &mut pb::AgreementContent) -> &mut pb::Terms {
    content.terms.as_mut().unwrap()
}

/// What a draft may leave open: how it is left open, what is found then, and where.
const OPEN: &[(Edit, Gap, &str)] = &[
    (|c| c.purpose = 0, Gap::PurposeMissing, "purpose"),
    (|c| c.expires_at_ms = 0, Gap::ExpiryMissing, "expires_at_ms"),
    (
        |c| c.parties.push(pb::Party { agency: String::new(), ..c.parties[0].clone() }),
        Gap::PartyUnnamed,
        "parties[3].agency",
    ),
    (|c| c.parties[0].kind = 0, Gap::PartyKindMissing, "parties[0].kind"),
    (|c| c.parties[2].key_fingerprint.clear(), Gap::PartyKeyMissing, "parties[2].key_fingerprint"),
    (|c| first_flow(c).flow.clear(), Gap::FlowUnnamed, "flows[0].flow"),
    (|c| first_flow(c).record_type.clear(), Gap::RecordTypeMissing, "flows[0].record_type"),
    (|c| first_flow(c).publisher.clear(), Gap::FlowPublisherMissing, "flows[0].publisher"),
    (
        |c| {
            first_flow(c).recipients.clear();
            c.parties[1].role = i32::from(pb::PartyRole::Processor);
        },
        Gap::FlowRecipientsMissing,
        "flows[0].recipients",
    ),
    (|c| first_flow(c).groups.clear(), Gap::FieldGroupsMissing, "flows[0].groups"),
    (|c| first_flow(c).basis = 0, Gap::BasisMissing, "flows[0].basis"),
    (|c| first_flow(c).gate = 0, Gap::GateMissing, "flows[0].gate"),
    (|c| first_flow(c).caseload = 0, Gap::CaseloadRuleMissing, "flows[0].caseload"),
    (
        |c| {
            let (categories, offices) = (Vec::new(), vec![1]);
            first_flow(c).emergency = Some(pb::EmergencyTerms { categories, offices });
        },
        Gap::EmergencyTermsMissing,
        "flows[0].emergency.categories",
    ),
    (|c| c.parties[1].role = 0, Gap::PartyRoleMissing, "parties[1].role"),
    (
        |c| c.parties[1].role = i32::from(pb::PartyRole::Publisher),
        Gap::PartyRoleDiffers,
        "parties[1].role",
    ),
    (
        |c| c.parties[0].contact_digest = bytes::Bytes::new(),
        Gap::PartyContactMissing,
        "parties[0].contact_digest",
    ),
    (|c| first_flow(c).owner.clear(), Gap::FlowOwnerMissing, "flows[0].owner"),
    (|c| first_flow(c).owner = "health".to_owned(), Gap::NamedPartyDiffers, "flows[0].owner"),
    (
        |c| first_flow(c).necessity_digest.clear(),
        Gap::NecessityMissing,
        "flows[0].necessity_digest",
    ),
    (
        |c| c.flows[1].consent_reason_digest.clear(),
        Gap::ConsentReasonMissing,
        "flows[1].consent_reason_digest",
    ),
    (
        |c| {
            let (categories, offices) = (vec![1], vec![1]);
            first_flow(c).caseload = i32::from(pb::CaseloadRule::Confirmed);
            first_flow(c).emergency = Some(pb::EmergencyTerms { categories, offices });
        },
        Gap::EmergencyFlowUnfit,
        "flows[0].emergency",
    ),
    (|c| first_flow(c).regime = 0, Gap::RegimeMissing, "flows[0].regime"),
    (
        |c| terms(c).operator_terms_digest.clear(),
        Gap::OperatorTermsMissing,
        "terms.operator_terms_digest",
    ),
    (|c| terms(c).controllers = 0, Gap::ControllersMissing, "terms.controllers"),
    (
        |c| terms(c).joint_controllers = owned(&["council", "sds"]),
        Gap::JointControllersDiffer,
        "terms.joint_controllers",
    ),
    (
        |c| {
            terms(c).controllers = i32::from(pb::Controllers::Joint);
            terms(c).joint_controllers = owned(&["council", "sds"]);
        },
        Gap::JointArrangementMissing,
        "terms.joint_arrangement_digest",
    ),
    (|c| terms(c).rights_contact.clear(), Gap::RightsContactMissing, "terms.rights_contact"),
    (
        |c| terms(c).rights_procedure_digest.clear(),
        Gap::RightsProcedureMissing,
        "terms.rights_procedure_digest",
    ),
    (|c| terms(c).correction_days = 91, Gap::CorrectionDaysMissing, "terms.correction_days"),
    (
        |c| terms(c).quality_rules_digest.clear(),
        Gap::QualityRulesMissing,
        "terms.quality_rules_digest",
    ),
    (|c| terms(c).retention.clear(), Gap::RetentionMissing, "terms.retention"),
    (
        |c| terms(c).retention[0].keep_months = 0,
        Gap::RetentionMissing,
        "terms.retention[0].keep_months",
    ),
    (
        |c| {
            let row = terms(c).retention[0].clone();
            terms(c)
                .retention
                .push(pb::Retention { record_type: "child-record".to_owned(), ..row });
        },
        Gap::RetentionNotShared,
        "terms.retention[1].record_type",
    ),
    (|c| terms(c).security = 0, Gap::SecurityMissing, "terms.security"),
    (|c| terms(c).dpia_digest.clear(), Gap::DpiaMissing, "terms.dpia_digest"),
    (|c| terms(c).dpia_at_ms = c.expires_at_ms, Gap::DpiaDateMissing, "terms.dpia_at_ms"),
    (|c| terms(c).review_at_ms = c.expires_at_ms + 1, Gap::ReviewDateMissing, "terms.review_at_ms"),
    (|c| terms(c).review_months = 37, Gap::ReviewCadenceMissing, "terms.review_months"),
    (|c| terms(c).at_expiry = 0, Gap::AtExpiryMissing, "terms.at_expiry"),
    (|c| terms(c).reporting_body.clear(), Gap::ReportingBodyMissing, "terms.reporting_body"),
    (|c| terms(c).reporting_months = 0, Gap::ReportingCadenceMissing, "terms.reporting_months"),
    (|c| terms(c).incident_contact.clear(), Gap::IncidentContactMissing, "terms.incident_contact"),
    (|c| terms(c).joining = 0, Gap::JoiningMissing, "terms.joining"),
    (|c| terms(c).leaving_notice_days = 0, Gap::LeavingMissing, "terms.leaving_notice_days"),
    (|c| terms(c).termination = 0, Gap::TerminationMissing, "terms.termination"),
    (|c| terms(c).indicators.clear(), Gap::IndicatorMissing, "terms.indicators"),
    (
        |c| terms(c).indicators[0].baseline_milli = None,
        Gap::IndicatorIncomplete,
        "terms.indicators[0]",
    ),
];

/// What no draft may say: how it is said, what is found then, and how the draft is refused.
const UNLAWFUL: &[(Edit, Gap)] = &[
    (|c| c.purpose = i32::from(pb::Purpose::Administration), Gap::PurposeNotAllowed),
    (|c| c.parties[1].kind = i32::from(AgencyKind::Police), Gap::PartyDiffers),
    (|c| c.parties.truncate(1), Gap::PartyCount),
    (|c| first_flow(c).record_type = "nothing".to_owned(), Gap::RecordTypeUnknown),
    (|c| first_flow(c).groups = owned(&["nothing"]), Gap::FieldGroupUnknown),
    (|c| c.flows[1].flow = "to-sds".to_owned(), Gap::FlowCount),
    (|c| first_flow(c).recipients = owned(&["council"]), Gap::FlowPartyDiffers),
    (
        |c| first_flow(c).basis = i32::from(pb::LawfulBasis::LegitimateInterests),
        Gap::BasisNotForKind,
    ),
    (
        |c| first_flow(c).basis = i32::from(pb::LawfulBasis::RecognisedLegitimateInterests),
        Gap::BasisNotForKind,
    ),
    (|c| first_flow(c).legal_power = 0, Gap::LegalPowerMissing),
    (|c| c.flows[1].special_condition = 0, Gap::SpecialConditionMissing),
    (|c| c.flows[1].gate = i32::from(pb::Gate::None), Gap::GateMismatch),
    (|c| first_flow(c).regime = i32::from(pb::Regime::LawEnforcement), Gap::RegimeNotForKind),
    (|c| c.expires_at_ms = 1, Gap::ExpiryInvalid),
];

#[test]
fn a_complete_agreement_misses_nothing() {
    let (world, content) = world();
    assert_eq!(found(&world, content), []);
}

#[test]
fn whatever_is_left_open_is_found_and_nothing_is_proposed_before_it_is_settled() {
    let mut seen = BTreeSet::new();
    for (edit, gap, field) in OPEN {
        let (mut world, mut content) = world();
        let whole = content.clone();
        edit(&mut content);
        let expected = [Finding { gap: *gap, field: (*field).to_owned() }];
        assert_eq!(found(&world, content.clone()), expected, "{gap:?}");
        let stands = world.draft("council", LEAVERS, content).unwrap();
        let viewer = world.state.agency_number(&"sds".parse().unwrap()).unwrap();
        let now = UnixMillis::new(world.now_ms());
        let named = (&LEAVERS.parse().unwrap(), stands.0);
        let told = findings_of(&world.state, Viewer::Agency(viewer), named, now);
        assert_eq!(told.unwrap(), expected);
        let refused = world.propose("council", LEAVERS, stands);
        assert_eq!(refused, Err(Refusal::AgreementIncomplete), "{gap:?}");
        let stands = world.draft("council", LEAVERS, whole).unwrap();
        assert_eq!(world.propose("council", LEAVERS, stands), Ok(stands));
        seen.insert(*gap);
    }
    let open: BTreeSet<Gap> =
        Gap::ALL.iter().filter(|gap| gap.refusal().is_none()).copied().collect();
    assert_eq!(seen, open, "every gap of the catalogue has its case");
}

#[test]
fn whatever_is_not_lawful_keeps_even_a_draft_out() {
    let mut seen = BTreeSet::from([Gap::GatewayMissing]); // has tests of its own
    for (edit, gap) in UNLAWFUL {
        let (mut world, mut content) = world();
        edit(&mut content);
        let gaps: Vec<Gap> = found(&world, content.clone()).iter().map(|f| f.gap).collect();
        assert!(gaps.contains(gap), "{gap:?} is not in {gaps:?}");
        let refused = world.draft("council", LEAVERS, content);
        assert_eq!(refused.err(), gap.refusal(), "{gap:?}");
        seen.insert(*gap);
    }
    let unlawful: BTreeSet<Gap> =
        Gap::ALL.iter().filter(|gap| gap.refusal().is_some()).copied().collect();
    assert_eq!(seen, unlawful, "every gap of the catalogue has its case");
}

#[test]
fn a_content_without_terms_misses_all_of_them_at_once() {
    let (world, mut content) = world();
    content.terms = None;
    let gaps: BTreeSet<Gap> = found(&world, content).into_iter().map(|f| f.gap).collect();
    assert!(gaps.contains(&Gap::IndicatorMissing) && gaps.contains(&Gap::DpiaMissing), "{gaps:?}");
    assert!(20 <= gaps.len(), "{gaps:?}");
}

#[test]
fn every_gap_has_a_code_a_rule_and_words_of_its_own() {
    let codes: BTreeSet<&str> = Gap::ALL.iter().map(|gap| gap.code()).collect();
    assert_eq!(codes.len(), Gap::ALL.len());
    for gap in Gap::ALL {
        let (code, rule, message) = (gap.code(), gap.rule(), gap.message());
        assert!(code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{code}");
        assert!(!rule.is_empty() && message.starts_with(|c: char| c.is_ascii_lowercase()));
        assert!(!message.ends_with('.') && 20 < message.len(), "{message}");
    }
}

#[test]
fn what_crosses_to_or_from_the_police_passes_by_a_named_gateway() {
    use pb::{LegalPower, Regime};
    let cases = [
        // Publisher, recipient, regime, whether a gateway is needed.
        ("police", "council", Regime::LawEnforcement, true),
        ("police", "council", Regime::UkGdpr, false),
        ("council", "police", Regime::UkGdpr, true),
        ("council", "sds", Regime::UkGdpr, false),
    ];
    for (publisher, recipient, regime, needed) in cases {
        let (mut world, _) = world();
        let line = pb::Flow {
            regime: i32::from(regime),
            basis: i32::from(pb::LawfulBasis::PublicTask),
            ..flow("crossing", publisher, &[recipient])
        };
        let content = world.content(&[publisher, recipient], vec![line]);
        let outcome = world.draft(publisher, LEAVERS, content.clone());
        let refused = needed.then_some(Refusal::GatewayMissing);
        assert_eq!(outcome.err(), refused, "{publisher} to {recipient} under {regime:?}");
        let mut named = content;
        first_flow(&mut named).gateway = i32::from(LegalPower::DataProtection2018S36);
        let stands = world.draft(publisher, LEAVERS, named).unwrap();
        assert_eq!(world.propose(publisher, LEAVERS, stands), Ok(stands));
    }
}

#[test]
fn a_voluntary_body_may_rely_on_recognised_legitimate_interests() {
    let (mut world, _) = world();
    let line = pb::Flow {
        basis: i32::from(pb::LawfulBasis::RecognisedLegitimateInterests),
        legal_power: 0,
        ..flow("from-charity", "charity", &["council"])
    };
    let content = world.content(&["charity", "council"], vec![line]);
    world.activate(LEAVERS, content);
}

#[test]
fn nothing_is_activated_after_a_date_of_it_has_passed() {
    let (mut world, mut content) = world();
    terms(&mut content).review_at_ms = world.now_ms() + DAY_MS;
    let stands = world.draft("council", LEAVERS, content).unwrap();
    world.propose("council", LEAVERS, stands).unwrap();
    world.approve("council", LEAVERS, stands).unwrap();
    world.approve("sds", LEAVERS, stands).unwrap();
    world.wait(2 * DAY_MS);
    let refused = world.approve("college", LEAVERS, stands);
    assert_eq!(refused, Err(Refusal::AgreementIncomplete));
    world.hold();
}

#[test]
fn a_flow_that_only_counts_releases_nothing() {
    let (mut world, mut content) = world();
    first_flow(&mut content).statistics_only = true;
    world.activate(LEAVERS, content);
    let state = &world.state;
    let number = |id: &str| state.agency_number(&id.parse().unwrap()).unwrap();
    let record_type = state.type_number(&"leaver-form".parse().unwrap()).unwrap();
    let known = state.record_type(record_type).unwrap();
    let question = Question {
        publisher: number("council"),
        recipient: number("sds"),
        record_type,
        client: ClientId::from_bytes([1; 16]),
        groups: known.set_of(&["core".parse().unwrap()]).unwrap(),
        published: Position::new(10_000),
        purpose: i32::from(pb::Purpose::SchoolLeaverTransition),
        now: UnixMillis::new(world.now_ms()),
    };
    let decision = access::decide(state, &question);
    assert!(decision.groups().is_empty());
    assert_eq!(decision.withheld[0].reason, Reason::StatisticsOnly);
}

#[test]
fn a_text_is_not_found_by_trying_without_its_salt() {
    let text = "information governance team";
    let salted = concordat::machine::command::agreement::text_digest(&[1; 32], text);
    let other = concordat::machine::command::agreement::text_digest(&[2; 32], text);
    assert_ne!(salted, other);
    assert_ne!(salted.as_bytes().as_slice(), &*digest(text));
    assert_ne!(salted, Digest::of_parts("concordat.agreement.text.v1", &[text.as_bytes()]));
}
