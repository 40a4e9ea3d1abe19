//! Agencies' own policies: one `forbid` over the published schema, in its canonical form, and nothing beside it.

use concordat::{
    machine::{
        Receipt, Refusal, State,
        access::{
            Verdicts,
            verdict::{ANSWERS_MAX, Attributes, QuestionKey, Verdict, canonical},
        },
        state::{agency::AgencyNumber, policy::Policy},
    },
    model::{id::PolicyId, limit},
    pb::ledger::v1::{self as pb, command::Kind},
};

use super::world::{By, LEAVER_FORM, Signing, World, statutory_flow};

const NO_SPECIAL: &str = "forbid(principal, action, resource) when { resource.special_category };";
const NO_CHARITY: &str = r#"forbid(principal == Agency::"charity", action, resource);"#;

fn put(text: &str) -> Kind {
    let text = text.to_owned();
    Kind::PutPolicy(pb::PutPolicy { policy: "mine".to_owned(), text, schema_version: 1 })
}

fn put_named(policy: &str, text: &str) -> Kind {
    let (policy, text) = (policy.to_owned(), text.to_owned());
    Kind::PutPolicy(pb::PutPolicy { policy, text, schema_version: 1 })
}

fn remove(policy: &str) -> Kind {
    Kind::RemovePolicy(pb::RemovePolicy { policy: policy.to_owned() })
}

fn number(state: &State, id: &str) -> AgencyNumber {
    state.agency_number(&id.parse().unwrap()).unwrap()
}

/// What the council's policies say to `support-needs` going to the charity.
fn verdict(world: &World) -> Verdict {
    asked(world, &Verdicts::default(), 1).0
}

/// The same, of a memory and a version of the agreement; and whether the attributes were looked at.
fn asked(world: &World, verdicts: &Verdicts, version: u32) -> (Verdict, bool) {
    let state = &world.state;
    let (council, charity) = (number(state, "council"), number(state, "charity"));
    let agreement = "leavers".parse().unwrap();
    let row = state.tables().agreements.get(&agreement).unwrap();
    let flow = row.flows.first().unwrap();
    let key = QuestionKey {
        owner: council,
        publisher: council,
        recipient: charity,
        record_type: flow.record_type,
        group: 2,
        agreement: agreement.clone(),
        version,
        flow: 0,
    };
    let (record_type, group) = (LEAVER_FORM.parse().unwrap(), "support-needs".parse().unwrap());
    let mut looked = false;
    let verdict = verdicts.ask(state, &key, || {
        looked = true;
        Attributes {
            publisher: state.agency(council).unwrap().into(),
            recipient: state.agency(charity).unwrap().into(),
            record_type: &record_type,
            group: &group,
            special_category: true,
            purpose: row.purpose,
            agreement: &agreement,
            flow: &flow.id,
            basis: flow.basis,
            gate: flow.gate,
        }
    });
    (verdict, looked)
}

fn world() -> World {
    let mut world = World::of_partners();
    let flows = vec![statutory_flow("statutory", "council", &["charity"])];
    let content = world.content(&["council", "charity"], flows);
    world.activate("leavers", content);
    world
}

#[test]
fn a_policy_is_put_replaced_and_removed() {
    let mut world = world();
    assert_eq!(verdict(&world), Verdict::Silent);
    let before = world.state.chain().narrowings;
    let special = canonical(NO_SPECIAL).unwrap();
    assert_eq!(world.apply("council", put(&special)), Ok(Receipt::DONE));
    assert!(before < world.state.chain().narrowings);
    assert_eq!(verdict(&world), Verdict::Forbidden(vec!["mine".parse().unwrap()]));
    let college = canonical(&NO_CHARITY.replace("charity", "college")).unwrap();
    assert_eq!(world.apply("council", put(&college)), Ok(Receipt::DONE));
    assert_eq!(verdict(&world), Verdict::Silent);
    assert_eq!(world.apply("council", remove("mine")), Ok(Receipt::DONE));
    assert_eq!(world.apply("council", remove("mine")), Err(Refusal::PolicyUnknown));
    assert_eq!(world.apply("charity", remove("mine")), Err(Refusal::PolicyUnknown));
    world.hold();
}

#[test]
fn all_policies_that_forbid_are_named_in_order() {
    let mut world = world();
    for (id, text) in [("zeal", NO_SPECIAL), ("alarm", NO_CHARITY), ("mind", NO_SPECIAL)] {
        let text = canonical(text).unwrap();
        assert_eq!(world.apply("council", put_named(id, &text)), Ok(Receipt::DONE));
    }
    let ids: Vec<PolicyId> =
        ["alarm", "mind", "zeal"].iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(verdict(&world), Verdict::Forbidden(ids));
}

#[test]
fn a_policy_reads_every_attribute_of_the_schema() {
    let mut world = world();
    for condition in [
        r"resource is FieldGroup && resource has publisher",
        r"if resource.special_category then principal is Agency else false",
        r#"principal.kind == "voluntary""#,
        r#"resource.publisher.kind == "council""#,
        r#"resource.publisher == Agency::"council""#,
        r#"resource == FieldGroup::"council/leaver-form/support-needs""#,
        r#"resource.record_type == "leaver-form" && resource.group like "support-*""#,
        r#"context.purpose == "school_leaver_transition""#,
        r#"context.agreement == "leavers" && context.flow == "statutory""#,
        r#"context.basis == "consent" && context.gate == "statutory_consent""#,
        r#"!(["consent", "public_task"].contains(context.gate))"#,
    ] {
        let text = format!(
            r"forbid(principal, action == Action::{:?}, resource) when {{ {condition} }};",
            "receive"
        );
        let text = canonical(&text).unwrap_or_else(|problems| panic!("{condition}: {problems:?}"));
        assert_eq!(world.apply("council", put(&text)), Ok(Receipt::DONE), "{text}");
        let forbidden = Verdict::Forbidden(vec!["mine".parse().unwrap()]);
        assert_eq!(verdict(&world), forbidden, "{text}");
    }
}

#[test]
fn a_permit_is_refused() {
    let mut world = world();
    for text in [
        "permit(principal, action, resource);",
        "permit(principal, action, resource) when { resource.special_category };",
        "permit (\n  principal,\n  action,\n  resource\n);",
    ] {
        assert_eq!(world.apply("council", put(text)), Err(Refusal::PolicyPermits), "{text}");
        assert!(canonical(text).is_err());
    }
}

#[test]
fn anything_but_one_forbid_over_the_schema_is_refused() {
    let mut world = world();
    let invalid = Err(Refusal::PolicyInvalid);
    let two = format!("{NO_SPECIAL}\n{NO_SPECIAL}");
    for text in [
        "",
        "no policy at all",
        two.as_str(),
        "forbid(principal == ?principal, action, resource);",
        "forbid(principal, action, resource) when { resource.name == \"x\" };",
        "forbid(principal, action, resource) when { resource.special_category == \"yes\" };",
        "forbid(principal, action, resource) when { context.purpose };",
        "forbid(principal == Person::\"x\", action, resource);",
        "forbid(principal, action == Action::\"send\", resource);",
        "@note(\"words\") forbid(principal, action, resource);",
        "@id(\"Not a slug\") forbid(principal, action, resource);",
        "forbid(principal, action, resource) when { context.flow == \"Some Body, 3 High St\" };",
        "forbid(principal, action, resource) when { context.flow == \"a\\nb\" };",
        "forbid(principal, action, resource) when { context has some_body };",
        "forbid(principal, action, resource) when { {some_body: true}.some_body };",
        "forbid(principal, action, resource) when { 1475 == 1475 };",
        "forbid(principal, action, resource) when { ip(\"10.0.0.1\").isLoopback() };",
    ] {
        assert!(canonical(text).is_err(), "{text}");
        assert_eq!(world.apply("council", put(text)), invalid, "{text}");
    }
    let problems = canonical("forbid(principal, action, resource) when { resource.name };");
    assert!(problems.unwrap_err().concat().contains("name"));
}

#[test]
fn only_the_canonical_form_is_kept_so_comments_stay_outside() {
    let mut world = world();
    let stored = canonical(NO_SPECIAL).unwrap();
    assert_eq!(canonical(&stored), Ok(stored.clone()));
    let commented = format!("// about somebody\n{stored}");
    let inside = stored.replace("when", "/* somebody */ when");
    for text in [commented.as_str(), &inside, &format!("{stored}\n"), &format!(" {stored}")] {
        assert_eq!(world.apply("council", put(text)), Err(Refusal::PolicyInvalid), "{text}");
    }
    assert_eq!(canonical(&commented), Ok(stored.clone()));
    assert_eq!(world.apply("council", put(&stored)), Ok(Receipt::DONE));
    let named = canonical(r#"@id("mine") forbid(principal, action, resource);"#).unwrap();
    assert_eq!(world.apply("council", put(&named)), Ok(Receipt::DONE));
}

#[test]
fn a_policy_is_of_a_known_schema_and_a_bounded_size() {
    let mut world = world();
    let text = canonical(NO_SPECIAL).unwrap();
    let unknown = Refusal::PolicySchemaUnknown;
    for (schema_version, refusal) in [(0, Refusal::Malformed), (2, unknown), (u32::MAX, unknown)] {
        let policy = "mine".to_owned();
        let kind = Kind::PutPolicy(pb::PutPolicy { policy, text: text.clone(), schema_version });
        assert_eq!(world.apply("council", kind), Err(refusal));
    }
    let long = vec![r#"context.flow == "x""#; limit::POLICY_BYTES_MAX / 16].join(" || ");
    let long = format!("forbid(principal, action, resource) when {{ {long} }};");
    assert_eq!(world.apply("council", put(&long)), Err(Refusal::PolicyInvalid));
}

#[test]
fn policies_are_limited_and_replacing_one_is_not() {
    let mut world = world();
    let text = canonical(NO_SPECIAL).unwrap();
    for place in 0..limit::POLICIES_MAX {
        let kind = put_named(&format!("policy-{place}"), &text);
        assert_eq!(world.apply("council", kind), Ok(Receipt::DONE));
    }
    let more = world.apply("council", put_named("one-more", &text));
    assert_eq!(more, Err(Refusal::LimitReached));
    assert_eq!(world.apply("council", put_named("policy-0", &text)), Ok(Receipt::DONE));
    assert_eq!(world.apply("charity", put_named("one-more", &text)), Ok(Receipt::DONE));
}

#[test]
fn only_the_agency_itself_puts_and_removes_its_policies() {
    let mut world = world();
    let text = canonical(NO_SPECIAL).unwrap();
    for by in [By::Operator, By::Node] {
        assert_eq!(world.apply(by, put(&text)), Err(Refusal::ActorNotPermitted));
        assert_eq!(world.apply(by, remove("mine")), Err(Refusal::ActorNotPermitted));
    }
    let request = world.request_id();
    let bare = world.apply_as("council", request, Signing::Not, put(&text));
    assert_eq!(bare, Err(Refusal::SignatureMissing));
    let forged = world.apply_as("council", request, Signing::As("charity"), put(&text));
    assert_eq!(forged, Err(Refusal::SignatureInvalid));
}

#[test]
fn an_answer_is_remembered_until_it_is_forgotten() {
    let mut world = world();
    let verdicts = Verdicts::default();
    assert_eq!(asked(&world, &verdicts, 1), (Verdict::Silent, false));
    let text = canonical(NO_SPECIAL).unwrap();
    world.apply("council", put(&text)).unwrap();
    let forbidden = Verdict::Forbidden(vec!["mine".parse().unwrap()]);
    assert_eq!(asked(&world, &verdicts, 1), (forbidden.clone(), true));
    assert_eq!(asked(&world, &verdicts, 1), (forbidden.clone(), false));
    assert_eq!(asked(&world.fork(), &Verdicts::default(), 1), (forbidden.clone(), true));
    verdicts.forget(number(&world.state, "charity"));
    assert_eq!(asked(&world, &verdicts, 1), (forbidden.clone(), false));
    verdicts.forget(number(&world.state, "council"));
    assert_eq!(asked(&world, &verdicts, 1), (forbidden, true));
}

#[test]
fn the_memory_of_answers_is_bounded() {
    let mut world = world();
    let text = canonical(NO_SPECIAL).unwrap();
    world.apply("council", put(&text)).unwrap();
    let verdicts = Verdicts::default();
    for version in (1..).take(ANSWERS_MAX) {
        assert!(asked(&world, &verdicts, version).1);
    }
    assert!(!asked(&world, &verdicts, 1).1);
    assert!(asked(&world, &verdicts, u32::MAX).1);
    assert!(asked(&world, &verdicts, 1).1);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let mut world = world();
    let text = canonical(NO_SPECIAL).unwrap();
    world.apply("council", put(&text)).unwrap();
    // A row of other text than any command lets in: it errs on every question.
    let broken = "forbid(principal, action, resource) when { resource.gone };";
    assert_eq!(broken_rows(&world, &text, broken), Verdict::Unreadable);
    assert_eq!(broken_rows(&world, &text, "not a policy"), Verdict::Unreadable);
    assert_eq!(broken_rows(&world, &text, &text), verdict(&world));
}

/// What the council's policies say after the stored text of its policy was replaced by `other`.
fn broken_rows(world: &World, text: &str, other: &str) -> Verdict {
    let table = 6;
    let rows = world.state.to_rows().into_iter().map(|mut row| {
        if row.table == table {
            let stored: Policy = borsh::from_slice(row.value.as_deref().unwrap()).unwrap();
            assert_eq!(stored.text, text);
            let policy = Policy { text: other.to_owned(), ..stored };
            row.value = Some(borsh::to_vec(&policy).unwrap().into());
        }
        row
    });
    let mut broken = world.fork();
    broken.state = State::from_rows(rows).unwrap();
    verdict(&broken)
}

#[test]
fn a_policy_that_would_exhaust_a_stack_is_refused_before_it_is_parsed() {
    let mut world = world();
    let wrap = |body: String| format!("forbid(principal, action, resource) when {{ {body} }};");
    for text in [
        wrap(vec!["resource.special_category"; 500].join(" || ")),
        wrap(vec!["true"; 1_600].join(" && ")),
        wrap(format!("{}true{}", "(".repeat(8_000), ")".repeat(8_000))),
        wrap(format!("{}true{} == true", "[".repeat(4_000), "]".repeat(4_000))),
        wrap(format!("{}true", "if true then true else ".repeat(600))),
        wrap(format!("{}true{}", "!(".repeat(4_000), ")".repeat(4_000))),
        wrap(format!("{}1 == 1", "1 + ".repeat(3_000))),
        wrap(format!("resource{}.special_category", ".publisher".repeat(1_400))),
        wrap(format!("{}true", "context has ".repeat(1_000))),
        wrap(format!("{}true", "true == ".repeat(1_800))),
        wrap(format!("{}true", "true < ".repeat(1_800))),
        wrap(format!("{}resource", "resource in ".repeat(1_200))),
        wrap(format!("{}resource", "resource is Agency in ".repeat(600))),
        wrap(format!("{}\"a\"", "context.flow like ".repeat(800))),
        wrap(format!("{}Agency::\"a\"", "Agency::".repeat(1_800))),
        wrap(format!("[{}] == true", "true, ".repeat(2_500))),
        format!("{}{}", "@id(\"a\") ".repeat(1_500), wrap("true".to_owned())),
    ] {
        assert!(text.len() <= limit::POLICY_BYTES_MAX + 64);
        assert_eq!(world.apply("council", put(&text)), Err(Refusal::PolicyInvalid));
    }
    let names: Vec<String> = (0..1_300).map(|n| format!("\"flow-{n}\"")).collect();
    let many = wrap(format!("[{}].contains(context.flow)", names.join(", ")));
    let many = canonical(&many).unwrap();
    assert_eq!(world.apply("council", put(&many)), Ok(Receipt::DONE));
}
