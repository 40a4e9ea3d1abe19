//! The life of a leaver's form: which status may follow which.
//!
//! Applied at the edge, to the version that a publisher supersedes: no body is opened once it is sealed.

use prost::Message;

use crate::{
    model::{date, violation::Violation},
    pb::record::v1::leaver_form::{Core, Status},
    record::{findings::Findings, wire::last_value},
};

/// The number of the form's field `core`.
const CORE: u32 = 1;

/// Whether a form may say `next` after its earlier version said `previous`, or as its first version.
///
/// A plan may change and a leaver may come back; nobody stays on who neither planned to leave nor left; nothing follows
/// death but its own correction in other fields, and a form that was wrong about it is replaced by a new form.
pub fn status_may_follow(previous: Option<Status>, next: Status) -> bool {
    match (previous, next) {
        (Some(Status::Deceased), next) => next == Status::Deceased,
        (_, Status::Unspecified)
        | (Some(Status::Unspecified), _)
        | (None | Some(Status::Transferred), Status::StayedOn)
        | (Some(Status::Left), Status::Planned) => false,
        (
            Some(Status::Planned | Status::Left | Status::StayedOn | Status::Transferred) | None,
            Status::Planned
            | Status::Left
            | Status::StayedOn
            | Status::Transferred
            | Status::Deceased,
        ) => true,
    }
}

/// Checks that `next` may follow `previous`. Both are valid bodies.
pub(super) fn check_successor(previous: Option<&[u8]>, next: &[u8]) -> Result<(), Vec<Violation>> {
    let mut findings = Findings::default();
    let earlier = previous.map(core_of).transpose()?;
    let later = core_of(next)?;
    let from = earlier.as_ref().map(Core::status);
    if !status_may_follow(from, later.status()) {
        let to = later.status().as_str_name().trim_start_matches("STATUS_");
        let description = match from {
            None => format!("a form cannot begin as {to}; publish the plan or the leaving first"),
            Some(from) => format!(
                "{to} cannot follow {}; publish a new form if the earlier one was wrong",
                from.as_str_name().trim_start_matches("STATUS_"),
            ),
        };
        findings.add("core.status", "STATUS_MAY_NOT_FOLLOW", description);
    }
    let dates = earlier.map(|core| (date::parse(&core.form_date), date::parse(&later.form_date)));
    if let Some((Ok(before), Ok(after))) = dates {
        findings.require(
            before <= after,
            "core.form_date",
            "FORM_DATE_GOES_BACK",
            "the form that this one supersedes speaks of a later day; supersede with newer facts only",
        );
    }
    findings.into_result(())
}

fn core_of(body: &[u8]) -> Result<Core, Vec<Violation>> {
    last_value(body, CORE)
        .ok()
        .and_then(|core| Core::decode(core).ok())
        .ok_or_else(|| vec![Violation::new("", "MALFORMED_RECORD", "the body is no leaver form")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_lives_as_its_table_says() {
        use Status::{Deceased, Left, Planned, StayedOn, Transferred};
        let all = [Planned, Left, StayedOn, Transferred, Deceased];
        let table: [(Option<Status>, &[Status]); 6] = [
            (None, &[Planned, Left, Transferred, Deceased]),
            (Some(Planned), &[Planned, Left, StayedOn, Transferred, Deceased]),
            (Some(Left), &[Left, StayedOn, Transferred, Deceased]),
            (Some(StayedOn), &[Planned, Left, StayedOn, Transferred, Deceased]),
            (Some(Transferred), &[Planned, Left, Transferred, Deceased]),
            (Some(Deceased), &[Deceased]),
        ];
        for (previous, may) in table {
            for next in all {
                let expected = may.contains(&next);
                assert_eq!(status_may_follow(previous, next), expected, "{previous:?} {next:?}");
            }
            assert!(!status_may_follow(previous, Status::Unspecified));
        }
    }
}
