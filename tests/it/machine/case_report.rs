//! Reports about a person: what a controller may tell, to whom it is given, and that nothing shows what was held back.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal, Released,
        outcome::Remembered,
        read::{Viewer, case},
    },
    model::{
        id::{AliasId, CaseId, HolderId, RecordId},
        limit,
    },
    pb::ledger::v1::{
        self as pb, Authority, CaseKind, CaseOutcome, Exemption, IdentityCheck, Relation, Standing,
        VersionChange, command::Kind,
    },
};

use super::{
    case::{about, bytes, case_of, open, sharing, themselves},
    recall::Sharing,
    world::{client, owned},
};

fn access(sharing: &mut Sharing, by: &str, alias: AliasId) -> CaseId {
    let asked = about(sharing, CaseKind::Access, alias);
    case_of(open(sharing, by, asked))
}

/// A page; the versions whose bodies leave, with their groups.
fn report(
    sharing: &mut Sharing,
    by: &str,
    (case, after): (CaseId, Option<RecordId>),
) -> Result<Vec<(RecordId, Vec<String>)>, Refusal> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into();
    let make = pb::MakeReport { case: bytes(case), after };
    match sharing.act(by, Kind::MakeReport(make)) {
        Err(refusal) => Err(refusal),
        Ok(Receipt::Released(lines)) => {
            let groups =
                |line: &Released| line.group_names().iter().map(ToString::to_string).collect();
            let mut lines: Vec<_> =
                lines.iter().map(|line| (line.record(), groups(line))).collect();
            lines.sort();
            Ok(lines)
        }
        other => unreachable!("not a report: {other:?}"),
    }
}

/// To whom, on which flow, which groups.
type Delivered = (String, String, Vec<String>);

/// What a page tells beside the bodies: the record, its groups, and to whom which groups went on which flow.
fn listed(
    sharing: &Sharing,
    by: &str,
    case: CaseId,
) -> Vec<(RecordId, Vec<String>, Vec<Delivered>)> {
    let state = &sharing.world.state;
    let viewer = Viewer::Agency(sharing.number(by));
    let page = case::report(state, viewer, (case, None)).unwrap();
    let mut rows: Vec<_> = page
        .rows
        .iter()
        .map(|row| {
            let names = |groups| -> Vec<String> {
                row.record_type.names_of(groups).iter().map(ToString::to_string).collect()
            };
            let deliveries = row.deliveries.iter().map(|(recipient, on, groups)| {
                (recipient.to_string(), on.flow.to_string(), names(*groups))
            });
            (row.record, names(row.groups), deliveries.collect())
        })
        .collect();
    rows.sort();
    rows
}

fn hold(
    sharing: &mut Sharing,
    case: CaseId,
    (record, groups, exemption): (RecordId, &[&str], Exemption),
) -> Outcome {
    let hold = pb::HoldBack {
        case: bytes(case),
        record: record.as_bytes().to_vec().into(),
        groups: owned(groups),
        exemption: i32::from(exemption),
    };
    sharing.act("council", Kind::HoldBack(hold))
}

fn holder(sharing: &mut Sharing, known: Option<HolderId>, standing: Standing) -> HolderId {
    let record = pb::RecordHolder {
        client: sharing.alias.as_bytes().to_vec().into(),
        holder: known.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
        standing: i32::from(standing),
    };
    match sharing.world.apply("council", Kind::RecordHolder(record)) {
        Ok(Receipt::Answer(Remembered::Holder(holder))) => holder,
        other => unreachable!("not a holder: {other:?}"),
    }
}

#[test]
fn a_controller_reports_what_it_published_and_to_whom_it_went() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("sds"), [record]);
    assert_eq!(sharing.release("college"), [record]);
    let alias = sharing.alias;
    let case = access(&mut sharing, "council", alias);
    let both = owned(&["core", "support-needs"]);
    let page = report(&mut sharing, "council", (case, None)).unwrap();
    assert_eq!(page, [(record, both.clone())]);
    let to =
        |who: &str, flow: &str, groups: &[&str]| (who.to_owned(), flow.to_owned(), owned(groups));
    let expected =
        vec![to("college", "duty", &["core"]), to("sds", "task", &["core", "support-needs"])];
    assert_eq!(listed(&sharing, "council", case), [(record, both, expected)]);
    let closing = pb::DecideCase {
        case: bytes(case),
        outcome: i32::from(CaseOutcome::Upheld),
        ..pb::DecideCase::default()
    };
    sharing.act("council", Kind::DecideCase(closing)).unwrap();
    assert_eq!(report(&mut sharing, "council", (case, None)), Err(Refusal::CaseState));
    sharing.world.hold();
}

#[test]
fn a_recipient_reports_what_it_received_under_that_name_and_no_more_than_it_may_have() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("college"), [record]);
    let own = sharing.world.add_client("college", client(1));
    let case = access(&mut sharing, "college", own);
    assert_eq!(report(&mut sharing, "college", (case, None)), Ok(Vec::new()), "another name");
    assert!(
        listed(&sharing, "college", case).is_empty(),
        "nor does it show that it is the same person"
    );
    let rows = sharing.world.state.tables().disclosures.iter();
    let received = rows.map(|(_, row)| row.alias).next().unwrap();
    let case = access(&mut sharing, "college", received);
    let core = owned(&["core"]);
    let page = report(&mut sharing, "college", (case, None)).unwrap();
    assert_eq!(page, [(record, core.clone())], "what it was sent");
    // A newer version that it has not been sent is not told of, nor is a body that it may not have any more.
    let next = sharing.publish(Some(record), VersionChange::Update).unwrap();
    assert_eq!(report(&mut sharing, "college", (case, None)), Ok(Vec::new()));
    let told = listed(&sharing, "college", case);
    let delivered = vec![("college".to_owned(), "duty".to_owned(), core.clone())];
    assert_eq!(told, [(record, core.clone(), delivered)]);
    assert_eq!(sharing.release("college"), [next]);
    let page = report(&mut sharing, "college", (case, None)).unwrap();
    assert_eq!(page, [(next, core)]);
    assert_eq!(report(&mut sharing, "sds", (case, None)), Err(Refusal::NotAvailable));
    sharing.world.hold();
}

#[test]
fn a_report_goes_to_nobody_who_is_not_known_or_has_no_rights() {
    let mut sharing = sharing();
    let _record = sharing.new_record();
    let parent = holder(&mut sharing, None, Standing::HasRights);
    let asked = |sharing: &Sharing, requester: pb::Requester| pb::OpenCase {
        requester: Some(requester),
        ..about(sharing, CaseKind::Access, sharing.alias)
    };
    let named = |authority: Authority| pb::Requester {
        relation: i32::from(Relation::Parent),
        authority: i32::from(authority),
        holder: parent.as_bytes().to_vec().into(),
        ..themselves()
    };
    let unnamed = pb::Requester { holder: bytes::Bytes::new(), ..named(Authority::Seen) };
    let unknown = pb::Requester { identity: i32::from(IdentityCheck::Asked), ..themselves() };
    for requester in [unnamed, unknown, named(Authority::NotKnown), named(Authority::Unspecified)] {
        let asked = asked(&sharing, requester);
        let case = case_of(open(&mut sharing, "council", asked));
        let refused = report(&mut sharing, "council", (case, None));
        assert_eq!(refused, Err(Refusal::RequesterNotProven));
    }
    let asked = asked(&sharing, named(Authority::Seen));
    let case = case_of(open(&mut sharing, "council", asked));
    assert_eq!(report(&mut sharing, "council", (case, None)).unwrap().len(), 1);
    let _same = holder(&mut sharing, Some(parent), Standing::WithoutRights);
    let refused = report(&mut sharing, "council", (case, None));
    assert_eq!(refused, Err(Refusal::HolderWithoutRights), "found out later");
    sharing.world.hold();
}

#[test]
fn what_is_held_back_is_no_part_of_a_report_whole_or_by_group() {
    let mut sharing = sharing();
    let first = sharing.new_record();
    let second = sharing.new_record();
    for recipient in ["sds", "college"] {
        assert_eq!(sharing.release(recipient).len(), 2);
    }
    let alias = sharing.alias;
    let case = access(&mut sharing, "council", alias);
    let harm = Exemption::SeriousHarm;
    assert_eq!(
        hold(&mut sharing, case, (RecordId::from_bytes([9; 16]), &[], harm)),
        Err(Refusal::NotAvailable)
    );
    assert_eq!(
        hold(&mut sharing, case, (first, &["destination"], harm)),
        Err(Refusal::NotAvailable),
        "the record has no such group"
    );
    hold(&mut sharing, case, (first, &[], harm)).unwrap();
    let page = report(&mut sharing, "council", (case, None)).unwrap();
    assert_eq!(page, [(second, owned(&["core", "support-needs"]))]);
    assert!(listed(&sharing, "council", case).iter().all(|row| row.0 == second));
    let opinion = Exemption::HealthProfessional;
    hold(&mut sharing, case, (second, &["core"], opinion)).unwrap();
    let page = report(&mut sharing, "council", (case, None)).unwrap();
    let needs = owned(&["support-needs"]);
    assert_eq!(page, [(second, needs.clone())]);
    // The college got nothing else of it, so nothing says that the college got anything.
    let delivered = vec![("sds".to_owned(), "task".to_owned(), needs.clone())];
    assert_eq!(listed(&sharing, "council", case), [(second, needs, delivered)]);
    hold(&mut sharing, case, (second, &["core", "support-needs"], opinion)).unwrap();
    assert!(report(&mut sharing, "council", (case, None)).unwrap().is_empty());
    assert!(listed(&sharing, "council", case).is_empty(), "all its groups are as the whole of it");
    for record in [first, second] {
        hold(&mut sharing, case, (record, &[], Exemption::None)).unwrap();
        let again = hold(&mut sharing, case, (record, &[], Exemption::None));
        assert_eq!(again, Err(Refusal::CaseState));
    }
    assert_eq!(report(&mut sharing, "council", (case, None)).unwrap().len(), 2);
    sharing.world.hold();
}

#[test]
fn pages_are_cut_after_what_is_held_back_is_gone() {
    let mut sharing = sharing();
    let mut records: Vec<_> =
        (0..=limit::REPORT_RECORDS_MAX).map(|_| sharing.new_record()).collect();
    records.sort();
    let alias = sharing.alias;
    let case = access(&mut sharing, "council", alias);
    let next = |sharing: &Sharing| {
        let viewer = Viewer::Agency(sharing.number("council"));
        case::report(&sharing.world.state, viewer, (case, None)).unwrap().next
    };
    let last = next(&sharing).unwrap();
    assert_eq!(last, records[limit::REPORT_RECORDS_MAX - 1]);
    let rest = report(&mut sharing, "council", (case, Some(last))).unwrap();
    assert_eq!(rest.len(), 1);
    hold(&mut sharing, case, (records[3], &[], Exemption::PrincipalReporter)).unwrap();
    assert_eq!(next(&sharing), None);
    let page = report(&mut sharing, "council", (case, None)).unwrap();
    assert_eq!(page.len(), limit::REPORT_RECORDS_MAX);
}

#[test]
fn a_report_of_a_recipient_is_a_disclosure_that_its_publisher_sees() {
    let mut sharing = sharing();
    let record = sharing.new_record();
    assert_eq!(sharing.release("college"), [record]);
    let key = (record, sharing.number("college"));
    let releases =
        |sharing: &Sharing| sharing.world.state.tables().disclosures.get(&key).unwrap().releases;
    let received = sharing.world.state.tables().disclosures.get(&key).unwrap().alias;
    let case = access(&mut sharing, "college", received);
    let before = releases(&sharing);
    assert_eq!(report(&mut sharing, "college", (case, None)).unwrap().len(), 1);
    assert_eq!(releases(&sharing), before + 1);
    // Nothing of it once the record is taken back and called back.
    sharing.retract("council", record, pb::RecallReason::WrongPerson).unwrap();
    assert_eq!(report(&mut sharing, "college", (case, None)), Ok(Vec::new()));
    assert_eq!(listed(&sharing, "college", case).len(), 1, "that it was sent stays true");
}
