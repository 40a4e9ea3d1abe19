//! The invented leavers whom the benchmark publishes about, and the forms about them.

use prost::Message;

use crate::{
    model::identifier::scn::check_digit, pb::record::v1::LeaverForm, record::leaver_form::example,
};

/// The forms of a population: one for each client, of about one kilobyte.
pub(super) fn forms(clients: usize) -> Vec<Vec<u8>> {
    let form = example();
    numbers().take(clients).map(|number| about(&form, number)).collect()
}

/// Every number from 0 on that can stand in a Scottish Candidate Number.
fn numbers() -> impl Iterator<Item = u32> {
    (0_u32..1_000_000).filter(|number| scn(*number).is_some())
}

fn scn(number: u32) -> Option<String> {
    let body = format!("05{number:06}");
    let mut digits = [0; 8];
    for (to, digit) in digits.iter_mut().zip(body.bytes()) {
        *to = digit.saturating_sub(b'0');
    }
    check_digit(digits).map(|check| format!("{body}{check}"))
}

fn about(form: &LeaverForm, number: u32) -> Vec<u8> {
    let mut form = form.clone();
    if let Some(identity) = &mut form.identity {
        identity.scn = scn(number).unwrap_or_default();
        identity.source_local_id = format!("BENCH-{number:06}");
    }
    if let Some(core) = &mut form.core {
        core.form_id.clear();
    }
    form.encode_to_vec()
}
