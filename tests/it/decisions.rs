//! The decision table: every case of `tests/policies` is decided three ways, by applying commands, by the explanation and
//! by a replay of the ledger, and each decides otherwise once the rule that the case cites is left out.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    machine::{
        State, apply,
        command::Parsed,
        law::{LeftOut, Rule},
        read::{
            Viewer,
            explain::{Asked, Subject, explain},
        },
    },
    model::order::{Position, UnixMillis},
};

mod case;
mod script;

use case::Case;
use script::{Played, play, purpose};

/// What is expected of, or told about, each field group: `released`, or a reason.
type Told = BTreeMap<String, String>;

/// What the explanation says, to the record's publisher.
fn explained(case: &Case, played: &Played) -> Told {
    told_of(case, played, &played.world.state)
}

fn told_of(case: &Case, played: &Played, state: &State) -> Told {
    let publisher = state.agency_number(&case.from.parse().unwrap()).unwrap();
    let asked = Asked::about(
        Subject::Record(played.record.unwrap()),
        case.to.parse().unwrap(),
        purpose(&case.purpose).into(),
        UnixMillis::new(played.world.now_ms()),
    );
    let explanation = explain(state, Viewer::Agency(publisher), &asked).unwrap();
    let groups = explanation.groups.iter().map(|decision| {
        let why = decision.withheld.as_ref().map_or("released", |withheld| withheld.code());
        (decision.group.to_string(), why.to_owned())
    });
    groups.collect()
}

fn released(told: &Told) -> BTreeSet<String> {
    told.iter().filter(|(_, why)| *why == "released").map(|(group, _)| group.clone()).collect()
}

/// The state that the ledger of a case amounts to, decided anew from its first entry.
fn replayed(played: &Played, left_out: Option<LeftOut>) -> State {
    let mut state = left_out.map_or_else(State::empty, State::empty_without);
    for (position, (at, bytes)) in (0..).zip(played.world.entries()) {
        let command = match Parsed::from_bytes(bytes) {
            Parsed::Command(command) => Some(command),
            Parsed::Malformed(_) | Parsed::Later(_) => None,
        };
        let _applied = apply(&mut state, Position::new(position), *at, command.as_deref());
    }
    state
}

/// What a replayed state says was disclosed to the recipient.
fn disclosed(case: &Case, played: &Played, state: &State) -> BTreeSet<String> {
    let recipient = state.agency_number(&case.to.parse().unwrap()).unwrap();
    let record = state.record(played.record.unwrap()).unwrap();
    let row = state.tables().disclosures.get(&(record.first, recipient));
    let names = row.map(|row| state.record_type(record.record_type).unwrap().names_of(row.groups));
    names.into_iter().flatten().map(|name| name.to_string()).collect()
}

#[test]
fn every_case_is_decided_alike_by_applying_explaining_and_replaying() {
    let cases = case::all();
    assert!(80 <= cases.len(), "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let played = play(case, None);
        let refused = played.refusals.first().map(|refusal| refusal.reason());
        if refused != case.refused.as_deref() {
            wrong.push(format!("{}: refused {refused:?}, not {:?}", case.name, case.refused));
        }
        let told = explained(case, &played);
        if told != case.expect {
            wrong.push(format!("{}: explained {told:?}", case.name));
        }
        if played.released != released(&case.expect) {
            wrong.push(format!("{}: released {:?}", case.name, played.released));
        }
        let again = replayed(&played, None);
        assert_eq!(again.digest(), played.world.state.digest(), "{}", case.name);
        if told_of(case, &played, &again) != told {
            wrong.push(format!("{}: replayed otherwise", case.name));
        }
        if disclosed(case, &played, &again) != played.released {
            wrong.push(format!("{}: replayed to another disclosure", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_the_rule_that_it_cites_every_case_is_decided_otherwise() {
    let mut same = Vec::new();
    for case in &case::all() {
        let left_out = LeftOut::named(&case.rule);
        let left_out = left_out.unwrap_or_else(|| panic!("there is no rule {}", case.rule));
        assert_eq!(case.source, left_out.source(), "{}", case.name);
        let played = play(case, Some(left_out));
        let told = explained(case, &played);
        let before = released(&case.expect);
        if played.released == before || released(&told) == before {
            let all = (&played.released, told, &played.refusals);
            same.push(format!("{}: {} decides nothing: {all:?}", case.name, case.rule));
        } else if released(&told) != played.released {
            same.push(format!("{}: {told:?}, but {:?} left", case.name, played.released));
        }
        let again = replayed(&played, Some(left_out));
        assert_eq!(disclosed(case, &played, &again), played.released, "{}", case.name);
    }
    assert!(same.is_empty(), "{}", same.join("\n"));
}

#[test]
fn every_rule_of_decisions_is_cited_by_a_case() {
    let cited: BTreeSet<String> = case::all().into_iter().map(|case| case.rule).collect();
    let silent: Vec<_> =
        Rule::ALL.iter().map(|rule| rule.id()).filter(|id| !cited.contains(*id)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn a_state_from_rows_leaves_nothing_out() {
    let case = &case::all()[0];
    let left_out = LeftOut::named(&case.rule);
    let played = play(case, left_out);
    let rows = played.world.state.to_rows().into_iter();
    let reloaded = State::from_rows(rows).unwrap();
    let released_now = released(&told_of(case, &played, &reloaded));
    assert_ne!(released_now, played.released);
}
