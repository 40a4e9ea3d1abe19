//! Alder's calls for emergency access: nobody whom it looks for may be read, whether or not others know them.

use concordat::pb::{
    ledger::v1::{self as ledger, Purpose},
    v1::{self as pb, open_emergency_access_request::Subject, request_context::Actor},
};

use super::{
    calls::{Call, Pool, of, scn},
    worlds::World,
};
use crate::ledger_samples::Dice;

/// One of three people of alder's.
#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn context(dice: &mut Dice) -> Option<pb::RequestContext> {
    let staff_id = format!("staff-{}", dice.below(3));
    let actor =
        Actor::Staff(ledger::ActorDetail { staff_id, role: "duty desk".to_owned(), office: 0 });
    let purpose = i32::from(Purpose::ChildProtection);
    Some(pb::RequestContext { purpose, actor: Some(actor), held_checkpoint: String::new() })
}

fn subject(dice: &mut Dice) -> Subject {
    let number = dice.below(24);
    if dice.below(2) == 0 {
        let (local_id, scn) = (String::new(), scn(number));
        return Subject::Identifiers(ledger::Identifiers { local_id, scn, person: None });
    }
    let form = crate::harness::form(1);
    let (identity, contact) = (form.identity.unwrap_or_default(), form.contact.unwrap_or_default());
    Subject::Person(ledger::Person {
        forename: identity.forename,
        surname: identity.surname,
        date_of_birth: identity.date_of_birth,
        postcode: contact.postcode,
    })
}

pub(super) fn next(dice: &mut Dice, pool: &mut Pool, _world: &World) -> Call {
    let (context, request_id) = (context(dice), pool.request(dice));
    match dice.below(10) {
        0..=3 => {
            let request = pb::OpenEmergencyAccessRequest {
                context,
                request_id,
                category: 2,
                reason: 1,
                office: i32::from(0 == dice.below(6)) + 1,
                subject: Some(subject(dice)),
                words: "heard a cry".to_owned(),
            };
            of("EmergencyService/OpenEmergencyAccess", &request)
        }
        4 | 5 => {
            let emergency = pool.name(dice, "emergencies");
            let page_token = String::new();
            let request =
                pb::ReadEmergencyRecordsRequest { context, request_id, emergency, page_token };
            of("EmergencyService/ReadEmergencyRecords", &request)
        }
        6 => {
            let request = pb::ReviewEmergencyAccessRequest {
                context,
                request_id,
                emergency: pool.name(dice, "emergencies"),
                finding: 1,
                reviewer: 1,
                evidence: None,
            };
            of("EmergencyService/ReviewEmergencyAccess", &request)
        }
        7 => {
            let request = pb::ListEmergencyAccessRequest {
                context,
                published: dice.below(2) == 0,
                unreviewed: false,
                page_size: 3,
                page_token: String::new(),
            };
            of("EmergencyService/ListEmergencyAccess", &request)
        }
        _ => {
            let collections =
                ["cases", "disputes", "emergencies", "consents", "holders", "records"];
            let place = usize::try_from(dice.below(6)).unwrap_or_default();
            let collection = collections.get(place).copied().unwrap_or("cases");
            let request = pb::ReadWordsRequest {
                context,
                request_id,
                about: pool.name(dice, collection),
                reason: 1,
                page_token: String::new(),
            };
            of("WordsService/ReadWords", &request)
        }
    }
}
