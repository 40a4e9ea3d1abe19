//! Whatever a content leaves open is listed: every field of a complete agreement is taken out, one at a time, found by
//! reflection so that none is forgotten. What may be left out is named here, and why.

use std::collections::BTreeSet;

use concordat::{
    machine::{Refusal, command::agreement::Content, read::agreement::findings},
    model::order::UnixMillis,
    pb::{
        DESCRIPTORS,
        ledger::v1::{self as pb, AgencyKind},
    },
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value};

use super::world::{World, consented_flow, digest, flow, owned};

const LEAVERS: &str = "leavers";
const CONTENT: &str = "concordat.ledger.v1.AgreementContent";

/// What an agreement may leave out without missing anything, by message and field.
const OPTIONAL: &[(&str, &str)] = &[
    ("AgreementContent", "text_digest"), // the parties need not keep a text beside
    ("Flow", "backfill"),                // nothing from before, which is less
    ("Flow", "statistics_only"), // said of what counts; its absence is told by preview and diff
    ("Flow", "safeguarding"),    // an ordinary flow
    ("Flow", "named_actor"),     // systems may read
    ("Flow", "emergency"),       // an ordinary flow
    ("Terms", "memorandum"),     // there is none
    ("Terms", "complaint_acknowledge_days"), // as statute has it
    ("Terms", "complaint_answer_days"), // as statute has it
    ("Terms", "at_review"),      // everything goes on and the parties are told
];

/// One step into a message: the field, and the place where it is a list.
type Path = Vec<(String, Option<usize>)>;

/// Paths, each with the message that its last field is of; and every field of every message, by both names.
type Walked<'a> = (&'a mut Vec<(Path, String)>, &'a mut BTreeSet<(String, String)>);

/// A complete agreement in which every field says something.
fn whole() -> (World, pb::AgreementContent) {
    let mut world = World::of_partners();
    world.enrol("police", AgencyKind::Police);
    let crossing = pb::Flow {
        basis: i32::from(pb::LawfulBasis::PublicTask),
        gateway: i32::from(pb::LegalPower::DataProtection2018S36),
        backfill: true,
        safeguarding: true,
        named_actor: true,
        ..flow("to-police", "council", &["police"])
    };
    let counted = pb::Flow { statistics_only: true, ..flow("counted", "council", &["sds"]) };
    let emergency = pb::Flow {
        basis: i32::from(pb::LawfulBasis::VitalInterests),
        legal_power: 0,
        emergency: Some(pb::EmergencyTerms { categories: vec![1], offices: vec![1] }),
        ..flow("emergencies", "council", &["sds"])
    };
    let consented = consented_flow("to-college", "council", &["college"]);
    let flows = vec![flow("to-sds", "council", &["sds"]), consented, crossing, counted, emergency];
    let mut content = world.content(&["council", "sds", "college", "police"], flows);
    for flow in &mut content.flows {
        if flow.basis == i32::from(pb::LawfulBasis::Consent) {
            flow.necessity_digest.clear();
        } else {
            flow.consent_reason_digest.clear();
        }
    }
    let terms = content.terms.as_mut().unwrap();
    terms.controllers = i32::from(pb::Controllers::Joint);
    terms.joint_controllers = owned(&["council", "sds"]);
    terms.joint_arrangement_digest = digest("arrangement");
    "leavers-memorandum".clone_into(&mut terms.memorandum);
    terms.at_review = i32::from(pb::AtReview::GoesOn);
    (terms.complaint_acknowledge_days, terms.complaint_answer_days) = (20, 60);
    (world, content)
}

fn descriptor() -> MessageDescriptor {
    DescriptorPool::decode(DESCRIPTORS).unwrap().get_message_by_name(CONTENT).unwrap()
}

/// Every field that says something, and every one there is, by message and field.
fn walk(message: &DynamicMessage, at: &Path, (paths, known): Walked<'_>) {
    for field in message.descriptor().fields() {
        let of = message.descriptor().name().to_owned();
        known.insert((of.clone(), field.name().to_owned()));
        if !message.has_field(&field) {
            continue;
        }
        let mut path = at.clone();
        path.push((field.name().to_owned(), None));
        paths.push((path, of));
        let step = |place| {
            let mut path = at.clone();
            path.push((field.name().to_owned(), place));
            path
        };
        let value = message.get_field(&field);
        if let Some(inner) = value.as_message() {
            walk(inner, &step(None), (paths, known));
        }
        for (place, item) in value.as_list().unwrap_or_default().iter().enumerate() {
            if let Some(inner) = item.as_message() {
                walk(inner, &step(Some(place)), (paths, known));
            }
        }
    }
}

fn clear(message: &mut DynamicMessage, path: &[(String, Option<usize>)]) {
    let ((name, place), rest) = path.split_first().unwrap();
    if rest.is_empty() {
        message.clear_field_by_name(name);
        return;
    }
    let inner = match (message.get_field_by_name_mut(name).unwrap(), place) {
        (Value::Message(inner), None) => inner,
        (Value::List(items), Some(place)) => {
            items.get_mut(*place).and_then(Value::as_message_mut).unwrap()
        }
        (other, _) => unreachable!("not a message: {other:?}"),
    };
    clear(inner, rest);
}

/// The path as a finding names it.
fn shown(path: &[(String, Option<usize>)]) -> String {
    let step = |(name, place): &(String, Option<usize>)| {
        place.map_or_else(|| name.clone(), |place| format!("{name}[{place}]"))
    };
    path.iter().map(step).collect::<Vec<_>>().join(".")
}

#[test]
fn whatever_is_taken_out_of_a_complete_agreement_is_listed_and_nothing_of_it_comes_into_force() {
    let (world, content) = whole();
    let now = UnixMillis::new(world.now_ms());
    let parsed = Content::try_from(content.clone()).unwrap();
    assert_eq!(findings(&world.state, &parsed, now), []);
    let message = DynamicMessage::decode(descriptor(), content.encode_to_vec().as_slice()).unwrap();
    let (mut paths, mut known) = (Vec::new(), BTreeSet::new());
    walk(&message, &Vec::new(), (&mut paths, &mut known));
    let name = |path: &Path| path.last().unwrap().0.clone();
    let tried: BTreeSet<_> = paths.iter().map(|(path, of)| (of.clone(), name(path))).collect();
    assert_eq!(tried, known, "every field of the schema says something in the complete agreement");
    let mut optional = BTreeSet::new();
    for (path, of) in paths {
        let mut open = message.clone();
        clear(&mut open, &path);
        let open = pb::AgreementContent::decode(open.encode_to_vec().as_slice()).unwrap();
        let place = shown(&path);
        let parsed = Content::try_from(open.clone());
        let parsed = parsed.unwrap_or_else(|violation| unreachable!("{place}: {violation:?}"));
        let found = findings(&world.state, &parsed, now);
        let may = OPTIONAL.iter().find(|(message, field)| *message == of && *field == name(&path));
        if let Some(may) = may {
            assert_eq!(found, [], "{place} may be left out");
            optional.insert(*may);
            continue;
        }
        let parent = place.rsplit_once('.').map_or("", |(parent, _)| parent);
        let listed = found.iter().any(|finding| finding.field.starts_with(parent));
        assert!(listed, "{place} is taken out and {found:?} is all that is listed");
        assert!(found.iter().all(|finding| !finding.gap.rule().is_empty()));
        let mut world = world.fork();
        let refusals: Vec<_> = found.iter().filter_map(|finding| finding.gap.refusal()).collect();
        match world.draft("council", LEAVERS, open) {
            Ok(stands) => {
                assert_eq!(refusals, [], "{place}");
                let refused = world.propose("council", LEAVERS, stands);
                assert_eq!(refused, Err(Refusal::AgreementIncomplete), "{place}");
                world.hold();
            }
            // Nobody drafts an agreement of which nobody knows that it is a party.
            Err(Refusal::NotAParty) => assert!(place.starts_with("parties"), "{place}"),
            Err(refusal) => assert!(refusals.contains(&refusal), "{place}: {refusal:?}"),
        }
    }
    assert_eq!(optional, OPTIONAL.iter().copied().collect(), "what may be left out is tried too");
}

#[test]
fn an_empty_content_is_an_agreement_that_misses_everything() {
    let world = World::of_partners();
    let content = Content::try_from(pb::AgreementContent::default()).unwrap();
    let found = findings(&world.state, &content, UnixMillis::new(world.now_ms()));
    let codes: BTreeSet<_> = found.iter().map(|finding| finding.gap.code()).collect();
    for code in ["PURPOSE_MISSING", "EXPIRY_MISSING", "PARTY_COUNT", "FLOW_COUNT", "DPIA_MISSING"] {
        assert!(codes.contains(code), "{code} is not in {codes:?}");
    }
}
