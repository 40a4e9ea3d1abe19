//! Who the leaver is and how to reach them.
//!
//! An address that must be kept from most agencies lies in the restricted group and not in the usual one, so that no rule
//! about content is needed where records are cut to groups.

use jiff::civil::{Date, date};

use crate::{
    model::{
        date::age_years,
        id::AgencyId,
        identifier::{postcode::Postcode, scn::Scn, uprn::Uprn},
    },
    pb::record::v1::leaver_form::{Channel, Contact, Identity, SafeContact, SexScheme, Status},
    record::{findings::Findings, leaver_form::Facts, text},
};

const LOCAL_ID_BYTES_MAX: usize = 64;

/// Dates that stand for "not known" in source systems.
const SENTINELS: [Date; 2] = [date(1900, 1, 1), date(1900, 1, 2)];

/// Checks who the leaver is, and gives the date of birth.
pub(super) fn check_identity(
    findings: &mut Findings,
    identity: &mut Identity,
    form_date: Option<Date>,
) -> Option<Date> {
    let scheme = identity.recorded_sex_scheme();
    let Identity {
        scn,
        source_local_id,
        source_agency,
        forename,
        surname,
        known_as,
        previous_surname,
        date_of_birth,
        recorded_sex,
        recorded_sex_scheme: _,
    } = identity;
    findings.parse::<Scn>("identity.scn", scn);
    findings.require(
        (1..=LOCAL_ID_BYTES_MAX).contains(&source_local_id.len())
            && source_local_id.bytes().all(|b| b.is_ascii_graphic()),
        "identity.source_local_id",
        "MALFORMED_LOCAL_ID",
        "give the source system's own id of the leaver: 1 to 64 printable characters without spaces",
    );
    findings.parse::<AgencyId>("identity.source_agency", source_agency);
    findings.required(!forename.is_empty(), "identity.forename", "give the given name");
    findings.required(!surname.is_empty(), "identity.surname", "give the family name");
    text::name(findings, "identity.forename", forename);
    text::name(findings, "identity.surname", surname);
    text::name(findings, "identity.known_as", known_as);
    text::name(findings, "identity.previous_surname", previous_surname);
    findings.require(
        recorded_sex.len() <= 8 && recorded_sex.bytes().all(|b| b.is_ascii_alphanumeric()),
        "identity.recorded_sex",
        "MALFORMED_CODE",
        "give the source's code: 1 to 8 letters and digits",
    );
    findings.require(
        recorded_sex.is_empty() == (scheme == SexScheme::Unspecified),
        "identity.recorded_sex_scheme",
        "REQUIRED",
        "name the scheme of the code, and only with a code",
    );
    check_birth(findings, date_of_birth, form_date)
}

fn check_birth(findings: &mut Findings, text: &str, form_date: Option<Date>) -> Option<Date> {
    const FIELD: &str = "identity.date_of_birth";
    findings.required(!text.is_empty(), FIELD, "give the date of birth");
    let born = findings.date(FIELD, text)?;
    if SENTINELS.contains(&born) {
        findings.add(
            FIELD,
            "PLACEHOLDER_DATE_OF_BIRTH",
            "this date stands for an unknown one in the source system; find the date of birth",
        );
        return None;
    }
    let of_age = form_date
        .is_none_or(|day| age_years(born, day).is_some_and(|age| (14..=25).contains(&age)));
    findings.require(
        of_age,
        FIELD,
        "AGE_OUT_OF_RANGE",
        "on the day of the form a leaver is 14 to 25 years old; check both dates",
    );
    of_age.then_some(born)
}

/// Checks how to reach the leaver.
pub(super) fn check_contact(
    findings: &mut Findings,
    contact: Option<&mut Contact>,
    safe: Option<&mut SafeContact>,
    facts: &Facts,
) {
    let deceased = facts.status == Status::Deceased;
    for (given, field) in [(contact.is_some(), "contact"), (safe.is_some(), "safe_contact")] {
        findings.require(
            !(deceased && given),
            field,
            "NO_CONTACT_AFTER_DEATH",
            "contact stops when somebody has died; leave the group out",
        );
    }
    if let Some(contact) = contact {
        let Contact {
            address_lines,
            postcode,
            uprn,
            phone,
            email,
            preferred_contact: _,
            language,
            interpreter_needed: _,
        } = contact;
        let addressed = !address_lines.is_empty() || !postcode.is_empty() || *uprn != 0;
        findings.require(
            !(safe.is_some() && addressed),
            "contact",
            "ADDRESS_AT_RISK",
            "the leaver is at risk; move address, postcode and property reference into `safe_contact`",
        );
        check_place(findings, "contact", (address_lines, postcode, *uprn));
        text::phone(findings, "contact.phone", phone);
        text::email(findings, "contact.email", email);
        findings.require(
            language.is_empty()
                || (2..=3).contains(&language.len())
                    && language.bytes().all(|b| b.is_ascii_lowercase()),
            "contact.language",
            "MALFORMED_LANGUAGE",
            "a language is an iso 639 code of 2 or 3 lower-case letters, such as `gd`",
        );
    }
    if let Some(safe) = safe {
        findings.required(
            safe.channel() != Channel::Unspecified,
            "safe_contact.channel",
            "name the only safe channel",
        );
        let SafeContact { channel: _, address_lines, postcode, uprn } = safe;
        check_place(findings, "safe_contact", (address_lines, postcode, *uprn));
    }
}

fn check_place(
    findings: &mut Findings,
    group: &str,
    (lines, postcode, uprn): (&mut [String], &mut String, u64),
) {
    text::address_lines(findings, format_args!("{group}.address_lines"), lines);
    if let Some(normal) = findings.parse::<Postcode>(format_args!("{group}.postcode"), postcode) {
        normal.as_str().clone_into(postcode);
    }
    if uprn != 0 {
        findings.keep(format_args!("{group}.uprn"), Uprn::try_from(uprn));
    }
}
